package main

import "strconv"

// kind is what a relation of the directory says.
type kind int

const (
	member    kind = iota // a user is in a group
	userRole              // a user has a role
	groupRole             // a group has a role
	grant                 // a role grants a permission
)

// relation joins two things by number: the first has the second, or is in it.
type relation struct {
	kind          kind
	first, second int32
}

// relations are everything that the directory says, in the order of its lists.
func (d *Directory) relations() (all []relation) {
	for user, groups := range d.UserGroups {
		for _, group := range groups {
			all = append(all, relation{member, int32(user), group})
		}
		all = append(all, relation{userRole, int32(user), d.UserRole[user]})
	}
	for group, roles := range d.GroupRoles {
		for _, role := range roles {
			all = append(all, relation{groupRole, int32(group), role})
		}
	}
	for role, permissions := range d.RolePermissions {
		for _, permission := range permissions {
			all = append(all, relation{grant, int32(role), permission})
		}
	}
	return all
}

// name is how the peers call a thing: their ids take no colon.
func name(letter string, number int32) string { return letter + strconv.Itoa(int(number)) }
