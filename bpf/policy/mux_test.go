package policy

import (
	"bufio"
	"fmt"
	"math/rand"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// served is the handler of one route in net/http's router.
type served int

func (served) ServeHTTP(http.ResponseWriter, *http.Request) {}

// muxPattern is a route's path in the words of net/http.
func muxPattern(path string) string {
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		switch s {
		case "*":
			segments[i] = fmt.Sprintf("{p%d}", i)
		case "**":
			segments[i] = "{rest...}"
		case "": // the last one
			segments[i] = "{$}"
		}
	}
	return "/" + strings.Join(segments, "/")
}

// newMux is the application: a router with the policy's own patterns. net/http
// refuses to choose between patterns that we order, such as /a/* and /*/b.
func newMux(routes []Route) (mux *http.ServeMux, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	mux = http.NewServeMux()
	for i, r := range routes {
		if len(r.Methods) == 0 {
			mux.Handle(muxPattern(r.Path), served(i))
		}
		for _, m := range r.Methods {
			mux.Handle(m+" "+muxPattern(r.Path), served(i))
		}
	}
	return mux, true
}

// agreeOnRoute sends one request line to the machine and to net/http's router: a
// request that the machine takes and the application serves is decided by the route
// that the application serves it with.
func agreeOnRoute(t *testing.T, routes []Route, p *Program, mux *http.ServeMux, method, target string) (compared bool) {
	t.Helper()
	stream := method + " " + target + " HTTP/1.1\r\n" + host + "\r\n"
	all, refusal := readAll(p, []byte(stream), []int{len(stream)})
	if refusal != ReasonAllowed || len(all) != 1 {
		return false
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(stream)))
	if err != nil {
		t.Fatalf("%q is taken, net/http says %v", stream, err)
	}
	got := p.Route(all[0].flow)
	handler, pattern := mux.Handler(r)
	number, ok := handler.(served)
	switch {
	case ok && int(number) != got:
		t.Fatalf("%q: route %d decides, net/http serves %d (%s) of %v", stream, got, number, pattern, routes)
	case !ok && pattern == "" && got != NoRoute:
		t.Fatalf("%q: route %d decides, net/http has none of %v", stream, got, routes)
	}
	return ok
}

// muxRoutes are routes that both can hold. A route for GET serves HEAD in net/http
// and not here, which is stricter; so HEAD is named wherever GET is.
func muxRoutes(rng *rand.Rand) (routes []Route) {
	words := []string{"a", "b", "ab", "A", "k", "*", "**", "a b", "\u212a", "a.b"}
	for range 1 + rng.Intn(6) {
		r := randomRoute(rng, words)
		if slices.Contains(r.Methods, "GET") {
			r.Methods = append(r.Methods, "HEAD")
		} else if slices.Contains(r.Methods, "HEAD") {
			r.Methods = append(r.Methods, "GET")
		}
		if rng.Intn(4) == 0 && !strings.HasSuffix(r.Path, "**") {
			r.Path += "/"
		}
		routes = append(routes, r)
	}
	return routes
}

func randomTarget(rng *rand.Rand) (target string) {
	pieces := []string{
		"a", "b", "ab", "A", "k", "a%20b", "%61", "%E2%84%AA", "a.b", "%2e%2e", "%2F", "..", ".", "", ";x", "%00", "\\", "a%2", "a+b", "~", ":", "a?x=/b", "#",
	}
	for range 1 + rng.Intn(4) {
		target += "/" + pieces[rng.Intn(len(pieces))]
	}
	return target
}

func TestPathsLeadWhereNetHTTPLeadsThem(t *testing.T) {
	compared := 0
	for seed := int64(1); seed <= 500; seed++ {
		rng := rand.New(rand.NewSource(seed))
		routes := muxRoutes(rng)
		p, err := Compile(1, routes, NewNumbering(routes))
		mux, ok := newMux(routes)
		if err != nil || !ok {
			continue
		}
		for range 200 {
			if agreeOnRoute(t, routes, p, mux, methodNames[rng.Intn(len(methodNames))], randomTarget(rng)) {
				compared++
			}
		}
	}
	if compared < 2000 {
		t.Errorf("only %d requests were served by both", compared)
	}
}

// FuzzPath does the same with any target.
func FuzzPath(f *testing.F) {
	for seed := range int64(20) {
		f.Add(seed, uint8(seed), randomTarget(rand.New(rand.NewSource(seed))))
	}
	f.Fuzz(func(t *testing.T, seed int64, method uint8, target string) {
		if strings.ContainsAny(target, " \r\n") || target == "" {
			return
		}
		rng := rand.New(rand.NewSource(seed))
		routes := muxRoutes(rng)
		p, err := Compile(1, routes, NewNumbering(routes))
		mux, ok := newMux(routes)
		if err != nil || !ok {
			return
		}
		agreeOnRoute(t, routes, p, mux, methodNames[int(method)%len(methodNames)], target)
	})
}

// FuzzService compares the automaton with the obvious matcher on any path, folded or
// not.
func FuzzService(f *testing.F) {
	for seed := range int64(20) {
		f.Add(seed, uint8(seed), foldedPath(rand.New(rand.NewSource(seed))))
	}
	f.Fuzz(func(t *testing.T, seed int64, method uint8, path string) {
		if !strings.HasPrefix(path, "/") {
			return
		}
		s := randomService(rand.New(rand.NewSource(seed)))
		p, err := s.Compile(1, NewNumbering(s.Routes))
		if err != nil {
			return
		}
		m := int(method) % len(methodNames)
		if got, want := p.Route(Flow{Method: m, State: p.walk(path)}), decides(s, m, path); got != want {
			t.Fatalf("%s %q: route %d, want %d of %+v", methodNames[m], path, got, want, s)
		}
	})
}
