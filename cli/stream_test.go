package cli

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// connections is a node whose answers are written down: one for each connection.
type connections struct {
	t       *testing.T
	answers []string
	asked   []string // the query and the Last-Event-ID of each
}

func (c *connections) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := len(c.asked)
	c.asked = append(c.asked, strings.TrimSpace(r.URL.RawQuery+" "+r.Header.Get("Last-Event-ID")))
	if n >= len(c.answers) {
		c.t.Errorf("connection %d is one too many", n+1)
		return
	}
	status, body, _ := strings.Cut(c.answers[n], "\n")
	if status != "200" {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	var code int
	fmt.Sscan(status, &code)
	w.WriteHeader(code)
	fmt.Fprint(w, body)
	w.(http.Flusher).Flush()
	if strings.HasSuffix(body, "hang\n") {
		<-r.Context().Done()
	}
}

// follow follows a node that answers so, and returns what came and how it ended.
func (c *connections) follow(resync func() error) (got []string, err error) {
	c.t.Helper()
	server := httptest.NewTLSServer(c)
	defer server.Close()
	ca := filepath.Join(c.t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		c.t.Fatal(err)
	}
	f := &follower{
		options: &options{url: server.URL, token: "t", cacert: ca},
		from:    url.Values{"after": {"3"}}, silent: 200 * time.Millisecond,
		say: func(format string, args ...any) {
			got = append(got, "("+strings.SplitN(fmt.Sprintf(format, args...), ",", 2)[0]+")")
		},
	}
	f.message = func(typ string, body []byte) error {
		got = append(got, typ)
		switch typ {
		case "resync":
			return resync()
		case "stop":
			return errStop
		}
		return nil
	}
	err = f.run(c.t.Context())
	return got, err
}

func event(id, typ string) string {
	return "id: " + id + "\nevent: " + typ + "\ndata: {\"index\":9}\n\n"
}

const (
	rowEvent     = "event: row\ndata: {}\n\n"
	resyncEvent  = "id\nevent: resync\ndata: {\"index\":9}\n\n"
	stoppingEnd  = "event: closed\ndata: {\"status\":503,\"code\":\"unavailable\",\"detail\":\"stopping\",\"field\":\"\"}\n\n"
	forbiddenEnd = "event: closed\ndata: {\"status\":403,\"code\":\"permission_denied\",\"detail\":\"no\",\"field\":\"\"}\n\n"
)

// TestFollower: where it goes on after each way in which a connection can end.
func TestFollower(t *testing.T) {
	stay := func() error { return nil }
	for what, c := range map[string]struct {
		resync  func() error
		answers []string
		asked   []string
		got     []string
		code    string // of the problem that ends it; empty: errStop
	}{
		"behind the last event": {stay,
			[]string{"200\n" + event("4.0", "a") + event("4.1", "b"), "200\n" + event("5.0", "stop")},
			[]string{"after=3", "after=3 4.1"},
			[]string{"a", "b", "(connection lost (unexpected EOF))", "stop"}, ""},
		"an event that is cut off is no event": {stay,
			[]string{"200\n" + event("4.0", "a") + "id: 5.0\nevent: b\ndata: {}\n", "200\n" + event("5.0", "stop")},
			[]string{"after=3", "after=3 4.0"},
			[]string{"a", "(connection lost (unexpected EOF))", "stop"}, ""},
		"behind the last heartbeat": {stay,
			[]string{"200\n" + event("4.0", "a") + event("17", "heartbeat"), "200\n" + event("18.0", "stop")},
			[]string{"after=3", "after=3 17"},
			[]string{"a", "(connection lost (unexpected EOF))", "stop"}, ""},
		"a node that stops": {stay,
			[]string{"200\n" + event("4.0", "a") + stoppingEnd, "503\n{\"code\":\"unavailable\",\"detail\":\"not ready\"}", "200\n" + event("5.0", "stop")},
			[]string{"after=3", "after=3 4.0", "after=3 4.0"},
			[]string{"a", "(connection lost (unavailable: stopping))", "(connection lost (unavailable: not ready))", "stop"}, ""},
		"a node that is full": {stay,
			[]string{"200\n" + event("4.0", "a"), "429\n{\"code\":\"resource_exhausted\",\"detail\":\"full\"}", "200\n" + event("5.0", "stop")},
			[]string{"after=3", "after=3 4.0", "after=3 4.0"},
			[]string{"a", "(connection lost (unexpected EOF))", "(connection lost (resource_exhausted: full))", "stop"}, ""},
		"a right that is lost": {stay,
			[]string{"200\n" + event("4.0", "a") + forbiddenEnd}, []string{"after=3"}, []string{"a"}, "permission_denied"},
		"a right that was lost meanwhile": {stay,
			[]string{"200\n" + event("4.0", "a"), "401\n{\"code\":\"unauthenticated\",\"detail\":\"no\"}"}, []string{"after=3", "after=3 4.0"},
			[]string{"a", "(connection lost (unexpected EOF))"}, "unauthenticated"},
		"a first request that fails": {stay,
			[]string{"503\n{\"code\":\"unavailable\",\"detail\":\"not ready\"}"}, []string{"after=3"}, nil, "unavailable"},
		"rows begin anew": {stay,
			[]string{"200\n" + event("4.0", "a") + resyncEvent + rowEvent, "200\n" + rowEvent + event("9", "synced"), "200\n" + event("10.0", "stop")},
			[]string{"after=3", "snapshot=true", "snapshot=true 9"},
			[]string{"a", "resync", "row", "(connection lost (unexpected EOF))", "row", "synced", "(connection lost (unexpected EOF))", "stop"}, ""},
		"rows are left out": {func() error { return errSkip },
			[]string{"200\n" + event("4.0", "a") + resyncEvent + rowEvent, "200\n" + event("10.0", "stop")},
			[]string{"after=3", "after=9"},
			[]string{"a", "resync", "stop"}, ""},
		"a connection that is silent": {stay,
			[]string{"200\n" + event("4.0", "a") + ": hang\n", "200\n" + event("5.0", "stop")},
			[]string{"after=3", "after=3 4.0"},
			[]string{"a", "(connection lost (nothing was heard for 15s))", "stop"}, ""},
	} {
		node := &connections{t: t, answers: c.answers}
		got, err := node.follow(c.resync)
		var p *Problem
		if errors.As(err, &p); c.code == "" && err != nil || c.code != "" && (p == nil || p.Code != c.code) {
			t.Errorf("%s: it ends with %v, want %q", what, err, c.code)
		}
		if !slices.Equal(got, c.got) {
			t.Errorf("%s: %q, want %q", what, got, c.got)
		}
		if !slices.Equal(node.asked, c.asked) {
			t.Errorf("%s: it asks for %q, want %q", what, node.asked, c.asked)
		}
	}
}
