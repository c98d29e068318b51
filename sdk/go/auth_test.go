package authfi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/sdk/conformance"
)

// issuer serves what a node serves, over TLS, signs for real, and does as it is
// told.
type issuer struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	keys     []*conformance.Key
	status   int // of the key set
	fetches  int
	vouched  int // what a node says of tokens: a status
	asked    int
	held     []string
	told     uint64 // index that a node says them of
	messages chan string
	index    uint64
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{
		t: t, keys: []*conformance.Key{conformance.NewKey("k1")}, status: 200, vouched: 200, held: []string{"read:patients", "write:notes"},
		told: 99, messages: make(chan string, 16), index: 40,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /o/vectors/.well-known/jwks.json", i.keySet)
	mux.HandleFunc("GET /api/v1/events", i.events)
	mux.HandleFunc("GET /o/vectors/oauth2/permissions", i.permissions)
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) keySet(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches++
	w.WriteHeader(i.status)
	json.NewEncoder(w).Encode(conformance.KeySet(i.keys...))
}

func (i *issuer) events(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer key" || r.URL.Query().Get("org_id") != conformance.Org {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set(headerIndex, fmt.Sprint(i.index))
	if r.Method == http.MethodHead {
		return
	}
	flusher := w.(http.Flusher)
	fmt.Fprintf(w, "event: heartbeat\ndata: %s\n\n", i.beat(i.signer(), i.index, time.Now()))
	for flusher.Flush(); ; flusher.Flush() {
		select {
		case m := <-i.messages:
			fmt.Fprintf(w, "data: %s\n\n", m)
		case <-r.Context().Done():
			return
		}
	}
}

func (i *issuer) signer() *conformance.Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[0]
}

// beat is a heartbeat that a key has signed.
func (i *issuer) beat(k *conformance.Key, index uint64, at time.Time) string {
	return fmt.Sprintf(`{"type":"heartbeat","index":%d,"proof":%q}`, index, k.Prove(index, at.Unix()))
}

func (i *issuer) permissions(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	w.WriteHeader(i.vouched)
	json.NewEncoder(w).Encode(map[string]any{"permissions": i.held, "roles": []string{"nurse"}, "groups": []string{"ward-3"}, "index": i.told})
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) config() Config {
	return Config{Issuer: conformance.Issuer, Org: conformance.Org, Nodes: []string{i.URL}, APIKey: "key", Client: i.Client()}
}

// token is a good one now, but for one claim.
func (i *issuer) token(k *conformance.Key, name string, value any) string {
	now := time.Now().Unix()
	claims := conformance.With(conformance.With(conformance.Claims(), "iat", now), "exp", now+300)
	return k.Sign(k.Header(), conformance.With(claims, name, value))
}

// tokenWith is a good one now, but for some claims.
func (i *issuer) tokenWith(members map[string]any) string {
	now := time.Now().Unix()
	claims := conformance.With(conformance.With(conformance.Claims(), "iat", now), "exp", now+300)
	maps.Copy(claims, members)
	return i.keys[0].Sign(i.keys[0].Header(), claims)
}

func (i *issuer) follow() *Auth {
	i.t.Helper()
	a, err := New(i.t.Context(), i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(a.Close)
	ctx, cancel := context.WithTimeout(i.t.Context(), 10*time.Second)
	defer cancel()
	if err := a.Ready(ctx); err != nil {
		i.t.Fatal(err)
	}
	return a
}

func (i *issuer) request(a *Auth, method, token string) *httptest.ResponseRecorder {
	handler := a.Require("read:patients")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%v %v %v", a.Can(r.Context(), "write:notes"), Can(r.Context(), "delete:notes"), Can(context.Background(), "write:notes"))
	}))
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/patients", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	handler.ServeHTTP(w, r)
	return w
}

// until tries for at most ten seconds.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	for !done() {
		select {
		case <-late:
			t.Fatal("not within ten seconds: ", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestRequire(t *testing.T) {
	i := newIssuer(t)
	a, k := i.follow(), i.keys[0]
	good := i.token(k, "ri", 42)
	if w := i.request(a, "GET", good); w.Code != 200 || w.Body.String() != "true false false" {
		t.Errorf("a good token: %d %s", w.Code, w.Body)
	}
	if w := i.request(a, "GET", ""); w.Code != 401 {
		t.Errorf("no token: %d", w.Code)
	}
	w := i.request(a, "GET", i.token(k, "permissions", []string{"write:notes"}))
	if w.Code != 403 || !strings.Contains(w.Body.String(), `"missing":["read:patients"]`) {
		t.Errorf("a permission missing: %d %s", w.Code, w.Body)
	}
	i.messages <- `{"type":"session.ended","index":43,"ordinal":0,"object":"` + conformance.Session + `"}`
	until(t, "the end of the session", func() bool {
		w := i.request(a, "GET", good)
		return w.Code == 401 && strings.Contains(w.Body.String(), "token_revoked")
	})
}

func TestRequirePanics(t *testing.T) {
	for _, wanted := range [][]string{{}, {"read"}, {"read:patients", "Read:notes"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Require(%q) is taken", wanted)
				}
			}()
			(&Auth{}).Require(wanted...)
		}()
	}
}

