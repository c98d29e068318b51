package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func (s *server) explain(user directory.UserID, permission string) object {
	s.t.Helper()
	return s.ok("POST", "/api/v1/explain", fmt.Sprintf(`{"user_id":%q,"permission":%q}`, user, permission))
}

// closest writes the possible grants as text: what to do, what is gained, and
// whether the caller may.
func closest(answer object) string {
	var all []string
	for _, item := range answer["closest"].([]any) {
		grant := item.(map[string]any)
		text := fmt.Sprint("role ", grant["role_name"])
		if grant["group_id"] != "" {
			text = fmt.Sprint("group ", grant["group_name"])
		}
		text += fmt.Sprint(" +", grant["gained"])
		if grant["allowed"] == true {
			text += " allowed"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func TestExplain(t *testing.T) {
	s, d, _ := newDirect(t)
	alice, bob := d.user("alice"), d.user("bob")
	ward, staff := d.group("ward", alice), d.group("staff")
	d.do(&fsm.NestGroup{Parent: staff, Child: ward})
	small, large := d.role("small", "read:charts"), d.role("large", "read:charts", "write:charts", "burn:charts")
	d.give(small, staff)
	d.give(large, d.group("surgeons"))

	granted := s.explain(alice, "read:charts")
	if granted["allowed"] != true || granted["reason"] != "granted" || closest(granted) != "" || one(t, granted["source"])["via"] != "staff" {
		t.Errorf("granted %v", granted)
	}
	if granted["detail"] != "alice holds read:charts through role small of group staff" {
		t.Errorf("detail %v", granted["detail"])
	}
	denied := s.explain(bob, "read:charts")
	want := "group staff +1 allowed, group ward +1 allowed, role small +1 allowed, group surgeons +3 allowed, role large +3 allowed"
	if got := closest(denied); denied["allowed"] != false || denied["reason"] != "not_granted" || got != want && got != swapped(want) || denied["more"] != false {
		t.Errorf("denied %v\nclosest %s", denied, closest(denied))
	}
	limited := s.ok("POST", "/api/v1/explain", fmt.Sprintf(`{"user_id":%q,"permission":"read:charts","limit":1}`, bob))
	if len(limited["closest"].([]any)) != 1 || limited["more"] != true {
		t.Errorf("limited %v", limited)
	}
	never := s.explain(bob, "read:nothing")
	if never["reason"] != "not_granted" || closest(never) != "" || never["more"] != false {
		t.Errorf("what no role grants %v", never)
	}
	d.do(&fsm.SetUserActive{User: alice, Active: false})
	inactive := s.explain(alice, "read:charts")
	if inactive["allowed"] != false || inactive["reason"] != "user_inactive" || len(inactive["source"].([]any)) != 1 {
		t.Errorf("inactive %v", inactive)
	}
	d.do(&fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	suspended := s.explain(alice, "read:charts")
	if suspended["allowed"] != false || suspended["reason"] != "organization_suspended" || len(suspended["source"].([]any)) != 1 {
		t.Errorf("suspended %v", suspended)
	}
}

// swapped exchanges the two groups of equal gain, whose order is that of their ids.
func swapped(want string) string {
	return strings.Replace(want, "group staff +1 allowed, group ward +1 allowed", "group ward +1 allowed, group staff +1 allowed", 1)
}

// TestAllowedIsWhatTheMachineAllows: each closest grant that is said to be allowed
// can be made by the caller, and each other cannot.
func TestAllowedIsWhatTheMachineAllows(t *testing.T) {
	s, d, org := newDirect(t)
	reader := d.role("reader", "read:charts")
	writer := d.role("writer", "read:charts", "write:charts")
	d.give(reader, d.group("readers"))
	d.give(writer, d.group("writers"))
	for name, held := range map[string][]directory.Permission{
		"may read only":   {"read:directory"},
		"groups":          {"read:directory", "manage:groups", "read:charts"},
		"roles":           {"read:directory", "manage:roles", "read:charts"},
		"both, holds all": {"read:directory", "manage:groups", "manage:roles", "read:charts", "write:charts"},
		"both, lacks all": {"read:directory", "manage:groups", "manage:roles"},
		"owner":           {"manage:organization", "read:directory", "manage:groups", "manage:roles"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			caller, bob := d.user("caller "+name), d.user("bob "+name)
			d.give(d.role("of "+name, held...), caller)
			own := s.session(org, caller.String())
			sum := d.log.machine.Root().Meta().Sum
			answer := own.explain(bob, "read:charts")
			if d.log.machine.Root().Meta().Sum != sum {
				t.Fatal("asking has changed something")
			}
			grants := answer["closest"].([]any)
			if len(grants) < 4 {
				t.Fatalf("closest %v", answer)
			}
			for _, item := range grants {
				grant := item.(map[string]any)
				method, path, body := "POST", fmt.Sprintf("/api/v1/users/%s/roles", bob), fmt.Sprintf(`{"role_id":%q}`, grant["role_id"])
				undo := fmt.Sprintf("/api/v1/users/%s/roles/%s", bob, grant["role_id"])
				if grant["group_id"] != "" {
					path, body = fmt.Sprintf("/api/v1/groups/%s/members", grant["group_id"]), fmt.Sprintf(`{"user_id":%q}`, bob)
					undo = fmt.Sprintf("%s/%s", path, bob)
				}
				res, said := own.send(method, path, body)
				if made := res.StatusCode == 200; made != grant["allowed"] {
					t.Errorf("%v: made it %v, %v", grant, made, said)
				} else if made {
					s.ok("DELETE", undo, "")
				} else if res.StatusCode != 403 {
					t.Errorf("%v: %v", grant, said)
				}
			}
		})
	}
}

// TestExplainToOneself: without read:directory a user learns why, and nothing of
// groups and roles that they are not in.
func TestExplainToOneself(t *testing.T) {
	s, d, org := newDirect(t)
	alice, bob := d.user("alice"), d.user("bob")
	reader := d.role("reader", "read:charts")
	d.give(reader, d.group("secret group", bob))
	own := s.session(org, alice.String())
	answer := own.explain(alice, "read:charts")
	if answer["reason"] != "not_granted" || closest(answer) != "" || answer["more"] != false {
		t.Errorf("answer %v", answer)
	}
	d.give(reader, alice)
	if answer = own.explain(alice, "read:charts"); one(t, answer["source"])["role"] != "reader" {
		t.Errorf("answer %v", answer)
	}
	own.problem(403, "permission_denied", "", "POST", "/api/v1/explain", fmt.Sprintf(`{"user_id":%q,"permission":"read:charts"}`, bob))
}

func TestLimitsOfExplain(t *testing.T) {
	s, d, _ := newDirect(t)
	alice := d.user("alice")
	for i := range 101 {
		d.role(fmt.Sprintf("role-%03d", i), "read:charts")
	}
	ask := func(limit int) string {
		return fmt.Sprintf(`{"user_id":%q,"permission":"read:charts","limit":%d}`, alice, limit)
	}
	for limit, want := range map[int]int{0: 5, 1: 1, 100: 100} {
		answer := s.ok("POST", "/api/v1/explain", ask(limit))
		if len(answer["closest"].([]any)) != want || answer["more"] != true || answer["index"] == json.Number("0") {
			t.Errorf("limit %d: %d", limit, len(answer["closest"].([]any)))
		}
	}
	s.problem(400, "invalid_argument", "limit", "POST", "/api/v1/explain", ask(101))
	s.problem(400, "invalid_argument", "limit", "POST", "/api/v1/explain", ask(-1))
	s.problem(400, "invalid_argument", "permission", "POST", "/api/v1/explain", fmt.Sprintf(`{"user_id":%q,"permission":"x"}`, alice))
	s.problem(400, "invalid_argument", "user_id", "POST", "/api/v1/explain", `{"user_id":"alice","permission":"a:b"}`)
	s.problem(404, "not_found", "", "POST", "/api/v1/explain", `{"user_id":"usr-00000000000000000000000000000001","permission":"a:b"}`)
}
