package admin

import (
	"context"
	"encoding/binary"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// ListPermissionUsers implements PermissionService. All pages of a list are from
// the index of the first; the caller's rights are asked again for each.
func (a *api) ListPermissionUsers(ctx context.Context, r *authfiv1.ListPermissionUsersRequest) (*authfiv1.ListPermissionUsersResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	permission := directory.Permission(r.GetPermission())
	if err := permission.Check(); err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId(), r.GetPermission())
	if err != nil {
		return nil, err
	}
	org, at, err := c.begun(pass, p)
	if err != nil {
		return nil, err
	}
	c.index(at.index)
	ids, total := org.Held().Who(permission, at.after, p.limit+1)
	answer := &authfiv1.ListPermissionUsersResponse{Total: int32(total), Index: uint64(at.index)}
	if len(ids) > p.limit {
		ids = ids[:p.limit]
		next := listPlace{at.index, ids[p.limit-1]}
		if answer.Cursor, err = p.cursor(next.bytes()); err != nil {
			return nil, err
		}
		if len(p.after) == 0 {
			pass.Pin()
		}
	}
	answer.Users = convert(ids, permissionHolder(org, permission))
	return answer, nil
}

// listPlace is where a list that stands still goes on: the index that all of its
// pages belong to, and the last user already seen.
type listPlace struct {
	index directory.Index
	after directory.UserID
}

func (l listPlace) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(l.index)), l.after[:]...)
}

// begun is the organization as the first page of the list saw it, and where the
// page begins. A node that has not got to that index waits for it.
func (c *call) begun(pass *access.Pass, p *page) (*state.Org, listPlace, error) {
	at := listPlace{index: pass.View().Applied()}
	if len(p.after) == 0 {
		return pass.View(), at, nil
	}
	if len(p.after) != len(at.bytes()) {
		return nil, at, errCursor()
	}
	at.index = directory.Index(binary.BigEndian.Uint64(p.after))
	copy(at.after[:], p.after[8:])
	if at.index > pass.View().Applied() {
		var err error
		if pass, err = c.admitted(pass.Org(), access.Freshness{AtLeast: at.index}); err != nil {
			return nil, at, err
		}
	}
	org, err := pass.At(at.index)
	return org, at, err
}

// permissionHolder shows a user who holds a permission, with every way.
func permissionHolder(org *state.Org, permission directory.Permission) func(directory.UserID) *authfiv1.PermissionHolder {
	return func(id directory.UserID) *authfiv1.PermissionHolder {
		h := &authfiv1.PermissionHolder{Id: id.String(), Source: sources{org: org, user: id}.of(permission)}
		if u, ok := org.User(id); ok {
			h.UserName, h.DisplayName, h.Email = u.UserName, u.DisplayName, u.Email
		}
		return h
	}
}