// TestTokensFromBefore: what the feed cannot tell of, a node is asked once.
func TestTokensFromBefore(t *testing.T) {
	i := newIssuer(t)
	a, old := i.follow(), i.token(i.keys[0], "ri", 1)
	for range 3 {
		if w := i.request(a, "GET", old); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if i.set(func() {}); i.asked != 1 {
		t.Errorf("asked %d times", i.asked)
	}
	i.set(func() { i.held = []string{"read:patients"} })
	if w := i.request(a, "GET", i.token(i.keys[0], "ri", 2)); !strings.Contains(w.Body.String(), "token_stale") {
		t.Errorf("with other permissions: %d %s", w.Code, w.Body)
	}
	i.set(func() { i.vouched = 401 })
	if w := i.request(a, "GET", i.token(i.keys[0], "ri", 3)); !strings.Contains(w.Body.String(), "token_revoked") {
		t.Errorf("revoked before: %d %s", w.Code, w.Body)
	}
	i.set(func() { i.vouched = 503 })
	if w := i.request(a, "POST", i.token(i.keys[0], "ri", 4)); w.Code != 503 {
		t.Errorf("nobody answers: %d %s", w.Code, w.Body)
	}
}

// TestStatus: the ages of what is known, and of what is not.
func TestStatus(t *testing.T) {
	i := newIssuer(t)
	if s := i.follow().Status(); s.KeysAge < 0 || s.FeedAge < 0 || s.KeysAge > time.Minute || s.FeedAge > time.Minute || s.Index != i.index {
		t.Errorf("%+v", s)
	}
	c := i.config()
	c.APIKey = "another"
	a, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if s := a.Status(); s.FeedAge >= 0 || s.Index != 0 {
		t.Errorf("%+v", s)
	}
}

// TestForgedKids: a flood of unknown kids fetches three times at most.
func TestForgedKids(t *testing.T) {
	i := newIssuer(t)
	a, k := i.follow(), i.keys[0]
	i.set(func() { i.fetches = 0 })
	for n := range 50 {
		forged := conformance.NewKey(fmt.Sprint("forged-", n))
		if w := i.request(a, "GET", i.token(forged, "ri", 42)); w.Code != 401 {
			t.Fatalf("forged %d: %d %s", n, w.Code, w.Body)
		}
	}
	i.set(func() {
		if i.fetches > tokensMax+1 { // and one that is due by itself
			t.Errorf("%d fetches", i.fetches)
		}
		i.keys = append(i.keys, conformance.NewKey("k2"))
	})
	i.messages <- `{"type":"key.changed","index":44,"ordinal":0}`
	until(t, "the new key", func() bool { return i.request(a, "GET", i.token(i.keys[1], "ri", 42)).Code == 200 })
	i.set(func() { i.keys = i.keys[1:] })
	i.messages <- `{"type":"key.changed","index":45,"ordinal":0}`
	until(t, "the end of the old key", func() bool { return i.request(a, "GET", i.token(k, "ri", 42)).Code == 401 })
}

// TestColdStart: without keys nobody is told that his token is bad.
func TestColdStart(t *testing.T) {
	i := newIssuer(t)
	i.status = 503
	a, err := New(t.Context(), i.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	w := i.request(a, "GET", i.token(i.keys[0], "ri", 42))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOffline(t *testing.T) {
	i := newIssuer(t)
	set, err := json.Marshal(conformance.KeySet(i.keys...))
	if err != nil {
		t.Fatal(err)
	}
	i.status = 503
	c := i.config()
	c.Posture, c.KeySet, c.APIKey = Offline, set, ""
	a, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if w := i.request(a, "POST", i.token(i.keys[0], "ri", 1)); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Issuer: conformance.Issuer, Org: conformance.Org, APIKey: "key"}
	if c := good; c.complete() != nil || c.Audience != c.Issuer || c.Nodes[0] != "https://auth.example" || c.Posture != Fresh || c.Skew != SkewDefault {
		t.Errorf("%+v", c)
	}
	for name, spoil := range map[string]func(*Config){
		"no issuer": func(c *Config) { c.Issuer = "" }, "an issuer without TLS": func(c *Config) { c.Issuer = "http://x/o/y" },
		"a node without TLS": func(c *Config) { c.Nodes = []string{"http://x"} }, "no API key": func(c *Config) { c.APIKey = "" },
		"no organization": func(c *Config) { c.Org = "" }, "too much skew": func(c *Config) { c.Skew = SkewMax + 1 },
		"a posture that is none": func(c *Config) { c.Posture = "slack" }, "no CA": func(c *Config) { c.CAFile = "none.pem" },
	} {
		c := good
		if spoil(&c); c.complete() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c := good
	if c.Skew = SkewMax; c.complete() != nil {
		t.Error("the largest skew is refused")
	}
}

func TestCacheIsBounded(t *testing.T) {
	var c cache
	for n := range 3 * seenMax {
		c.put(fmt.Sprint(n), &held{})
		if c.get("0") == nil {
			t.Fatal("what is used was forgotten")
		}
	}
	if len(c.young)+len(c.old) > 2*seenMax || c.get("1") != nil {
		t.Errorf("%d and %d", len(c.young), len(c.old))
	}
}

func BenchmarkVerify(b *testing.B) {
	k := conformance.NewKey("k1")
	many := []string{}
	for n := range 20 {
		many = append(many, fmt.Sprintf("read:ward-%02d", n))
	}
	now := time.Now().Unix()
	claims := conformance.With(conformance.With(conformance.With(conformance.Claims(), "iat", now), "exp", now+300), "permissions", many)
	token := k.Sign(k.Header(), claims)
	set, _ := json.Marshal(conformance.KeySet(k))
	a, err := New(b.Context(), Config{Issuer: conformance.Issuer, Nodes: []string{"https://127.0.0.1:1"}, Posture: Offline, KeySet: set})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(a.Close)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			a.mu.Lock()
			a.seen = cache{}
			a.mu.Unlock()
			if _, err := a.Verify(b.Context(), token, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("seen", func(b *testing.B) {
		for b.Loop() {
			if _, err := a.Verify(b.Context(), token, false); err != nil {
				b.Fatal(err)
			}
		}
	})
}
