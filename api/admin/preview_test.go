package admin_test

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

const previewPath = "/api/v1/permissions/preview"

func previewBody(org string, limit int, changes ...string) string {
	return fmt.Sprintf(`{"org_id":%q,"limit":%d,"changes":[%s]}`, org, limit, strings.Join(changes, ","))
}

// unmoved runs something and demands that it changes nothing on the node.
func (d *direct) unmoved(what string, run func()) {
	d.t.Helper()
	before := d.log.machine.Root().Meta()
	run()
	if after := d.log.machine.Root().Meta(); after != before {
		d.t.Fatalf("%s: the state at %d became that at %d", what, before.Applied, after.Applied)
	}
}

func TestPreview(t *testing.T) {
	s, d, org := newDirect(t)
	alice, bob := d.user("alice"), d.user("bob")
	ward := d.group("ward", alice)
	d.give(d.role("old", "read:charts", "write:charts"), ward)
	var answer object
	d.unmoved("preview", func() {
		answer = s.ok("POST", previewPath, previewBody(org, 0,
			`{"create_role":{"org_id":"`+org+`","name":"new","permissions":["burn:charts"]}}`,
			`{"assign_group_role":{"group_id":"`+ward.String()+`","role_name":"new"}}`,
			`{"add_group_members":{"id":"`+ward.String()+`","user_id":"`+bob.String()+`"}}`,
			`{"remove_group_member":{"id":"`+ward.String()+`","user_id":"`+alice.String()+`"}}`))
	})
	if answer["users_changed"] != json.Number("2") || answer["gained"] != json.Number("3") || answer["lost"] != json.Number("2") || answer["more"] != false {
		t.Errorf("counts %v", answer)
	}
	if got := fmt.Sprint(answer["permissions"]); got != "[map[gained:1 lost:0 permission:burn:charts] map[gained:1 lost:1 permission:read:charts] map[gained:1 lost:1 permission:write:charts]]" {
		t.Errorf("permissions %s", got)
	}
	users := map[any]string{}
	for _, item := range answer["users"].([]any) {
		u := item.(map[string]any)
		users[u["user_name"]] = fmt.Sprint(u["gained"], u["lost"])
	}
	if users["alice"] != "[] [read:charts write:charts]" || users["bob"] != "[burn:charts read:charts write:charts] []" || len(users) != 2 {
		t.Errorf("users %v", users)
	}
	if limited := s.ok("POST", previewPath, previewBody(org, 1, `{"delete_group":{"id":"`+ward.String()+`"}}`, `{"deactivate_user":{"id":"`+bob.String()+`"}}`)); limited["more"] != false || limited["users_changed"] != json.Number("1") {
		t.Errorf("limited %v", limited)
	}
}

