package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Limits of one service's routes, refused when they are written.
const (
	RoutesMax  = directory.RoutesPerServiceMax
	PatternMax = 512  // bytes; longer than any honest route
	StatesMax  = 8192 // of the automaton: half of the kernel's, so that a swap fits
	AcceptsMax = 1024 // distinct rule sets
	RightsMax  = Words * 64
)

// methodNames are the methods of an Accept, by index.
var methodNames = [...]string{
	MethodGet: "GET", MethodHead: "HEAD", MethodPost: "POST", MethodPut: "PUT",
	MethodDelete: "DELETE", MethodPatch: "PATCH", MethodOptions: "OPTIONS",
}

// Route is one route policy: what a request on a method and a path needs.
type Route struct {
	Methods     []string // empty: all
	Path        string   // "*" is one non-empty segment, "**" at the end is the rest
	Roles       []string // one of them
	Permissions []string // all of them
	MFA         bool
	Public      bool // without a token
	Upgrade     bool
	GetBody     bool
}

// Validate checks routes one by one and against each other.
func Validate(routes []Route) error {
	if len(routes) > RoutesMax {
		return directory.Invalid("policies", "more than %d routes", RoutesMax)
	}
	seen := map[string]int{}
	for i, r := range routes {
		if err := r.validate(i); err != nil {
			return err
		}
		for _, m := range r.methods() {
			key := fmt.Sprint(m, r.Path, len(r.Methods) == 0)
			if first, twice := seen[key]; twice {
				return directory.Invalid(field(i, "path"), "%s %s is already route %d", methodNames[m], r.Path, first)
			}
			seen[key] = i
		}
	}
	return nil
}

func field(i int, name string) string { return fmt.Sprintf("policies[%d].%s", i, name) }

func (r *Route) validate(i int) error {
	for _, m := range r.Methods {
		if !slices.Contains(methodNames[:], m) {
			return directory.Invalid(field(i, "methods"), "%q is not one of %s", m, strings.Join(methodNames[:], " "))
		}
	}
	if r.Public && (len(r.Roles) > 0 || len(r.Permissions) > 0 || r.MFA) {
		return directory.Invalid(field(i, "public"), "a public route cannot ask for roles, permissions or MFA")
	}
	for _, p := range r.Permissions {
		if err := directory.Permission(p).Check(); err != nil {
			return directory.Invalid(field(i, "permissions"), "%q is not of the form verb:noun", p)
		}
	}
	for _, role := range r.Roles {
		if err := directory.CheckText(field(i, "roles"), role, directory.NameMax, true); err != nil {
			return err
		}
	}
	return r.validatePath(i)
}

func (r *Route) validatePath(i int) error {
	if !strings.HasPrefix(r.Path, "/") || len(r.Path) > PatternMax {
		return directory.Invalid(field(i, "path"), "must begin with / and have at most %d bytes", PatternMax)
	}
	segments := strings.Split(r.Path[1:], "/")
	for k, s := range segments {
		last := k == len(segments)-1
		switch {
		case s == "**" && !last:
			return directory.Invalid(field(i, "path"), "** may only be the last segment")
		case s == "*" || s == "**":
		case s == "" && !last, s == ".", s == "..":
			return directory.Invalid(field(i, "path"), "segment %q can never be requested", s)
		case strings.ContainsAny(s, "*%?#;\\"):
			return directory.Invalid(field(i, "path"), "segment %q holds a character that no decoded path has", s)
		}
	}
	return nil
}

// methods are the indexes of the route's methods.
func (r *Route) methods() (ms []int) {
	for m, name := range methodNames {
		if len(r.Methods) == 0 || slices.Contains(r.Methods, name) {
			ms = append(ms, m)
		}
	}
	return ms
}

// Numbering gives the roles and permissions that routes name their bits. The
// zero value numbers nothing.
type Numbering struct {
	bits map[string]int
	id   uint64
}

// RoleName and PermissionName keep a role from meeting a permission of the same
// text.
func RoleName(role string) string             { return "role " + role }
func PermissionName(permission string) string { return "permission " + permission }

// NewNumbering numbers all names of the routes in sorted order.
func NewNumbering(routes []Route) *Numbering {
	var names []string
	for _, r := range routes {
		for _, role := range r.Roles {
			names = append(names, RoleName(role))
		}
		for _, p := range r.Permissions {
			names = append(names, PermissionName(p))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	n := &Numbering{bits: map[string]int{}, id: numberingID(names)}
	for i, name := range names {
		n.bits[name] = i
	}
	return n
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

// mask is the bits of names, all of which must have one.
func (n *Numbering) mask(names []string, kind func(string) string) (m Mask, err error) {
	for _, name := range names {
		bit, ok := n.bits[kind(name)]
		if !ok || bit >= RightsMax {
			return m, directory.Exhausted("policies", "the organization's routes name more than %d roles and permissions", RightsMax)
		}
		m[bit/64] |= 1 << (bit % 64)
	}
	return m, nil
}
