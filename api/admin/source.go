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
	holder := s.user
	if !way.Group.IsZero() {
		holder = directory.UserID{}
		grant.Path = convert(s.permissions().Path(way.Member, way.Group), s.step)
		via := s.step(way.Group)
		grant.Via, grant.ViaId = via.Name, via.Id
	}
	if a, ok := s.org.AssignmentOf(way.Role, holder, way.Group); ok && s.told == nil {
		grant.AssignmentId, grant.By = a.ID.String(), a.By.String()
		grant.Since, grant.Expires = timestamp(a.Created), timestamp(a.Expires)
	}
	return grant
}

func (s sources) step(id directory.GroupID) *authfiv1.GroupStep {
	step := &authfiv1.GroupStep{Id: id.String()}
	if g, ok := s.org.Group(id); ok {
		step.Name = g.Name
	}
	return step
}
