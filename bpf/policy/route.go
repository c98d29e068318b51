package policy

import (
	"fmt"
	"iter"
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
	Methods        []string // empty: all
	Path           string   // "*" is one non-empty segment, "**" at the end is the rest
	Roles          []string // one of them
	RolesAll       []string // all of them
	Permissions    []string // all of them
	PermissionsAny []string // one of them
	MFA            bool
	Public         bool // without a token
	Upgrade        bool
	GetBody        bool
}

// MethodName is the method of a flow, empty of none.
func MethodName(method int) string {
	if method < 0 || method >= len(methodNames) {
		return ""
	}
	return methodNames[method]
}

// String is the route as people name it: its methods and its path.
func (r *Route) String() string {
	if len(r.Methods) == 0 {
		return "* " + r.Path
	}
	return strings.Join(r.Methods, ",") + " " + r.Path
}

func (r *Route) asksForRights() bool {
	return len(r.Roles)+len(r.RolesAll)+len(r.Permissions)+len(r.PermissionsAny) > 0
}

// everyOne are the names of the bits that are all needed.
func (r *Route) everyOne() (names []string) {
	for _, role := range r.RolesAll {
		names = append(names, RoleName(role))
	}
	for _, p := range r.Permissions {
		names = append(names, PermissionName(p))
	}
	if len(r.PermissionsAny) > 0 {
		names = append(names, choice(r.PermissionsAny))
	}
	return names
}

// Validate checks the routes of a service that is nothing else.
func Validate(routes []Route) error { return (&Service{Routes: routes}).Validate() }

// Field names a field of a route as requests have it.
func Field(i int, name string) string { return fmt.Sprintf("policies[%d].%s", i, name) }

func (r *Route) validate(i int) error {
	for _, m := range r.Methods {
		if !slices.Contains(methodNames[:], m) {
			return directory.Invalid(Field(i, "methods"), "%q is not one of %s", m, strings.Join(methodNames[:], " "))
		}
	}
	if r.Public && (r.asksForRights() || r.MFA) {
		return directory.Invalid(Field(i, "public"), "a public route cannot ask for roles, permissions or MFA")
	}
	for name, permissions := range r.permissionLists() {
		for _, p := range permissions {
			if err := directory.Permission(p).Check(); err != nil {
				return directory.Invalid(Field(i, name), "%q is not of the form verb:noun", p)
			}
		}
	}
	for name, roles := range r.roleLists() {
		for _, role := range roles {
			if err := directory.CheckText(Field(i, name), role, directory.NameMax, true); err != nil {
				return err
			}
		}
	}
	return r.validatePath(i)
}

// roleLists and permissionLists are the names that a route asks for, by field, in
// one order.
func (r *Route) roleLists() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		_ = yield("roles", r.Roles) && yield("roles_all", r.RolesAll)
	}
}

func (r *Route) permissionLists() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		_ = yield("permissions", r.Permissions) && yield("permissions_any", r.PermissionsAny)
	}
}

func (r *Route) validatePath(i int) error {
	if !strings.HasPrefix(r.Path, "/") || len(r.Path) > PatternMax {
		return directory.Invalid(Field(i, "path"), "must begin with / and have at most %d bytes", PatternMax)
	}
	segments := strings.Split(r.Path[1:], "/")
	for k, s := range segments {
		last := k == len(segments)-1
		switch {
		case s == "**" && !last:
			return directory.Invalid(Field(i, "path"), "** may only be the last segment")
		case s == "*" || s == "**":
		case s == "" && !last, s == ".", s == "..":
			return directory.Invalid(Field(i, "path"), "segment %q can never be requested", s)
		case strings.ContainsAny(s, "*%?#;\\") || hasControl(s):
			return directory.Invalid(Field(i, "path"), "segment %q holds a character that no decoded path has", s)
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

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
