package effective

import (
	"slices"

	"github.com/authfi/authfi/directory"
)

// PutRole creates a role or replaces its permissions. Its limits count what
// exists, not what ever did, so that a node that reloaded decides like the rest.
func (e *Editor) PutRole(id directory.RoleID, ps []directory.Permission) error {
	ps = slices.Clone(ps)
	slices.Sort(ps)
	ps = slices.Compact(ps)
	r := e.role(id)
	if r == nil && e.roles.live >= RolesMax {
		return directory.Exhausted("roles", "an organization has at most %d roles", RolesMax)
	}
	if e.perms.live+e.unknown(ps) > PermissionsMax {
		return directory.Exhausted("permissions", "an organization's roles name at most %d permissions", PermissionsMax)
	}
	if r == nil {
		r = &role{ordinal: e.roles.next(), id: id}
	}
	changed := *r
	changed.perms = e.permOrdinals(ps)
	for _, p := range changed.perms {
		e.grant(p, r.ordinal)
	}
	for _, p := range r.perms {
		if _, stays := slices.BinarySearch(changed.perms, p); !stays {
			e.revoke(p, r.ordinal)
		}
	}
	e.setRole(&changed)
	return nil
}

func (e *Editor) unknown(ps []directory.Permission) (n int) {
	for _, p := range ps {
		if e.permission(p) == nil {
			n++
		}
	}
	return n
}

// permOrdinals names each permission, making the ones that no role had.
func (e *Editor) permOrdinals(ps []directory.Permission) []uint32 {
	ordinals := make([]uint32, len(ps))
	for i, p := range ps {
		row := e.permission(p)
		if row == nil {
			row = &permission{ordinal: e.perms.next(), name: p}
			e.setPermission(row)
		}
		ordinals[i] = row.ordinal
	}
	slices.Sort(ordinals)
	return ordinals
}

func (e *Editor) setPermission(p *permission) {
	e.perms.set(p.ordinal, p, e.token)
	e.permByName.put(p, e.token)
	if _, wild := p.name.Verb(); wild {
		e.wildByVerb.put((*wildcard)(p), e.token)
	}
}

func (e *Editor) grant(p, r uint32) {
	row := e.perms.at(p)
	if row.grantedBy(r) {
		return
	}
	changed := *row
	changed.roles = make([]uint64, max(len(row.roles), int(r>>6)+1))
	copy(changed.roles, row.roles)
	changed.roles[r>>6] |= 1 << (r & 63)
	e.setPermission(&changed)
}

// revoke drops the permission with its last role.
func (e *Editor) revoke(p, r uint32) {
	changed := *e.perms.at(p)
	changed.roles = slices.Clone(changed.roles)
	changed.roles[r>>6] &^= 1 << (r & 63)
	for n := len(changed.roles); n > 0 && changed.roles[n-1] == 0; n-- {
		changed.roles = changed.roles[:n-1]
	}
	if len(changed.roles) > 0 {
		e.setPermission(&changed)
		return
	}
	e.perms.drop(p, e.token)
	e.permByName.drop(nameKey(changed.name), e.token)
	if verb, wild := changed.name.Verb(); wild {
		e.wildByVerb.drop(nameKey(verb), e.token)
	}
}

// DeleteRole takes a role from everybody and forgets it. Its grants go first,
// so that no half-done deletion leaves a permission.
func (e *Editor) DeleteRole(id directory.RoleID) error {
	r, err := e.findRole(id)
	if err != nil {
		return err
	}
	for _, p := range r.perms {
		e.revoke(p, r.ordinal)
	}
	r.groups.each(func(g uint32) bool { e.dropGroupRole(g, r.ordinal); return true })
	r.users.each(func(u uint32) bool { e.setUserRole(u, r.ordinal, false); return true })
	e.roles.drop(r.ordinal, e.token)
	e.roleByID.drop(idKey(id), e.token)
	return nil
}
