package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// asked is what a node was sent.
type asked struct{ method, path, body, key, index, match, token string }

// node answers as it is told and keeps what it was asked.
type node struct {
	*httptest.Server
	mu   sync.Mutex
	seen []asked
}

func newNode(t *testing.T, answer http.HandlerFunc) *node {
	t.Helper()
	n := &node{}
	n.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		n.seen = append(n.seen, asked{
			r.Method, r.URL.RequestURI(), string(body), r.Header.Get("Idempotency-Key"),
			r.Header.Get(headerIndex), r.Header.Get("If-Match"), r.Header.Get("Authorization"),
		})
		n.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(n.Close)
	return n
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(headerIndex, "7")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// clusterOf trusts the certificate that all of these nodes have.
func clusterOf(t *testing.T, patience time.Duration, nodes ...*node) *Cluster {
	t.Helper()
	config := Config{Token: "afk_t", Patience: patience, Client: nodes[0].Client()}
	for _, n := range nodes {
		config.Nodes = append(config.Nodes, n.URL)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patience outlasts every repetition of these tests.
const patience = 20 * time.Second

var (
	change = Operation{Name: "UpdateUser", Method: "PATCH", Path: "/api/v1/users/{id}", Body: "*", Conditional: true}
	read   = Operation{Name: "ListUsers", Method: "GET", Path: "/api/v1/users", Read: true}
	leave  = Operation{Name: "Leave", Method: "POST", Path: "/api/v1/members/leave", Body: "*", Local: true}
)

type user struct {
	ID    string `json:"id,omitzero"`
	Title string `json:"title,omitzero"`
}

// TestRepetition: what nobody answered is asked of the next node, under the same key,
// and what was learnt is demanded of every node from then on.
func TestRepetition(t *testing.T) {
	first := newNode(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	second := newNode(t, says(503, `{"code":"unknown_outcome"}`))
	third := newNode(t, says(200, `{"id":"u/1","title":"t"}`))
	c := clusterOf(t, patience, first, second, third)
	got, err := Ask[user](t.Context(), c, &change, user{ID: "u/1", Title: "t"}, []Option{IfVersion(3)})
	if err != nil || *got != (user{"u/1", "t"}) {
		t.Fatalf("%v, %v", got, err)
	}
	all := slices.Concat(first.seen, second.seen, third.seen)
	if len(all) != 3 {
		t.Fatalf("%d requests: %v", len(all), all)
	}
	for _, one := range all {
		want := asked{"PATCH", "/api/v1/users/u%2F1", `{"title":"t"}`, all[0].key, "", `"3"`, "Bearer afk_t"}
		if one != want || one.key == "" {
			t.Errorf("%v, want %v", one, want)
		}
	}
	if _, err := Ask[user](t.Context(), c, &read, struct{}{}, nil); err != nil || c.Index() != 7 {
		t.Errorf("%d, %v", c.Index(), err)
	}
	if last := third.seen[len(third.seen)-1]; last.index != "7" || last.key != "" || len(third.seen) != 2 {
		t.Errorf("the node that answers is asked on, with the index: %v", third.seen)
	}
}

// TestNoRepetition: what is answered for good, and what the next node would do to itself.
func TestNoRepetition(t *testing.T) {
	for status, kind := range map[int]error{403: ErrDenied, 404: ErrNotFound, 409: ErrConflict, 412: ErrChanged, 500: nil, 429: nil} {
		n := newNode(t, says(status, `{"code":"c","field":"version","detail":"d"}`))
		c := clusterOf(t, patience, n, n)
		_, err := Ask[user](t.Context(), c, &change, user{ID: "u"}, nil)
		p, ok := errors.AsType[*Problem](err)
		if !ok || p.Status != status || p.Code != "c" || p.Detail != "d" || kind != nil && !errors.Is(err, kind) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
		if len(n.seen) != 1 {
			t.Errorf("%d: asked %d times", status, len(n.seen))
		}
	}
	n := newNode(t, says(503, `{}`))
	if err := Do(t.Context(), clusterOf(t, patience, n), &leave, struct{}{}, nil); !errors.Is(err, ErrUnavailable) || len(n.seen) != 1 {
		t.Errorf("Leave was asked %d times: %v", len(n.seen), err)
	}
	if err := Do(t.Context(), clusterOf(t, patience, n, n), &leave, struct{}{}, nil); err == nil || len(n.seen) != 1 {
		t.Errorf("Leave was asked of any node: %v", err)
	}
}

// TestPatience ends a call, and so does its caller.
func TestPatience(t *testing.T) {
	n := newNode(t, says(503, `not JSON`))
	_, err := Ask[user](t.Context(), clusterOf(t, 100*time.Millisecond, n), &read, struct{}{}, nil)
	if !errors.Is(err, ErrUnavailable) || len(n.seen) == 0 {
		t.Errorf("%v after %d requests", err, len(n.seen))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	hangs := newNode(t, func(_ http.ResponseWriter, r *http.Request) { cancel(gone); <-r.Context().Done() })
	if _, err := Ask[user](ctx, clusterOf(t, patience, hangs), &read, struct{}{}, nil); !errors.Is(err, gone) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestRefused: what cannot be meant is refused before anybody is asked.
func TestRefused(t *testing.T) {
	n := newNode(t, says(200, `{}`))
	c := clusterOf(t, patience, n)
	for name, call := range map[string]func() error{
		"no id":               func() error { return Do(t.Context(), c, &change, user{}, nil) },
		"an id that goes up":  func() error { return Do(t.Context(), c, &change, user{ID: ".."}, nil) },
		"a version of a list": func() error { return Do(t.Context(), c, &read, user{}, []Option{IfVersion(1)}) },
		"a key of a list":     func() error { return Do(t.Context(), c, &read, user{}, []Option{IdempotencyKey("k")}) },
	} {
		if err := call(); err == nil || len(n.seen) > 0 {
			t.Errorf("%s: %v, asked %d times", name, err, len(n.seen))
		}
	}
	good := Config{Nodes: []string{n.URL}, Token: "t"}
	for name, spoil := range map[string]func(*Config){
		"no node":       func(c *Config) { c.Nodes = nil },
		"no TLS":        func(c *Config) { c.Nodes = []string{"http://127.0.0.1"} },
		"no credential": func(c *Config) { c.Token = "" },
		"no patience":   func(c *Config) { c.Patience = -1 },
		"no such CA":    func(c *Config) { c.CAFile = "missing.pem" },
	} {
		config := good
		spoil(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestPlaces: a field is in the path, the query or the body, as the operation has it.
func TestPlaces(t *testing.T) {
	in := struct {
		ID     string   `json:"id,omitzero"`
		Type   []string `json:"type,omitzero"`
		Strict bool     `json:"strict,omitzero"`
		Rules  []user   `json:"rules,omitzero"`
	}{"a?b", []string{"x y", "z"}, true, nil}
	for _, row := range []struct {
		body, path, sent string
		rules            []user
	}{
		{"", "/x/a%3Fb?strict=true&type=x+y&type=z", "", nil},
		{"*", "/x/a%3Fb", `{"strict":true,"type":["x y","z"]}`, nil},
		{"rules", "/x/a%3Fb?strict=true&type=x+y&type=z", `{"rules":[{"id":"r"}]}`, []user{{ID: "r"}}},
		{"rules", "/x/a%3Fb?strict=true&type=x+y&type=z", `{"rules":[]}`, nil},
	} {
		in.Rules = row.rules
		got, err := (&Operation{Name: "O", Path: "/x/{id}", Body: row.body}).prepare(in)
		if err != nil || got.path != row.path || string(got.body) != row.sent {
			t.Errorf("%q: %s %s, %v", row.body, got.path, got.body, err)
		}
	}
}

// TestPages: all of them are walked, an error ends the walk, and a page that names itself
// does not go on for ever.
func TestPages(t *testing.T) {
	walk := func(page func(string) ([]int, string, error)) (all []int, failed error) {
		for n, err := range All(page) {
			if err != nil {
				return all, err
			}
			if all = append(all, n); len(all) > 9 {
				break
			}
		}
		return all, nil
	}
	pages := map[string][]int{"": {1, 2}, "b": {}, "c": {3}}
	next := map[string]string{"": "b", "b": "c"}
	all, err := walk(func(cursor string) ([]int, string, error) { return pages[cursor], next[cursor], nil })
	if err != nil || !slices.Equal(all, []int{1, 2, 3}) {
		t.Errorf("%v, %v", all, err)
	}
	all, err = walk(func(string) ([]int, string, error) { return []int{1}, "again", nil })
	if err == nil || !strings.Contains(err.Error(), "names itself") || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	failure := errors.New("failed")
	if all, err := walk(func(string) ([]int, string, error) { return nil, "", failure }); !errors.Is(err, failure) || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}
