package policy

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

// matchFolded is match for a service: the pattern and the path are lowered, and the
// path is tried with and without a slash at its end.
func matchFolded(s *Service, pattern, path string) bool {
	if s.FoldCase {
		if !isASCII(path) {
			return false
		}
		pattern, path = strings.ToLower(pattern), strings.ToLower(path)
	}
	if match(pattern, path) {
		return true
	}
	if !s.FoldSlash || path == "/" {
		return false
	}
	if bare, ok := strings.CutSuffix(path, "/"); ok {
		return match(pattern, bare)
	}
	return match(pattern, path+"/")
}

// decides is the number of the route that decides, NoRoute when none does, by
// comparing every pair of routes.
func decides(s *Service, method int, path string) int {
	found := NoRoute
	for i := range s.Routes {
		r := &s.Routes[i]
		if len(r.Methods) > 0 && !slices.Contains(r.Methods, methodNames[method]) || !matchFolded(s, r.Path, path) {
			continue
		}
		if found == NoRoute || s.moreSpecific(r, &s.Routes[found]) {
			found = i
		}
	}
	return found
}

// moreSpecific compares what the patterns mean: where slashes are folded an end can
// meet a rest, which is less specific.
func (s *Service) moreSpecific(a, b *Route) bool {
	left, right := *a, *b
	left.Path, right.Path = s.canonical(a.Path), s.canonical(b.Path)
	switch {
	case right.Path == left.Path+"/**":
		return true
	case left.Path == right.Path+"/**":
		return false
	}
	return moreSpecific(&left, &right)
}

func randomService(rng *rand.Rand) *Service {
	words := []string{"a", "B", "b", "aB", "*", "**"}
	s := &Service{FoldCase: rng.Intn(2) == 0, FoldSlash: rng.Intn(2) == 0, DryRun: rng.Intn(4) == 0, Version: uint64(rng.Intn(9))}
	for range 1 + rng.Intn(7) {
		r := randomRoute(rng, words)
		if rng.Intn(4) == 0 && !strings.HasSuffix(r.Path, "**") {
			r.Path += "/"
		}
		s.Routes = append(s.Routes, r)
	}
	return s
}

func foldedPath(rng *rand.Rand) (path string) {
	for range 1 + rng.Intn(4) {
		path += "/" + []string{"a", "B", "b", "A", "ab", "AB", "c", "\u212a", ""}[rng.Intn(9)]
	}
	return path
}

func TestServiceAgreesWithTheObviousMatcher(t *testing.T) {
	compiled, decided := 0, 0
	for seed := int64(1); seed <= 400; seed++ {
		rng := rand.New(rand.NewSource(seed))
		s := randomService(rng)
		program, err := s.Compile(1, NewNumbering(s.Routes))
		if err != nil {
			continue // two routes with one pattern and method
		}
		compiled++
		for range 200 {
			path, method := foldedPath(rng), rng.Intn(len(methodNames))
			flow := Flow{Method: method, State: program.walk(path)}
			want := decides(s, method, path)
			if got := program.Route(flow); got != want {
				t.Fatalf("seed %d: %s %s: route %d, want %d of %+v", seed, methodNames[method], path, got, want, s)
			}
			if want == NoRoute {
				continue
			}
			decided++
			rule := program.rule(flow)
			if rule == nil || (rule.Action == Public) != s.Routes[want].Public || program.Version() != s.Version || program.DryRun() != s.DryRun {
				t.Fatalf("seed %d: %s %s: rule %+v of %+v", seed, methodNames[method], path, rule, s)
			}
		}
	}
	if compiled < 100 || decided < 1000 {
		t.Errorf("only %d services and %d decisions", compiled, decided)
	}
}

// An application that ignores case or a slash at the end sees one path where the
// policy saw two, and the weaker rule of the other let a request through.
func TestPathsThatAreOneToTheApplicationAreOneToThePolicy(t *testing.T) {
	routes := []Route{{Path: "/**", Public: true}, {Path: "/Admin", Roles: []string{"admin"}}, {Path: "/Admin/**", Roles: []string{"admin"}}}
	s := Service{Routes: routes, FoldCase: true, FoldSlash: true}
	program, err := s.Compile(1, NewNumbering(routes))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/Admin": 1, "/admin": 1, "/ADMIN/": 1, "/aDmIn/x": 2, "/admin/x/": 2, "/admi": 0, "/": 0, "/admin\u0130": NoRoute, "/x\xff": NoRoute,
	} {
		if got := program.Route(Flow{State: program.walk(path)}); got != want {
			t.Errorf("%s: route %d, want %d", path, got, want)
		}
	}
}

// With the slash as a segment of its own, the pattern without it counted as more
// specific, and its rule for all methods beat the other's for one.
func TestNamedMethodWinsWhicheverSpellingItHas(t *testing.T) {
	for _, routes := range [][]Route{
		{{Path: "/a"}, {Methods: []string{"GET"}, Path: "/a/"}}, {{Path: "/a/"}, {Methods: []string{"GET"}, Path: "/a"}},
	} {
		s := Service{Routes: routes, FoldSlash: true}
		program, err := s.Compile(1, NewNumbering(routes))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/a", "/a/"} {
			state := program.walk(path)
			if get, put := program.Route(Flow{State: state}), program.Route(Flow{State: state, Method: MethodPut}); get != 1 || put != 0 {
				t.Errorf("%v: GET %s is decided by route %d, PUT by %d", routes, path, get, put)
			}
		}
	}
}