// TestPreviewRefuses: a change that would be refused is named with its field, as
// it would be refused alone, and is not tried in another organization.
func TestPreviewRefuses(t *testing.T) {
	s, d, org := newDirect(t)
	other, otherRole := s.organization("other")
	stranger := s.user(other, "stranger")
	alice, role := d.user("alice"), d.role("reader", "read:charts")
	desk := d.user("desk")
	d.give(d.role("desk", "read:directory", "manage:users"), desk)
	fine := `{"deactivate_user":{"id":"` + alice.String() + `"}}`
	give := fmt.Sprintf(`{"assign_user_role":{"user_id":%q,"role_id":%q}}`, alice, role)
	for _, c := range []struct {
		name, body  string
		status      int
		code, field string
	}{
		{"no change", previewBody(org, 0), 400, "invalid_argument", "changes"},
		{"one that is none", previewBody(org, 0, fine, `{}`), 400, "invalid_argument", "changes[1]"},
		{"a malformed id", previewBody(org, 0, fine, `{"delete_user":{"id":"alice"}}`), 400, "invalid_argument", "changes[1].delete_user.id"},
		{"a name that is taken", previewBody(org, 0, `{"create_role":{"org_id":"`+org+`","name":"Reader"}}`), 409, "conflict", "changes[0].create_role.name"},
		{"what an earlier one made impossible", previewBody(org, 0, `{"delete_user":{"id":"`+alice.String()+`"}}`, fine), 404, "not_found", "changes[1]"},
		{"another organization", previewBody(org, 0, `{"create_user":{"org_id":"`+other+`","email":"a@b.c"}}`), 404, "not_found", "changes[0]"},
		{"somebody of another organization", previewBody(org, 0, `{"deactivate_user":{"id":"`+stranger+`"}}`), 404, "not_found", "changes[0]"},
		{"a role of another organization", previewBody(org, 0, fmt.Sprintf(`{"assign_user_role":{"user_id":%q,"role_id":%q}}`, alice, otherRole)), 404, "not_found", "changes[0]"},
		{"an unknown organization", previewBody("org-00000000000000000000000000000001", 0, fine), 404, "not_found", ""},
		{"a limit below", previewBody(org, -1, fine), 400, "invalid_argument", "limit"},
		{"a limit above", previewBody(org, 1001, fine), 400, "invalid_argument", "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, d := *s, *d
			s.t, d.t = t, t
			d.unmoved(c.name, func() { s.problem(c.status, c.code, c.field, "POST", previewPath, c.body) })
		})
	}
	own := s.session(org, desk.String())
	own.ok("POST", previewPath, previewBody(org, 0, fine))
	own.problem(403, "permission_denied", "changes[1]", "POST", previewPath, previewBody(org, 0, fine, give))
	own.problem(404, "not_found", "", "POST", previewPath, previewBody(other, 0, fine))
	s.session(org, alice.String()).problem(403, "permission_denied", "", "POST", previewPath, previewBody(org, 0, fine))
}

func TestLimitsOfPreview(t *testing.T) {
	s, d, org := newDirect(t)
	role := d.role("reader", "read:charts")
	var changes []string
	for i := range 101 {
		changes = append(changes, fmt.Sprintf(`{"assign_user_role":{"user_id":%q,"role_id":%q}}`, d.user(fmt.Sprintf("user-%d", i)), role))
	}
	for limit, want := range map[int]int{0: 50, 1: 1, 99: 99, 100: 100, 1000: 100} {
		answer := s.ok("POST", previewPath, previewBody(org, limit, changes[:100]...))
		if len(answer["users"].([]any)) != want || answer["users_changed"] != json.Number("100") || answer["more"] != (want < 100) {
			t.Errorf("limit %d: %d users of %v, more %v", limit, len(answer["users"].([]any)), answer["users_changed"], answer["more"])
		}
	}
	s.problem(400, "invalid_argument", "changes", "POST", previewPath, previewBody(org, 0, changes...))
}

// changer makes random operations of every kind on a small organization, many of
// which must be refused.
type changer struct {
	*direct
	rng  *rand.Rand
	org  string
	made int
}

func (c *changer) index() int { return c.rng.Intn(8) }

// pick is a random id of the organization as it is now, sometimes of nobody.
func pick[ID interface {
	~[16]byte
	fmt.Stringer
}](c *changer, each func(func(ID))) string {
	var ids []ID
	each(func(id ID) { ids = append(ids, id) })
	if len(ids) == 0 || c.rng.Intn(20) == 0 {
		return ID{15: 7}.String()
	}
	return ids[c.rng.Intn(len(ids))].String()
}

func (c *changer) user() string {
	return pick(c, func(yield func(directory.UserID)) {
		o, _ := c.log.machine.Root().Org(c.env.Org)
		o.EachUser(directory.UserID{}, func(u *directory.User) bool { yield(u.ID); return true })
	})
}

func (c *changer) group() string {
	return pick(c, func(yield func(directory.GroupID)) {
		o, _ := c.log.machine.Root().Org(c.env.Org)
		o.EachGroup(directory.GroupID{}, func(g *directory.Group) bool { yield(g.ID); return true })
	})
}

func (c *changer) role() string {
	return pick(c, func(yield func(directory.RoleID)) {
		o, _ := c.log.machine.Root().Org(c.env.Org)
		o.EachRole(func(r *directory.Role) bool { yield(r.ID); return true })
	})
}

