package scim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// connection is the one connection of the one organization.
func (w *world) connection() (org directory.OrgID, con directory.ConnectionID) {
	w.log.machine.Root().EachOrg(directory.OrgID{}, func(o *state.Org) bool {
		o.EachConnection(func(c *directory.Connection) bool { org, con = o.ID(), c.ID; return true })
		return true
	})
	return org, con
}

// TestSwitches: what is lenient without a switch is refused with it.
func TestSwitches(t *testing.T) {
	w := newWorld(t)
	c := w.organization("clinic")
	org, con := w.connection()
	user, group := c.create("/Users", person("ada", "")), c.create("/Groups", team("g"))
	change := func(op, path, value string) string {
		return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":%q,"path":%q,"value":%s}]}`, op, path, value)
	}
	yes, no := true, false
	for _, row := range []struct {
		set                  func(on *bool) *fsm.UpdateConnection
		path, body, scimType string
	}{
		{func(on *bool) *fsm.UpdateConnection { return &fsm.UpdateConnection{ID: con, NoTarget: on} },
			"/Users/" + user, change("replace", `emails[type eq "work"].value`, `"a@x.example"`), "noTarget"},
		{func(on *bool) *fsm.UpdateConnection { return &fsm.UpdateConnection{ID: con, RejectMembers: on} },
			"/Groups/" + group, change("add", "members", `[{"value":"usr-00000000000000000000000000000001"}]`), "invalidValue"},
		{func(on *bool) *fsm.UpdateConnection { return &fsm.UpdateConnection{ID: con, RejectAttributes: on} },
			"/Users/" + user, change("add", "shoeSize", `"44"`), "invalidPath"},
	} {
		w.must(org, row.set(&yes))
		if got := c.do("PATCH", row.path, row.body); got.status != http.StatusBadRequest || !strings.Contains(string(got.body), `"`+row.scimType+`"`) {
			t.Errorf("with the switch: %s: %d %s", row.body, got.status, got.body)
		}
		w.must(org, row.set(&no))
		if got := c.do("PATCH", row.path, row.body); got.status/100 != 2 {
			t.Errorf("without: %s: %d %s", row.body, got.status, got.body)
		}
	}
	w.must(org, &fsm.UpdateConnection{ID: con, Disabled: &yes})
	if got := c.do("GET", "/Users", ""); got.status != http.StatusUnauthorized {
		t.Errorf("disabled: %d", got.status)
	}
	w.must(org, &fsm.UpdateConnection{ID: con, Disabled: &no})
	if got := c.do("GET", "/Users", ""); got.status != http.StatusOK {
		t.Errorf("enabled again: %d", got.status)
	}
}
