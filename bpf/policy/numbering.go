package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Numbering gives the roles and permissions that routes name their bits. The
// zero value numbers nothing.
type Numbering struct {
	bits        map[string]int
	permissions []string // each once
	choices     []Choice // each once
	id          uint64
}

// Choice is a set of permissions of which a route asks for one. It has one bit,
// which is set by whoever writes a user's rights: a gate never looks at the
// permissions in it.
type Choice struct {
	Name        string
	Permissions []string
}

// choice is the name of one, whatever the order in which its permissions are listed.
func choice(permissions []string) string {
	return "choice " + strings.Join(sorted(permissions), " ")
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// RoleName and PermissionName keep a role from meeting a permission of the same
// text.
func RoleName(role string) string             { return "role " + role }
func PermissionName(permission string) string { return "permission " + permission }

// NewNumbering numbers all names of the routes in sorted order.
func NewNumbering(routes []Route) *Numbering {
	n := &Numbering{bits: map[string]int{}}
	var names []string
	for _, r := range routes {
		for _, role := range r.Roles {
			names = append(names, RoleName(role))
		}
		names = append(names, r.everyOne()...)
		n.permissions = append(n.permissions, r.Permissions...)
		if len(r.PermissionsAny) > 0 {
			n.choices = append(n.choices, Choice{choice(r.PermissionsAny), sorted(r.PermissionsAny)})
		}
	}
	slices.SortFunc(n.choices, func(a, b Choice) int { return strings.Compare(a.Name, b.Name) })
	n.choices = slices.CompactFunc(n.choices, func(a, b Choice) bool { return a.Name == b.Name })
	n.permissions = sorted(n.permissions)
	names = sorted(names)
	n.id = numberingID(names)
	for i, name := range names {
		n.bits[name] = i
	}
	return n
}

// Check refuses more names than a mask has bits: a service whose routes ask for one
// of those beyond would close.
func (n *Numbering) Check() error {
	if len(n.bits) > RightsMax {
		return tooManyRights()
	}
	return nil
}

func tooManyRights() error {
	return directory.Exhausted("policies", "the organization's routes name more than %d roles and permissions", RightsMax)
}

// numberingID is a digest of the names, so that two numberings have the same id
// where every bit has the same meaning, whichever process made them. It is
// never zero.
func numberingID(names []string) uint64 {
	sum := sha256.New()
	for _, name := range names {
		fmt.Fprintf(sum, "%d %s", len(name), name)
	}
	return max(1, binary.BigEndian.Uint64(sum.Sum(nil)))
}

// With adds the bit of a name, if routes name it.
func (n *Numbering) With(r Rights, name string) Rights {
	r.Numbering = n.id
	if bit, ok := n.bits[name]; ok && bit < RightsMax {
		r.Mask[bit/64] |= 1 << (bit % 64)
	}
	return r
}

// Rights are those of who has these roles and holds these permissions, of what
// routes name.
func (n *Numbering) Rights(roles []string, holds func(directory.Permission) bool) (r Rights) {
	for _, role := range roles {
		r = n.With(r, RoleName(role))
	}
	for _, p := range n.permissions {
		if holds(directory.Permission(p)) {
			r = n.With(r, PermissionName(p))
		}
	}
	for _, c := range n.choices {
		if slices.ContainsFunc(c.Permissions, func(p string) bool { return holds(directory.Permission(p)) }) {
			r = n.With(r, c.Name)
		}
	}
	return r
}

// mask is the bits of names, all of which must have one.
func (n *Numbering) mask(names []string, kind func(string) string) (m Mask, err error) {
	for _, name := range names {
		bit, ok := n.bits[kind(name)]
		if !ok || bit >= RightsMax {
			return m, tooManyRights()
		}
		m[bit/64] |= 1 << (bit % 64)
	}
	return m, nil
}
