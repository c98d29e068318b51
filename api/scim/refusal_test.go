package scim_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// entries are those of the one organization's log that say of a refusal.
func (w *world) refusals() (entries []*directory.Event) {
	w.log.machine.Root().EachOrg(directory.OrgID{}, func(o *state.Org) bool {
		o.EachEvent(0, 0, func(e *directory.Event) bool {
			if e.Refused {
				entries = append(entries, e)
			}
			return true
		})
		return true
	})
	return entries
}

func TestRefusedWritesAreInTheLog(t *testing.T) {
	w := newWorld(t)
	c := w.organization("clinic")
	id := c.create("/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a"}`)
	for _, row := range []struct {
		method, path, body string
		status             int
		detail, error      string
	}{
		{"PATCH", "/Users/" + id, `{"schemas`, http.StatusBadRequest, "PATCH Users/{id}", "400: "},
		{"DELETE", "/Groups/grp-0", "", http.StatusNotFound, "DELETE Groups/{id}", "404: "},
		// Refused by the machine, which records it itself: one entry, not two.
		{"POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"A"}`, http.StatusConflict, "", "user_name: "},
	} {
		before := len(w.refusals())
		if got := c.do(row.method, row.path, row.body); got.status != row.status {
			t.Fatalf("%s %s: %d %s", row.method, row.path, got.status, got.body)
		}
		entries := w.refusals()
		if len(entries) != before+1 {
			t.Fatalf("%s %s: %d entries", row.method, row.path, len(entries)-before)
		}
		e := entries[before]
		if row.detail != "" && e.Detail != row.detail || e.Source != "entra" || e.Operation == "" || len(e.Error) < len(row.error) || e.Error[:len(row.error)] != row.error {
			t.Errorf("%+v", e)
		}
	}
	// Reading, and whoever is nobody, leave nothing.
	before := len(w.refusals())
	c.do("GET", "/Users/usr-0", "")
	stranger := *c
	stranger.token = "afs_x"
	stranger.do("POST", "/Users", `{}`)
	if len(w.refusals()) != before {
		t.Error("a read or a stranger left an entry")
	}
}

// TestRefusalsOfANodeAreBounded: at the bound they are recorded, one past it not.
func TestRefusalsOfANodeAreBounded(t *testing.T) {
	w := newWorld(t)
	c := w.organization("clinic")
	for i := range access.RefusalsPerMinute + 1 {
		c.do("DELETE", fmt.Sprintf("/Users/usr-%d", i), "")
	}
	if n := len(w.refusals()); n != access.RefusalsPerMinute {
		t.Errorf("%d entries, want %d", n, access.RefusalsPerMinute)
	}
}
