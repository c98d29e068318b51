package policy

import (
	"math/rand"
	"strings"
	"testing"
	"unsafe"
)

func TestLayoutIsTheKernels(t *testing.T) {
	for name, sizes := range map[string][2]uintptr{
		"rule":   {unsafe.Sizeof(Rule{}), 80},
		"accept": {unsafe.Sizeof(Accept{}), 640},
		"row":    {unsafe.Sizeof(Row{}), 536},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s has %d bytes, src/maps.h %d", name, sizes[0], sizes[1])
		}
	}
}

func TestNumberingIsKnownByWhatItNumbers(t *testing.T) {
	id := func(roles, permissions []string) uint64 {
		return NewNumbering([]Route{{Roles: roles, Permissions: permissions}}).id
	}
	first := id([]string{"a", "b"}, []string{"read:x"})
	if again := id([]string{"b", "a", "a"}, []string{"read:x"}); again != first {
		t.Error("the same names in another order have another id")
	}
	for _, other := range []uint64{
		id([]string{"a", "b"}, nil), id([]string{"a", "b", "c"}, []string{"read:x"}), id([]string{"ab"}, []string{"read:x"}),
		id([]string{"a", "b", "read:x"}, nil), id(nil, nil),
	} {
		if other == first || other == 0 {
			t.Errorf("id %d, the first's is %d", other, first)
		}
	}
	if r := new(Numbering).With(Rights{}, RoleName("a")); r != (Rights{}) {
		t.Errorf("no numbering gives %v", r)
	}
}

// match is the slow, obvious matcher: segment by segment.
func match(pattern, path string) bool {
	want, have := strings.Split(pattern[1:], "/"), strings.Split(path[1:], "/")
	for i, w := range want {
		if w == "**" {
			return len(have) >= i+1
		}
		if i >= len(have) || w != have[i] && (w != "*" || have[i] == "") {
			return false
		}
	}
	return len(want) == len(have)
}

// best finds the rule of the most specific matching route, by comparing every
// pair of segments.
func best(routes []Route, method int, path string) (found *Route) {
	for i := range routes {
		r := &routes[i]
		named := len(r.Methods) > 0
		if !match(r.Path, path) || named && !strings.Contains(strings.Join(r.Methods, " "), methodNames[method]) {
			continue
		}
		if found == nil || moreSpecific(r, found) {
			found = r
		}
	}
	return found
}

func moreSpecific(a, b *Route) bool {
	weight := map[string]int{"**": 0, "*": 1}
	left, right := strings.Split(a.Path[1:], "/"), strings.Split(b.Path[1:], "/")
	for i := 0; i < len(left) && i < len(right); i++ {
		l, lok := weight[left[i]]
		r, rok := weight[right[i]]
		if !lok {
			l = 2
		}
		if !rok {
			r = 2
		}
		if l != r {
			return l > r
		}
	}
	return len(a.Methods) > 0 && len(b.Methods) == 0
}

func (p *Program) walk(path string) uint16 {
	s := p.Start()
	for i := range len(path) {
		s = p.Next(s, path[i])
	}
	return s
}

func TestAutomatonAgreesWithTheObviousMatcher(t *testing.T) {
	words := []string{"a", "b", "ab", "*", "**"}
	for seed := int64(1); seed <= 60; seed++ {
		rng := rand.New(rand.NewSource(seed))
		var routes []Route
		for range 1 + rng.Intn(7) {
			routes = append(routes, randomRoute(rng, words))
		}
		numbers := NewNumbering(routes)
		program, err := Compile(1, routes, numbers)
		if err != nil {
			continue // two routes with one pattern and method
		}
		for range 200 {
			path := randomPath(rng)
			method := rng.Intn(len(methodNames))
			got := program.rule(Flow{Method: method, State: program.walk(path)})
			want := best(routes, method, path)
			if (want == nil) != (got == nil || got.Action == Deny) {
				t.Fatalf("seed %d: %s %s: rule %+v, route %+v of %+v", seed, methodNames[method], path, got, want, routes)
			}
			if want == nil {
				continue
			}
			any, _ := numbers.mask(want.Roles, RoleName)
			if got.Any != any || (got.Action == Public) != want.Public {
				t.Fatalf("seed %d: %s %s: rule %+v, route %+v", seed, methodNames[method], path, got, want)
			}
		}
	}
}

func randomRoute(rng *rand.Rand, words []string) (r Route) {
	depth := 1 + rng.Intn(3)
	for i := range depth {
		w := words[rng.Intn(len(words))]
		if w == "**" && i < depth-1 {
			w = "*"
		}
		r.Path += "/" + w
	}
	if rng.Intn(2) == 0 {
		r.Methods = []string{methodNames[rng.Intn(len(methodNames))]}
	}
	if rng.Intn(3) == 0 {
		r.Public = true
	} else {
		r.Roles = []string{string(rune('A' + rng.Intn(20)))}
	}
	return r
}

func randomPath(rng *rand.Rand) (path string) {
	for range 1 + rng.Intn(4) {
		path += "/" + []string{"a", "b", "ab", "c", ""}[rng.Intn(5)]
	}
	return path
}

func TestRoutesThatCannotBeMeantAreRefused(t *testing.T) {
	for why, routes := range map[string][]Route{
		"an unknown method":           {{Methods: []string{"BREW"}, Path: "/a"}},
		"a path without a slash":      {{Path: "a"}},
		"** in the middle":            {{Path: "/**/a"}},
		"a star inside a segment":     {{Path: "/a*"}},
		"public with a role":          {{Path: "/a", Public: true, Roles: []string{"doctor"}}},
		"a permission without a noun": {{Path: "/a", Permissions: []string{"read"}}},
		"the same route twice":        {{Methods: []string{"GET"}, Path: "/a"}, {Methods: []string{"GET", "PUT"}, Path: "/a"}},
		"a dot segment":               {{Path: "/a/../b"}},
	} {
		if err := Validate(routes); err == nil {
			t.Errorf("%s is accepted", why)
		}
	}
}

func TestLongestPatternAndOneMore(t *testing.T) {
	path := "/" + strings.Repeat("a", PatternMax-1)
	if err := Validate([]Route{{Path: path}}); err != nil {
		t.Error(err)
	}
	if err := Validate([]Route{{Path: path + "a"}}); err == nil {
		t.Error("one byte more is accepted")
	}
}

func TestAnswersFitTheKernelsTable(t *testing.T) {
	for r := ReasonNoRoute; r <= ReasonInternal; r++ {
		for _, head := range []bool{false, true} {
			text := string(Response(r, head))
			if len(text) > 508 || !strings.HasPrefix(text, "HTTP/1.1 ") || !strings.Contains(text, "\r\nx-authfi-verdict: "+r.String()+"\r\n") {
				t.Errorf("%s: %d bytes: %.60q", r, len(text), text)
			}
			if body := strings.HasSuffix(text, "}"); body == head {
				t.Errorf("%s: head %v, body %v", r, head, body)
			}
		}
	}
}
