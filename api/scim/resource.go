package scim

import (
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Names of what a resource is, for those who tell others of it.
const (
	GroupSchema = patch.GroupURN
	PatchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// UserResource is a user as the endpoint below root shows it, without the groups:
// those are theirs to tell.
func UserResource(view *state.Org, u *directory.User, root string) (map[string]any, error) {
	r := &request{root: root}
	return r.userResource(view, u, false)
}

// Version is the tag of a resource that an entry has changed last. What else shows in
// a resource adds to its tag; writes do not look at that.
func Version(index directory.Index) string { return etag(index, 0) }
