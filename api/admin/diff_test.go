package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func (s *server) diff(user directory.UserID, from, to uint64) object {
	s.t.Helper()
	return s.ok("GET", fmt.Sprintf("/api/v1/users/%s/permissions/diff?from=%d&to=%d", user, from, to), "")
}

func (d *direct) now() uint64 { return uint64(d.log.machine.Applied()) }

// changesOf writes a difference as text.
func changesOf(diff object) string {
	return fmt.Sprint("gained ", diff["gained"], " lost ", diff["lost"], " kept ", diff["kept"])
}

// serving is another node of the same state.
func (s *server) serving(config admin.Config) *server {
	s.t.Helper()
	handler, err := admin.New(config)
	must(s.t, err)
	web := httptest.NewServer(handler)
	s.t.Cleanup(web.Close)
	other := *s
	other.base = web.URL
	return &other
}

// keeping is a node that keeps its newest roots, as real ones do; the others tell
// the past from the log alone.
func keeping(s *server) *server {
	s.t.Helper()
	config := configured(s.t, s.log, s.log.machine.Root, s.ring)
	config.Gate.Keep(s.log.machine.RootAt)
	return s.serving(config)
}

// TestDiff: what a user gained, lost and kept, with the sources of what moved, of
// the moment at which they were held. Only a state that is kept knows what was
// called how, and which assignment it was.
func TestDiff(t *testing.T) {
	s, d, _ := newDirect(t)
	alice := d.user("alice")
	doctors := d.group("doctors", alice)
	old, fresh := d.role("old", "read:charts", "write:charts"), d.role("new", "read:charts", "burn:charts")
	d.give(old, doctors)
	first := d.now()
	d.give(fresh, alice)
	both := d.now()
	d.do(&fsm.DeleteGroup{Group: doctors})
	last := d.now()
	for name, s := range map[string]*server{"from the log": s, "from kept roots": keeping(s)} {
		if got := changesOf(s.diff(alice, first, 0)); got != "gained [burn:charts] lost [write:charts] kept [read:charts]" {
			t.Errorf("%s, from the first to now: %s", name, got)
		}
		if got := changesOf(s.diff(alice, first, both)); got != "gained [burn:charts] lost [] kept [read:charts write:charts]" {
			t.Errorf("%s, in the past: %s", name, got)
		}
		diff := s.diff(alice, both, last)
		if got := changesOf(diff); got != "gained [] lost [write:charts] kept [burn:charts read:charts]" || diff["to"] != json.Number(fmt.Sprint(last)) {
			t.Errorf("%s, the last step: %s", name, got)
		}
		lost := one(t, diff["source"].(map[string]any)["write:charts"])
		if lost["role"] != "old" || lost["via_id"] != doctors.String() {
			t.Errorf("%s, source of what was lost: %v", name, lost)
		}
		if told := name == "from the log"; told != (lost["assignment_id"] == "") || told != (lost["via"] == "") || told != (lost["since"] == nil) {
			t.Errorf("%s, source of what was lost: %v", name, lost)
		}
		gained := one(t, s.diff(alice, first, last)["source"].(map[string]any)["burn:charts"])
		if gained["role"] != "new" || !strings.HasPrefix(gained["assignment_id"].(string), "asg-") {
			t.Errorf("%s, source of what was gained: %v", name, gained)
		}
		if got := changesOf(s.diff(alice, last, last)); got != "gained [] lost [] kept [burn:charts read:charts]" {
			t.Errorf("%s, nothing: %s", name, got)
		}
	}
}

// TestDiffTellsWhatItCannot: an index of the future, one that the log does not
// reach, and whose difference is nobody's business.
func TestDiffTellsWhatItCannot(t *testing.T) {
	s, d, org := newDirect(t)
	alice := d.user("alice")
	path := "/api/v1/users/" + alice.String() + "/permissions/diff"
	now := d.now()
	s.problem(400, "invalid_argument", "to", "GET", fmt.Sprintf("%s?from=%d&to=%d", path, now, now+1), "")
	s.problem(400, "invalid_argument", "from", "GET", fmt.Sprintf("%s?from=%d", path, now+1), "")
	s.problem(400, "invalid_argument", "from", "GET", fmt.Sprintf("%s?from=%d&to=%d", path, now, now-1), "")
	answer := s.problem(412, "failed_precondition", "from", "GET", path+"?from=1", "")
	if !strings.Contains(answer["detail"].(string), "since index") {
		t.Errorf("before the organization: %v", answer)
	}
	reader, auditor := d.user("reader"), d.user("auditor")
	d.give(d.role("reader", "read:directory"), reader)
	d.give(d.role("log reader", "read:audit-logs"), auditor)
	asReader, asAuditor := s.session(org, reader.String()), s.session(org, auditor.String())
	d.do(&fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}})
	for i := range directory.RetentionCountMin + 5 {
		d.do(&fsm.SetUserActive{User: alice, Active: i%2 == 1})
	}
	answer = s.problem(412, "failed_precondition", "from", "GET", fmt.Sprintf("%s?from=%d", path, now), "")
	var oldest uint64
	if _, err := fmt.Sscanf(answer["detail"].(string), "the log reaches back to index %d", &oldest); err != nil {
		t.Fatalf("beyond the log: %v", answer)
	}
	s.diff(alice, oldest, 0)
	asAuditor.diff(alice, oldest, 0)
	asReader.problem(403, "permission_denied", "", "GET", fmt.Sprintf("%s?from=%d", path, oldest), "")
	s.problem(404, "not_found", "", "GET", "/api/v1/users/usr-00000000000000000000000000000001/permissions/diff?from=5", "")
}

// TestDiffAsksTheCluster: an index that this node has not reached is one that
// another has acknowledged, until the newest state says otherwise.
func TestDiffAsksTheCluster(t *testing.T) {
	leader, follower := newPair(t)
	org, role := leader.organization("clinic")
	alice := follower.user(org, "alice")
	from := leader.ok("GET", "/api/v1/status", "")["applied_index"]
	leader.ok("POST", "/api/v1/users/"+alice+"/roles", `{"role_id":"`+role+`"}`)
	to := leader.ok("GET", "/api/v1/status", "")["applied_index"]
	diff := follower.ok("GET", fmt.Sprintf("/api/v1/users/%s/permissions/diff?from=%v&to=%v", alice, from, to), "")
	if got := changesOf(diff); got != "gained [read:patients write:notes] lost [] kept []" {
		t.Errorf("%s", got)
	}
}
