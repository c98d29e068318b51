package policy

import (
	"fmt"
	"strings"
)

// Finding is what the linter has to say of one route.
type Finding struct {
	Route   int // index, NoRoute of the service as a whole
	Error   bool
	Code    string
	Message string
}

// FindingsMax bounds an answer: nobody reads more, and pairs of routes are many.
const FindingsMax = 100

// Codes of findings.
const (
	CodeEmpty             = "empty"       // there is no route: everything is refused
	CodeUnreachable       = "unreachable" // no request is ever decided by the route
	CodeShadowed          = "shadowed"    // nor any with some of its methods
	CodeWeaker            = "weaker"      // it decides before a route that asks for more
	CodeBroad             = "broad"       // everything below, for whoever has a token
	CodePublicWrite       = "public_write"
	CodeFolding           = "folding" // a path of another case would meet a weaker route
	CodeUnknownRole       = "unknown_role"
	CodeUnknownPermission = "unknown_permission"
	CodeMore              = "more" // there are findings beyond FindingsMax
)

// Names says which roles and permissions there are; nil: not known.
type Names struct{ Role, Permission func(string) bool }

// Lint names what is probably not meant, route by route, and as errors what can
// never work. It compiles: its error is the compiler's.
func (s *Service) Lint(names Names) ([]Finding, error) {
	c, err := s.compiler(1, NewNumbering(s.Routes))
	if err != nil {
		return nil, err
	}
	l := linter{compiler: c, won: make([]methodSet, len(s.Routes)), before: map[[2]int]bool{}}
	l.visit()
	if len(s.Routes) == 0 {
		l.note(NoRoute, CodeEmpty, "there is no route, so every request is refused")
	}
	for i := range s.Routes {
		l.reach(i)
		l.broad(i)
		l.names(i, names)
	}
	l.weaker()
	if more := len(l.found) - FindingsMax; more > 0 {
		l.found = append(l.found[:FindingsMax], Finding{NoRoute, false, CodeMore, fmt.Sprintf("and %d more", more)})
	}
	return l.found, nil
}

type methodSet [methodSlots]bool

type linter struct {
	*compiler
	won    []methodSet     // by route, the methods of which it decides some request
	before map[[2]int]bool // the first decides some request that the second matches, too
	found  []Finding
}

func (l *linter) note(route int, code, format string, args ...any) {
	l.found = append(l.found, Finding{Route: route, Error: code == CodeUnreachable, Code: code, Message: fmt.Sprintf(format, args...)})
}

// visit walks all states that a path can lead to which the gates take: no empty
// segment but the last, no segment of dots, no byte that is refused.
func (l *linter) visit() {
	type at struct {
		state uint16
		dots  uint8 // of the segment: 0 empty, 1 and 2 so many dots, 3 anything else
	}
	start := at{l.program.Next(l.program.Start(), '/'), 0}
	seen, next := make([][4]bool, len(l.program.Rows)), []at{start}
	seen[start.state][start.dots] = true
	for len(next) > 0 {
		here := next[len(next)-1]
		next = next[:len(next)-1]
		if here.state == 0 {
			continue
		}
		ends := here.dots == 0 || here.dots == 3
		if ends {
			l.decided(here.state)
		}
		for b := range 256 {
			dots, ok := nextDots(here.dots, byte(b))
			there := at{l.program.Next(here.state, byte(b)), dots}
			if ok && !seen[there.state][there.dots] {
				seen[there.state][there.dots] = true
				next = append(next, there)
			}
		}
	}
}

// nextDots is false of a byte that no path has there.
func nextDots(dots uint8, b byte) (uint8, bool) {
	switch {
	case b == '/':
		return 0, dots == 3
	case b < 0x20, b == 0x7f, strings.IndexByte("\\%;?#", b) >= 0:
		return 0, false
	case b == '.' && dots < 2:
		return dots + 1, true
	}
	return 3, true
}

func (l *linter) decided(state uint16) {
	for m, number := range l.program.deciding[state] {
		if number == 0 {
			continue
		}
		winner := int(number) - 1
		l.won[winner][m] = true
		for _, p := range l.sets[state] {
			if other := int(p.route); other != winner && l.routes[other].takes(m) && l.matches(p) {
				l.before[[2]int{winner, other}] = true
			}
		}
	}
}