func TestRoutesThatFoldToOneAreRefused(t *testing.T) {
	for why, s := range map[string]Service{
		"in case":              {FoldCase: true, Routes: []Route{{Path: "/a/B"}, {Path: "/A/b"}}},
		"in a slash":           {FoldSlash: true, Routes: []Route{{Path: "/a"}, {Path: "/a/"}}},
		"in both":              {FoldCase: true, FoldSlash: true, Routes: []Route{{Path: "/A"}, {Path: "/a/"}}},
		"a path beyond ASCII":  {FoldCase: true, Routes: []Route{{Path: "/\u00e9"}}},
		"a control character":  {Routes: []Route{{Path: "/a\x01"}}},
		"public with a choice": {Routes: []Route{{Path: "/a", Public: true, PermissionsAny: []string{"read:a"}}}},
	} {
		if err := s.Validate(); err == nil {
			t.Errorf("%s: accepted", why)
		}
		s.FoldCase, s.FoldSlash = false, false
		if err := s.Validate(); strings.HasPrefix(why, "in ") && err != nil {
			t.Errorf("%s, without folding: %v", why, err)
		}
	}
}

// TestEveryCombinationOfRights compares the bits with the lists, for every set of
// demands over two roles and two permissions, and everything that one may have.
func TestEveryCombinationOfRights(t *testing.T) {
	roles, permissions := []string{"a", "b"}, []string{"read:a", "read:b"}
	subset := func(names []string, bits int) (some []string) {
		for i, name := range names {
			if bits>>i&1 == 1 {
				some = append(some, name)
			}
		}
		return some
	}
	has := func(have []string) func(string) bool {
		return func(name string) bool { return slices.Contains(have, name) }
	}
	all := func(want []string, has func(string) bool) bool {
		return !slices.ContainsFunc(want, func(name string) bool { return !has(name) })
	}
	for demand := range 256 {
		r := Route{
			Path: "/", Roles: subset(roles, demand), RolesAll: subset(roles, demand>>2),
			Permissions: subset(permissions, demand>>4), PermissionsAny: subset(permissions, demand>>6),
		}
		numbers := NewNumbering([]Route{r})
		rule, err := ruleOf(1, &r, numbers)
		if err != nil {
			t.Fatal(err)
		}
		for held := range 16 {
			haveRoles, havePermissions := subset(roles, held), subset(permissions, held>>2)
			want := (len(r.Roles) == 0 || slices.ContainsFunc(r.Roles, has(haveRoles))) && all(r.RolesAll, has(haveRoles)) &&
				all(r.Permissions, has(havePermissions)) && (len(r.PermissionsAny) == 0 || slices.ContainsFunc(r.PermissionsAny, has(havePermissions)))
			if got := rule.checkRights(numbers.Rights(haveRoles, func(p directory.Permission) bool { return slices.Contains(havePermissions, string(p)) })); got.Allows() != want {
				t.Fatalf("%+v with %v %v: %s", r, haveRoles, havePermissions, got)
			}
		}
	}
}

func TestChoiceIsOneBitWhateverItsOrder(t *testing.T) {
	n := NewNumbering([]Route{{PermissionsAny: []string{"read:b", "read:a"}}, {PermissionsAny: []string{"read:a", "read:b", "read:a"}}})
	if len(n.choices) != 1 || len(n.bits) != 1 || len(n.choices[0].Permissions) != 2 {
		t.Errorf("choices %v, bits %v", n.choices, n.bits)
	}
}

func TestAsManyNamesAsBitsAndOneMore(t *testing.T) {
	routes := []Route{{Path: "/"}}
	for i := range RightsMax {
		routes[0].RolesAll = append(routes[0].RolesAll, fmt.Sprint("role-", i))
	}
	if err := NewNumbering(routes).Check(); err != nil {
		t.Error(err)
	}
	if _, err := Compile(1, routes, NewNumbering(routes)); err != nil {
		t.Error(err)
	}
	routes[0].PermissionsAny = []string{"read:a"}
	if NewNumbering(routes).Check() == nil {
		t.Error("one more is accepted")
	}
	if _, err := Compile(1, routes, NewNumbering(routes)); err == nil {
		t.Error("one more compiles")
	}
}

func TestDryRunStandsInEveryRow(t *testing.T) {
	for _, routes := range [][]Route{nil, {{Path: "/a/*"}}} {
		s := Service{Routes: routes, DryRun: true}
		program, err := s.Compile(1, NewNumbering(routes))
		if err != nil {
			t.Fatal(err)
		}
		if program.Start() == 0 || program.Rows[0].Flags != 0 {
			t.Errorf("start %d, flags of row 0 %d", program.Start(), program.Rows[0].Flags)
		}
		for i, row := range program.Rows[1:] {
			if row.Flags != RowDryRun {
				t.Errorf("row %d: flags %d", i+1, row.Flags)
			}
		}
		d := program.Name(Flow{State: program.walk("/nowhere")}, ReasonNoRoute)
		if !d.Lets() || d.Route != NoRoute {
			t.Errorf("decision %+v", d)
		}
	}
	if (Decision{Reason: ReasonRights}).Lets() || (*Program)(nil).DryRun() {
		t.Error("a service that is enforced lets through what it refuses")
	}
}
