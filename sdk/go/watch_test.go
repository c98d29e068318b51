package authfi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/sdk/conformance"
	"github.com/go-chi/chi/v5"
)

// causeOf waits for the end of a context, ten seconds at most.
func causeOf(t *testing.T, ctx context.Context) Code {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("what stays open was not ended within ten seconds")
	}
	refusal := new(Refusal)
	if !errors.As(context.Cause(ctx), &refusal) {
		t.Fatalf("the cause is %v", context.Cause(ctx))
	}
	return refusal.Code
}

// TestWatch: what stays open ends as soon as a request with its token would be
// refused, and says why.
func TestWatch(t *testing.T) {
	for name, c := range map[string]struct {
		message string
		code    Code
	}{
		"the session ends":   {`{"type":"session.ended","index":43,"ordinal":0,"object":"` + conformance.Session + `"}`, TokenRevoked},
		"the user goes":      {`{"type":"user.deactivated","index":43,"ordinal":0,"object":"` + conformance.User + `"}`, TokenRevoked},
		"a role is taken":    {`{"type":"role.unassigned","index":43,"ordinal":0,"object":"rol-1","detail":"nurse from alice"}`, TokenStale},
		"the key is dropped": {`{"type":"key.changed","index":43,"ordinal":0}`, InvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			a, token := i.follow(), i.token(i.keys[0], "ri", 42)
			call := Call{Authorization: []string{"Bearer " + token}, Permissions: []string{"read:patients"}}
			ctx, leave, err := a.Enter(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			defer leave()
			if !Can(ctx, "write:notes") || ctx.Err() != nil {
				t.Fatalf("inside: %v", ctx.Err())
			}
			i.set(func() { i.keys = []*conformance.Key{conformance.NewKey("k2")} })
			i.messages <- c.message
			if code := causeOf(t, ctx); code != c.code {
				t.Errorf("%s, want %s", code, c.code)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if len(a.watches) != 0 {
				t.Errorf("%d are watched after the end", len(a.watches))
			}
		})
	}
}

// TestWatchEndsWithTheToken: no event says that a token has run out.
func TestWatchEndsWithTheToken(t *testing.T) {
	i := newIssuer(t)
	a := i.follow()
	u, err := a.Verify(t.Context(), i.token(i.keys[0], "exp", time.Now().Unix()-int64(SkewDefault.Seconds())+2), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, release := a.Watch(t.Context(), u, false)
	defer release()
	if code := causeOf(t, ctx); code != InvalidToken {
		t.Errorf("%s", code)
	}
}

// TestWatchAfterTheFact: what changed between verification and watch is not missed.
func TestWatchAfterTheFact(t *testing.T) {
	i := newIssuer(t)
	a := i.follow()
	token := i.token(i.keys[0], "ri", 42)
	u, err := a.Verify(t.Context(), token, false)
	if err != nil {
		t.Fatal(err)
	}
	i.messages <- `{"type":"session.ended","index":43,"ordinal":0,"object":"` + conformance.Session + `"}`
	until(t, "the end of the session", func() bool { _, err := a.Verify(t.Context(), token, false); return err != nil })
	ctx, release := a.Watch(t.Context(), u, false)
	defer release()
	if ctx.Err() == nil {
		t.Error("a session that has ended is watched as if it had not")
	}
}

func TestWatchIsReleased(t *testing.T) {
	i := newIssuer(t)
	a := i.follow()
	if w := i.request(a, "GET", i.token(i.keys[0], "ri", 42)); w.Code != 200 {
		t.Fatal(w.Code)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.watches) != 0 {
		t.Errorf("%d requests that were answered are watched", len(a.watches))
	}
}

// TestChi: the same handler with chi's router, and a stream of events that ends in
// the middle.
func TestChi(t *testing.T) {
	i := newIssuer(t)
	a, k := i.follow(), i.keys[0]
	r := chi.NewRouter()
	r.With(a.Require("read:patients")).Get("/patients/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %v", chi.URLParam(r, "id"), a.Can(r.Context(), "write:notes"))
	})
	r.With(a.Require("read:patients")).Get("/events", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		fmt.Fprintf(w, "data: %v\n\n", context.Cause(r.Context()))
	})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	get := func(path, token string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	good := i.token(k, "ri", 42)
	body := bufio.NewScanner(get("/patients/7", good).Body)
	if body.Scan(); body.Text() != "7 true" {
		t.Errorf("%q", body.Text())
	}
	if refused := get("/patients/7", i.token(k, "permissions", []string{})); refused.StatusCode != 403 {
		t.Errorf("without the permission: %d", refused.StatusCode)
	}
	stream := bufio.NewScanner(get("/events", good).Body)
	if stream.Scan(); stream.Text() != "data: first" {
		t.Fatalf("%q", stream.Text())
	}
	i.messages <- `{"type":"session.ended","index":43,"ordinal":0,"object":"` + conformance.Session + `"}`
	last := ""
	for stream.Scan() {
		if strings.HasPrefix(stream.Text(), "data:") {
			last = stream.Text()
		}
	}
	if last != "data: authfi: token_revoked" {
		t.Errorf("the stream ends with %q", last)
	}
}