func (r *Route) takes(method int) bool {
	if len(r.Methods) == 0 {
		return method < len(methodNames)
	}
	for _, m := range r.methods() {
		if m == method {
			return true
		}
	}
	return false
}

// reach finds methods of a route that others decide wherever it matches. A route for
// all methods beside one for some of them, on the same paths, is meant so.
func (l *linter) reach(i int) {
	r := &l.routes[i]
	var never []string
	any := false
	for _, m := range r.methods() {
		switch {
		case l.won[i][m]:
			any = true
		case !l.namedBeside(i, m):
			never = append(never, methodNames[m])
		}
	}
	switch {
	case !any:
		l.note(i, CodeUnreachable, "%s decides nothing: more specific routes match wherever it does", r)
	case len(never) > 0:
		l.note(i, CodeShadowed, "%s never decides %s: more specific routes match wherever it does", r, strings.Join(never, ", "))
	}
}

func (l *linter) namedBeside(i, method int) bool {
	for k := range l.routes {
		other := &l.routes[k]
		if k != i && len(other.Methods) > 0 && other.takes(method) && l.service.canonical(other.Path) == l.service.canonical(l.routes[i].Path) {
			return true
		}
	}
	return false
}

// broad finds routes that let in more than somebody who writes them in a hurry thinks.
func (l *linter) broad(i int) {
	r := &l.routes[i]
	rest := strings.HasSuffix(r.Path, "/**")
	switch {
	case rest && r.Public:
		l.note(i, CodeBroad, "%s opens everything below it that no other route names, without a token", r)
	case rest && !r.asksForRights() && !r.MFA:
		l.note(i, CodeBroad, "%s lets in any user of the organization, everywhere below it that no other route names", r)
	}
	if !r.Public {
		return
	}
	var writes []string
	for _, m := range []int{MethodPost, MethodPut, MethodPatch, MethodDelete} {
		if r.takes(m) {
			writes = append(writes, methodNames[m])
		}
	}
	if len(writes) > 0 {
		l.note(i, CodePublicWrite, "%s lets everybody %s without a token: name the methods that are meant", r, strings.Join(writes, ", "))
	}
}

func (l *linter) names(i int, names Names) {
	r := &l.routes[i]
	if names.Role != nil {
		for _, roles := range r.roleLists() {
			for _, role := range roles {
				if !names.Role(role) {
					l.note(i, CodeUnknownRole, "%s asks for the role %q, which there is not", r, role)
				}
			}
		}
	}
	if names.Permission != nil {
		for _, permissions := range r.permissionLists() {
			for _, p := range permissions {
				if !names.Permission(p) {
					l.note(i, CodeUnknownPermission, "%s asks for the permission %q, which no role grants", r, p)
				}
			}
		}
	}
}

// weaker finds routes that decide before others and do not ask for what those do:
// demands do not add up, the most specific route alone decides.
func (l *linter) weaker() {
	folded := l.service.FoldCase && l.service.FoldSlash
	warned := map[int]bool{}
	for i := range l.routes {
		for k := range l.routes {
			if !l.before[[2]int{i, k}] {
				continue
			}
			first, second := &l.routes[i], &l.routes[k]
			if lacks := first.lacks(second); lacks != "" {
				l.note(i, CodeWeaker, "%s decides before %s (route %d) and %s", first, second, k, lacks)
			}
			if lacks := second.lacks(first); lacks != "" && !folded && !warned[k] && strings.HasSuffix(second.Path, "/**") {
				warned[k] = true
				l.note(k, CodeFolding, "%s %s, as %s (route %d) does: should the application ignore case or a slash at the end, the path in another spelling is decided here", second, lacks, first, i)
			}
		}
	}
}

// lacks says what the other route asks for and this one does not.
func (r *Route) lacks(other *Route) string {
	switch {
	case other.Public:
		return ""
	case r.Public:
		return "does not ask for a token"
	case other.MFA && !r.MFA:
		return "does not ask for MFA"
	case other.asksForRights() && !r.asksForRights():
		return "asks for no role or permission"
	}
	return ""
}
