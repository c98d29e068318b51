package admin

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// sources tells the ways in which permissions reach one user. The index knows
// them by role and groups; who gave the role, since when and until when are
// looked up in the assignment when they are told.
type sources struct {
	org  *state.Org
	user directory.UserID
	// told is the index of an earlier moment whose state is not kept, from the log;
	// nil: org's. Roles and groups are called what they are called now, then, and
	// which assignment it was is not known.
	told *effective.Index
}

// permissions is the index that the ways are of.
func (s sources) permissions() *effective.Index {
	if s.told != nil {
		return s.told
	}
	return s.org.Permissions()
}

// of lists every way of one permission.
func (s sources) of(permission directory.Permission) []*authfiv1.GrantSource {
	return convert(s.org.Held().Why(s.user, permission), s.source)
}

func (s sources) source(way effective.Source) *authfiv1.GrantSource {
	grant := &authfiv1.GrantSource{RoleId: way.Role.String(), Permission: string(way.Names)}
	if r, ok := s.org.Role(way.Role); ok {
		grant.Role = r.Name
	}
	if !way.Group.IsZero() {
		grant.Path = convert(s.path(way), s.step)
		via := s.step(way.Group)
		grant.Via, grant.ViaId = via.Name, via.Id
	}
	if a, ok := s.assignment(way); ok {
		grant.AssignmentId, grant.By = a.ID.String(), a.By.String()
		grant.Since, grant.Expires = timestamp(a.Created), timestamp(a.Expires)
	}
	return grant
}

// path is the way from the user's own group up to the one that has the role.
func (s sources) path(way effective.Source) []directory.GroupID {
	if way.Member == way.Group { // most groups are nested in none
		return []directory.GroupID{way.Group}
	}
	return s.permissions().Path(way.Member, way.Group)
}

// assignment is the one that a way starts from, where that is known.
func (s sources) assignment(way effective.Source) (*directory.Assignment, bool) {
	holder := s.user
	if !way.Group.IsZero() {
		holder = directory.UserID{}
	}
	if s.told != nil {
		return nil, false
	}
	return s.org.AssignmentOf(way.Role, holder, way.Group)
}

func (s sources) step(id directory.GroupID) *authfiv1.GroupStep {
	step := &authfiv1.GroupStep{Id: id.String()}
	if g, ok := s.org.Group(id); ok {
		step.Name = g.Name
	}
	return step
}
