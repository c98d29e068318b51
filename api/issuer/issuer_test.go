package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

const audience = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"

// authority issues tokens and publishes its keys over TLS.
type authority struct {
	t      *testing.T
	server *httptest.Server
	issuer string
	key    *rsa.PrivateKey
	now    time.Time
	asked  atomic.Int32 // for metadata

	mu       sync.Mutex // guards what is served
	metadata func() (int, string)
	keySet   func() (int, string)
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, modulusMin)
	must(t, err)
	a := &authority{t: t, key: key, now: time.Now().Truncate(time.Second)}
	a.server = httptest.NewTLSServer(a)
	t.Cleanup(a.server.Close)
	a.issuer = a.server.URL + "/tenant/"
	a.metadata = func() (int, string) {
		return http.StatusOK, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, a.issuer, a.server.URL+"/keys")
	}
	a.keySet = func() (int, string) { return http.StatusOK, setOf(t, published(t, &key.PublicKey, "one")) }
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	answer := http.NotFound
	var status int
	var body string
	switch r.URL.Path {
	case "/tenant/" + metadataPath:
		a.asked.Add(1)
		status, body = a.metadata()
	case "/keys":
		status, body = a.keySet()
	case "/elsewhere":
		status, body = http.StatusOK, setOf(a.t, published(a.t, &a.key.PublicKey, "one"))
	default:
		answer(w, r)
	}
	a.mu.Unlock()
	if status/100 == 3 {
		w.Header().Set("Location", body)
	}
	if status != 0 {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// serve changes what is served.
func (a *authority) serve(metadata, keySet func() (int, string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if metadata != nil {
		a.metadata = metadata
	}
	if keySet != nil {
		a.keySet = keySet
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func published(t *testing.T, public any, name string) jwk.Key {
	t.Helper()
	key, err := jwk.Import(public)
	must(t, err)
	must(t, key.Set(jwk.KeyIDKey, name))
	must(t, key.Set(jwk.KeyUsageKey, "sig"))
	return key
}

func setOf(t *testing.T, keys ...jwk.Key) string {
	t.Helper()
	set := jwk.NewSet()
	for _, k := range keys {
		must(t, set.AddKey(k))
	}
	b, err := json.Marshal(set)
	must(t, err)
	return string(b)
}

// verifier is a node that may ask the authority, on the authority's clock.
func (a *authority) verifier(hosts ...string) *Issuers {
	roots := x509.NewCertPool()
	roots.AddCert(a.server.Certificate())
	if hosts == nil {
		hosts = []string{strings.TrimPrefix(a.server.URL, "https://")}
	}
	return New(Config{Hosts: hosts, Roots: roots, Now: func() time.Time { return a.now }, Log: slog.New(slog.DiscardHandler)})
}

func (a *authority) trust() []directory.Trust {
	return []directory.Trust{{Issuer: a.issuer, Audience: audience}}
}

// token is one as Entra issues it, changed.
func (a *authority) token(change func(*jwt.Builder)) jwt.Token {
	b := jwt.NewBuilder().Issuer(a.issuer).Audience([]string{audience}).IssuedAt(a.now).NotBefore(a.now).
		Expiration(a.now.Add(time.Hour)).Claim("appid", "the-application").Claim("tid", "tenant")
	if change != nil {
		change(b)
	}
	token, err := b.Build()
	must(a.t, err)
	return token
}

func (a *authority) sign(token jwt.Token, name string, algorithm jwa.SignatureAlgorithm, key any) string {
	a.t.Helper()
	header := jws.NewHeaders()
	must(a.t, header.Set(jws.KeyIDKey, name))
	signed, err := jwt.Sign(token, jwt.WithKey(algorithm, key, jws.WithProtectedHeaders(header)))
	must(a.t, err)
	return string(signed)
}

func (a *authority) issue(change func(*jwt.Builder)) string {
	a.t.Helper()
	return a.sign(a.token(change), "one", jwa.RS256(), a.key)
}

// endless is a token without an end.
func (a *authority) endless() string {
	a.t.Helper()
	token := a.token(nil)
	must(a.t, token.Remove(jwt.ExpirationKey))
	return a.sign(token, "one", jwa.RS256(), a.key)
}

func TestVerify(t *testing.T) {
	a := newAuthority(t)
	other, err := rsa.GenerateKey(rand.Reader, modulusMin)
	must(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(&a.key.PublicKey)
	must(t, err)
	good := a.issue(nil)
	with := func(change func(*jwt.Builder)) string { return a.issue(change) }
	unsigned, err := jwt.Sign(a.token(nil), jwt.WithInsecureNoSignature())
	must(t, err)
	parts := strings.Split(good, ".")
	v := a.verifier()
	for _, row := range []struct {
		name, token string
		good        bool
	}{
		{"as Entra issues it", good, true},
		{"one of several audiences", with(func(b *jwt.Builder) { b.Audience([]string{"x", audience}) }), true},
		{"expired within the skew", with(func(b *jwt.Builder) { b.Expiration(a.now.Add(-Skew + time.Second)) }), true},
		{"expired at the skew", with(func(b *jwt.Builder) { b.Expiration(a.now.Add(-Skew)) }), false},
		{"begins within the skew", with(func(b *jwt.Builder) { b.NotBefore(a.now.Add(Skew)) }), true},
		{"begins after the skew", with(func(b *jwt.Builder) { b.NotBefore(a.now.Add(Skew + time.Second)) }), false},
		{"issued after the skew", with(func(b *jwt.Builder) { b.IssuedAt(a.now.Add(Skew + time.Second)) }), false},
		{"no end", a.endless(), false},
		{"another audience", with(func(b *jwt.Builder) { b.Audience([]string{"x"}) }), false},
		{"no audience", with(func(b *jwt.Builder) { b.Audience(nil) }), false},
		{"another issuer", with(func(b *jwt.Builder) { b.Issuer(a.server.URL + "/other/") }), false},
		{"the issuer without its slash", with(func(b *jwt.Builder) { b.Issuer(strings.TrimSuffix(a.issuer, "/")) }), false},
		{"two applications", with(func(b *jwt.Builder) { b.Claim("azp", "another") }), false},
		{"an application that is no text", with(func(b *jwt.Builder) { b.Claim("appid", 7) }), false},
		{"another's key under the name", a.sign(a.token(nil), "one", jwa.RS256(), other), false},
		{"another name", a.sign(a.token(nil), "two", jwa.RS256(), a.key), false},
		{"no name", a.sign(a.token(nil), "", jwa.RS256(), a.key), false},
		{"RS512", a.sign(a.token(nil), "one", jwa.RS512(), a.key), false},
		{"PS256", a.sign(a.token(nil), "one", jwa.PS256(), a.key), false},
		{"ES256", a.sign(a.token(nil), "one", jwa.ES256(), curve), false},
		{"the public key as a secret", a.sign(a.token(nil), "one", jwa.HS256(), public), false},
		{"not signed", string(unsigned), false},
		{"signature cut off", parts[0] + "." + parts[1] + ".", false},
		{"another's claims", parts[0] + "." + strings.Split(with(func(b *jwt.Builder) { b.Subject("x") }), ".")[1] + "." + parts[2], false},
		{"nothing", "..", false},
		{"JSON", `{"payload":"a.b.c"}`, false},
	} {
		n, err := v.Verify(t.Context(), row.token, a.trust())
		if (err == nil) != row.good || err != nil && directory.KindOf(err) != directory.KindUnauthenticated || row.good && n != 0 {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// TestClaim: a token that is refused names the trust that it would have been good for.
func TestClaim(t *testing.T) {
	a := newAuthority(t)
	old := a.issue(func(b *jwt.Builder) { b.Expiration(a.now.Add(-time.Hour)) })
	foreign := a.issue(func(b *jwt.Builder) { b.Audience([]string{"x"}) })
	for token, want := range map[string]int{old: 0, foreign: -1, "..": -1} {
		if n, err := a.verifier().Verify(t.Context(), token, a.trust()); err == nil || n != want {
			t.Errorf("%d %v, want %d", n, err, want)
		}
	}
}

// TestChosen: a token is that of the connection which names its application, and else
// of the one that takes any.
func TestChosen(t *testing.T) {
	const entra = "https://sts.windows.net/8adf8e6e-67b2-4cf2-a259-e3dc5476c621/"
	any, one := directory.Trust{Issuer: entra, Audience: "a"}, directory.Trust{Issuer: entra, Audience: "a", Application: "one"}
	c := claims{issuer: entra, audience: []string{"a"}, tenant: "8ADF8E6E-67b2-4cf2-a259-e3dc5476c621"}
	of := func(application string) claims { c := c; c.application = application; return c }
	foreign, stateless, elsewhere := of("one"), of("one"), of("one")
	foreign.tenant, stateless.tenant, elsewhere.issuer = "another", "", "https://sts.windows.net/another/"
	for _, row := range []struct {
		name   string
		claims claims
		trusts []directory.Trust
		want   int
	}{
		{"its application", of("one"), []directory.Trust{any, one}, 1},
		{"its application first", of("one"), []directory.Trust{one, any}, 0},
		{"another application", of("two"), []directory.Trust{one, any}, 1},
		{"another application alone", of("two"), []directory.Trust{one}, -1},
		{"no application", of(""), []directory.Trust{one}, -1},
		{"nobody trusts", of("one"), []directory.Trust{{}}, -1},
		{"another tenant", foreign, []directory.Trust{any, one}, -1},
		{"no tenant", stateless, []directory.Trust{any, one}, -1},
		{"another issuer", elsewhere, []directory.Trust{any, one}, -1},
	} {
		if got := chosen(row.claims, row.trusts); got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
}

// TestKeysCannotBeHad: without keys no token is good, and the issuer is not asked
// without end.
func TestKeysCannotBeHad(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.NotFoundHandler())
	defer elsewhere.Close()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	for name, broken := range map[string]func(a *authority) (metadata, keySet func() (int, string)){
		"no metadata": func(*authority) (m, k func() (int, string)) { return answered(500, ""), nil },
		"not JSON":    func(*authority) (m, k func() (int, string)) { return answered(200, "x"), nil },
		"of another issuer": func(a *authority) (m, k func() (int, string)) {
			return described("https://x/", a.server.URL+"/keys"), nil
		},
		"metadata elsewhere": func(a *authority) (m, k func() (int, string)) { return answered(302, a.server.URL+"/other"), nil },
		"too long a metadata": func(a *authority) (m, k func() (int, string)) {
			_, body := a.metadata()
			return answered(200, body+strings.Repeat(" ", metadataMax+1-len(body))), nil
		},
		"keys at another host": func(a *authority) (m, k func() (int, string)) { return described(a.issuer, elsewhere.URL+"/keys"), nil },
		"keys without TLS": func(a *authority) (m, k func() (int, string)) {
			return described(a.issuer, strings.Replace(a.server.URL, "https", "http", 1)+"/keys"), nil
		},
		"keys moved":        func(a *authority) (m, k func() (int, string)) { return nil, answered(307, a.server.URL+"/elsewhere") },
		"no keys":           func(*authority) (m, k func() (int, string)) { return nil, answered(200, `{"keys":[]}`) },
		"keys are not keys": func(*authority) (m, k func() (int, string)) { return nil, answered(200, `[]`) },
		"too long keys": func(a *authority) (m, k func() (int, string)) {
			_, body := a.keySet()
			return nil, answered(200, body+strings.Repeat(" ", keySetMax+1-len(body)))
		},
		"a short key": func(a *authority) (m, k func() (int, string)) {
			return nil, answered(200, fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"one","use":"sig","e":"AQAB","n":%q}]}`, base64.RawURLEncoding.EncodeToString(small.N.Bytes())))
		},
		"too many keys": func(a *authority) (m, k func() (int, string)) { return nil, answered(200, many(a, keysMax+1)) },
	} {
		a := newAuthority(t)
		v := a.verifier()
		metadata, keySet := a.metadata, a.keySet
		a.serve(broken(a))
		for range 3 {
			if _, err := v.Verify(t.Context(), a.issue(nil), a.trust()); directory.KindOf(err) != directory.KindUnavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := a.asked.Load(); n != 1 {
			t.Errorf("%s: the issuer was asked %d times", name, n)
		}
		a.serve(metadata, keySet)
		a.now = a.now.Add(askEvery)
		if _, err := v.Verify(t.Context(), a.issue(nil), a.trust()); err != nil {
			t.Errorf("%s, mended: %v", name, err)
		}
	}
}

func answered(status int, body string) func() (int, string) {
	return func() (int, string) { return status, body }
}

func described(issuer, keys string) func() (int, string) {
	return answered(200, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, keys))
}

// many is a set of the authority's key under n names.
func many(a *authority, n int) string {
	keys := []jwk.Key{published(a.t, &a.key.PublicKey, "one")}
	for i := range n - 1 {
		keys = append(keys, published(a.t, &a.key.PublicKey, fmt.Sprint("name-", i)))
	}
	return setOf(a.t, keys...)
}

// TestLimitsOfKeys takes what is just within.
func TestLimitsOfKeys(t *testing.T) {
	a := newAuthority(t)
	_, metadata := a.metadata()
	keys := many(a, keysMax)
	a.serve(answered(200, metadata+strings.Repeat(" ", metadataMax-len(metadata))), answered(200, keys+strings.Repeat(" ", keySetMax-len(keys))))
	if _, err := a.verifier().Verify(t.Context(), a.issue(nil), a.trust()); err != nil {
		t.Error(err)
	}
}

// TestOtherKeys: keys that are not for this are passed over, whatever they are.
func TestOtherKeys(t *testing.T) {
	a := newAuthority(t)
	_, set := a.keySet()
	more := `{"keys":[{"kty":"XYZ","kid":"x"},{"kty":"RSA","kid":"short","e":"AQAB","n":"AQAB"},{"kty":"oct","kid":"o","k":"AQAB"},` + strings.TrimPrefix(set, `{"keys":[`)
	a.serve(nil, answered(200, more))
	if _, err := a.verifier().Verify(t.Context(), a.issue(nil), a.trust()); err != nil {
		t.Error(err)
	}
}

// TestAges: keys are asked for once an hour, are good for a day while the issuer is
// silent, and a new key is found at once, however often made-up ones are named.
func TestAges(t *testing.T) {
	a := newAuthority(t)
	v := a.verifier()
	try := func(after time.Duration, key string) directory.Kind {
		a.now = a.now.Add(after)
		_, err := v.Verify(t.Context(), a.sign(a.token(nil), key, jwa.RS256(), a.key), a.trust())
		return directory.KindOf(err)
	}
	none := directory.KindOf(nil)
	for _, step := range []struct {
		after time.Duration
		key   string
		want  directory.Kind
		asked int32
	}{
		{0, "one", none, 1}, {keysFresh - 1, "one", none, 1}, {1, "one", none, 2}, // its second answer
		{1, "two", directory.KindUnauthenticated, 2}, // was asked a moment ago
		{askEvery, "two", directory.KindUnauthenticated, 3},
		{1, "three", directory.KindUnauthenticated, 3}, {1, "one", none, 3},
	} {
		if got := try(step.after, step.key); got != step.want || a.asked.Load() != step.asked {
			t.Errorf("%v later, %s: kind %v and asked %d times, want %v and %d", step.after, step.key, got, a.asked.Load(), step.want, step.asked)
		}
	}
	a.serve(nil, func() (int, string) { return 200, setOf(t, published(t, &a.key.PublicKey, "three")) })
	if got := try(askEvery, "three"); got != none {
		t.Errorf("a new key: %v", got)
	}
	if got := try(1, "one"); got == none {
		t.Error("a key that was withdrawn is good")
	}
	a.serve(answered(500, ""), nil)
	if got := try(keysLife-2, "three"); got != none {
		t.Errorf("a silent issuer: %v", got)
	}
	if got := try(0, "four"); got != directory.KindUnavailable {
		t.Errorf("an unknown key of a silent issuer: %v", got)
	}
	if got := try(1, "three"); got != directory.KindUnavailable {
		t.Errorf("an issuer that is silent for a day: %v", got)
	}
}

// TestHosts: only hosts that this node may ask are asked.
func TestHosts(t *testing.T) {
	a := newAuthority(t)
	v := a.verifier("another.example")
	if _, err := v.Verify(t.Context(), a.issue(nil), a.trust()); directory.KindOf(err) != directory.KindUnauthenticated || a.asked.Load() != 0 {
		t.Errorf("%v, asked %d times", err, a.asked.Load())
	}
	for issuer, allowed := range map[string]bool{
		"https://another.example/x": true, "https://sts.windows.net/tenant/": true, "https://login.microsoftonline.com/tenant/v2.0": true,
		"https://another.example:444/x": false, "http://another.example/x": false, "https://sts.windows.net.evil.example/": false, "https://169.254.169.254/": false,
	} {
		if err := v.Check(issuer); (err == nil) != allowed {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	if err := checkKeysAddress("https://sts.windows.net/tenant/", "https://login.microsoftonline.com/common/discovery/keys"); err != nil {
		t.Error("Entra's own keys:", err)
	}
}

// TestOneAnswerForMany: requests that come together wait for one answer, and one whose
// client goes away does not take it from the others.
func TestOneAnswerForMany(t *testing.T) {
	a := newAuthority(t)
	v := a.verifier()
	gone, leave := context.WithCancel(t.Context())
	leave()
	token := a.issue(nil)
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			ctx := t.Context()
			if n%4 == 0 {
				ctx = gone
			}
			if _, err := v.Verify(ctx, token, a.trust()); err != nil && n%4 != 0 {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := a.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

func TestIssuersMax(t *testing.T) {
	v := New(Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	for n := range issuersMax + 1 {
		v.of(fmt.Sprint("https://x/", n))
		if len(v.known) > issuersMax || len(v.known) != min(n+1, issuersMax) {
			t.Fatalf("%d issuers after %d", len(v.known), n+1)
		}
	}
}