// given is a random role with somebody who has it, if anybody has one.
func (c *changer) given(toGroup bool) (role, to string) {
	o, _ := c.log.machine.Root().Org(c.env.Org)
	var pairs [][2]string
	o.EachRole(func(r *directory.Role) bool {
		groups, users := o.Permissions().RoleHolders(r.ID)
		for _, g := range groups {
			if toGroup {
				pairs = append(pairs, [2]string{r.ID.String(), g.String()})
			}
		}
		for _, u := range users {
			if !toGroup {
				pairs = append(pairs, [2]string{r.ID.String(), u.String()})
			}
		}
		return true
	})
	if len(pairs) == 0 {
		return c.role(), map[bool]string{true: c.group(), false: c.user()}[toGroup]
	}
	pair := pairs[c.rng.Intn(len(pairs))]
	return pair[0], pair[1]
}

func (c *changer) permissions() string {
	all := []string{"read:a", "read:b", "write:a", "read:*", "burn:c", "manage:groups"}
	c.rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	text, _ := json.Marshal(all[:c.rng.Intn(4)])
	return string(text)
}

// operation is one of the kind with this name.
func (c *changer) operation(kind string) string {
	c.made++
	user, group, role := c.user(), c.group(), c.role()
	ofUser, someUser := c.given(false)
	ofGroup, someGroup := c.given(true)
	fields := map[string]string{
		"create_user":            fmt.Sprintf(`{"org_id":%q,"email":"user-%d@example.org"}`, c.org, c.made),
		"update_user":            fmt.Sprintf(`{"id":%q,"display_name":"U%d"}`, user, c.made),
		"delete_user":            fmt.Sprintf(`{"id":%q}`, user),
		"deactivate_user":        fmt.Sprintf(`{"id":%q}`, user),
		"activate_user":          fmt.Sprintf(`{"id":%q}`, user),
		"create_service_account": fmt.Sprintf(`{"org_id":%q,"user_name":"robot-%d","owner_id":%q}`, c.org, c.made, user),
		"create_group":           fmt.Sprintf(`{"org_id":%q,"name":"group-%d"}`, c.org, c.index()),
		"update_group":           fmt.Sprintf(`{"id":%q,"description":"D%d"}`, group, c.made),
		"delete_group":           fmt.Sprintf(`{"id":%q}`, group),
		"add_group_members":      fmt.Sprintf(`{"id":%q,"user_ids":[%q,%q]}`, group, user, c.user()),
		"remove_group_member":    fmt.Sprintf(`{"id":%q,"user_id":%q}`, group, user),
		"nest_group":             fmt.Sprintf(`{"id":%q,"group_id":%q}`, group, c.group()),
		"unnest_group":           fmt.Sprintf(`{"id":%q,"group_id":%q}`, group, c.group()),
		"create_role":            fmt.Sprintf(`{"org_id":%q,"name":"role-%d","permissions":%s}`, c.org, c.index(), c.permissions()),
		"update_role":            fmt.Sprintf(`{"id":%q,"permissions":{"permissions":%s}}`, role, c.permissions()),
		"delete_role":            fmt.Sprintf(`{"id":%q}`, role),
		"assign_user_role":       fmt.Sprintf(`{"user_id":%q,"role_id":%q}`, user, role),
		"unassign_user_role":     fmt.Sprintf(`{"user_id":%q,"role_id":%q}`, someUser, ofUser),
		"assign_group_role":      fmt.Sprintf(`{"group_id":%q,"role_name":"role-%d"}`, group, c.index()),
		"unassign_group_role":    fmt.Sprintf(`{"group_id":%q,"role_id":%q}`, someGroup, ofGroup),
	}
	body, ok := fields[kind]
	if !ok {
		c.t.Fatalf("no random operation of the kind %s", kind)
	}
	return fmt.Sprintf(`{%q:%s}`, kind, body)
}

// held is what every user holds, by user name.
func (c *changer) held() map[string][]string {
	all := map[string][]string{}
	o, _ := c.log.machine.Root().Org(c.env.Org)
	o.EachUser(directory.UserID{}, func(u *directory.User) bool {
		for _, p := range o.Permissions().Permissions(u.ID) {
			all[u.UserName] = append(all[u.UserName], string(p))
		}
		return true
	})
	return all
}

// moved is what the users gained and lost, as a preview tells it.
func moved(before, after map[string][]string) map[string]string {
	all := map[string]string{}
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for name := range names {
		without := func(a, b []string) []string {
			return slices.DeleteFunc(slices.Clone(a), func(p string) bool { return slices.Contains(b, p) })
		}
		gained, lost := without(after[name], before[name]), without(before[name], after[name])
		if len(gained)+len(lost) > 0 {
			all[name] = fmt.Sprint(gained, lost)
		}
	}
	return all
}

// TestPreviewIsWhatHappens: random changes of every kind, first tried and then
// made: the preview moves nothing, says exactly what happens, and is refused
// exactly where the changes are, with the same words.
func TestPreviewIsWhatHappens(t *testing.T) {
	var kinds []string
	fields := (&authfiv1.Operation{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		kinds = append(kinds, string(fields.Get(i).Name()))
	}
	happened := map[string]int{}
	for seed := range int64(4) {
		s, d, org := newDirect(t)
		c := &changer{direct: d, rng: rand.New(rand.NewSource(seed)), org: org}
		for i := range 6 {
			d.user(fmt.Sprintf("first-%d", i))
		}
		admin := d.user("admin")
		d.give(d.role("admin", "manage:users", "manage:groups", "manage:roles", "read:directory", "read:*"), admin)
		for round := range 160 {
			var operations []string
			for range 1 + c.rng.Intn(4) {
				operations = append(operations, c.operation(kinds[c.rng.Intn(len(kinds))]))
			}
			caller := s
			if round%3 == 0 { // an administrator who may not give everything
				if o, _ := d.log.machine.Root().Org(d.env.Org); o.Permissions().Has(admin, directory.ReadDirectory) {
					caller = s.session(org, admin.String()) // an earlier one may have ended with a deactivation
				}
			}
			c.compare(caller, operations, happened)
		}
	}
	for _, kind := range kinds {
		if happened[kind] == 0 {
			t.Errorf("no %s was ever made: nothing is known of it", kind)
		}
	}
}

func (c *changer) compare(caller *server, operations []string, happened map[string]int) {
	c.t.Helper()
	var status int
	var told object
	c.unmoved("preview", func() {
		res, answer := caller.send("POST", previewPath, previewBody(c.org, 1000, operations...))
		status, told = res.StatusCode, answer
	})
	before := c.held()
	results, _, _ := caller.bulk(true, strings.Join(operations, ","))
	failed := slices.IndexFunc(results, func(r object) bool { return r["status"] == "failed" })
	if failed >= 0 {
		problem := results[failed]["problem"].(map[string]any)
		name := strings.Split(operations[failed], `"`)[1]
		field := fmt.Sprintf("changes[%d]", failed)
		if problem["field"] != "" {
			field += fmt.Sprintf(".%s.%s", name, problem["field"])
		}
		if told["code"] != problem["code"] || told["field"] != field || told["detail"] != results[failed]["detail"] {
			c.t.Fatalf("%v\npreview says %v, the change %v", operations, told, results[failed])
		}
		return
	}
	if status != 200 {
		c.t.Fatalf("%v\npreview says %v, the changes are made", operations, told)
	}
	for _, operation := range operations {
		happened[strings.Split(operation, `"`)[1]]++
	}
	said := map[string]string{}
	for _, item := range told["users"].([]any) {
		u := item.(map[string]any)
		said[u["user_name"].(string)] = fmt.Sprint(u["gained"], u["lost"])
	}
	if want := moved(before, c.held()); fmt.Sprint(said) != fmt.Sprint(want) {
		c.t.Fatalf("%v\npreview says %v\nhappened     %v", operations, said, want)
	}
}

// A preview in a suspended organization, which an operator may ask for: nobody
// holds anything before or after.
func TestPreviewOfASuspendedOrganization(t *testing.T) {
	s, d, org := newDirect(t)
	alice, role := d.user("alice"), d.role("reader", "read:charts")
	d.do(&fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	answer := s.ok("POST", previewPath, previewBody(org, 0, fmt.Sprintf(`{"assign_user_role":{"user_id":%q,"role_id":%q}}`, alice, role)))
	if answer["users_changed"] != json.Number("0") {
		t.Errorf("answer %v", answer)
	}
}
