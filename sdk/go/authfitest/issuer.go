// Package authfitest is an issuer for the tests of services: it signs for real with a
// fresh key, serves keys and feed in process without a network, and does what a test
// tells it.
//
//	issuer := authfitest.New(t)
//	auth := issuer.Auth(t)
//	token := issuer.SignIn(authfitest.Person{Permissions: []string{"read:patients"}})
//	… a request with the token is served
//	issuer.Revoke(token)
//	… the same request is refused
//
// Nothing of the verification is left out or pretended. Its issuer is
// https://authfi.test, which a service refuses to be configured with.
package authfitest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	authfi "github.com/authfi/authfi/sdk/go"
	"github.com/authfi/authfi/sdk/go/internal/rehearsal"
)

// What the issuer is called.
const (
	URL = "https://" + rehearsal.Host + "/o/test"
	Org = "org-00000000000000000000000000000001"

	apiKey    = "the key of the tests"
	life      = 5 * time.Minute  // of a token, as a node's
	proofLife = 15 * time.Second // of a heartbeat, likewise
)

// settleMax is how long a change may take to reach every Auth in this process. An
// Auth that has to follow anew waits for 5 seconds at most before it tries.
const settleMax = 15 * time.Second

// Person is who signs in. What is left out is made up.
type Person struct {
	ID          string
	Permissions []string
	Roles       []string
	Groups      []string
	Methods     []string       // amr; pwd and otp unless given
	Claims      map[string]any // others, or other values of those that there are
}

// Issuer signs tokens and serves what a node serves.
type Issuer struct {
	mu       sync.Mutex
	signing  *signingKey
	offline  bool
	moved    time.Duration // of the clock
	index    uint64
	events   []event
	changed  chan struct{}     // closed when there is something to send, or nobody to send it to
	sessions map[string]string // user by session; ended ones are not there
	held     map[string]rights // by user
	services []rehearsal.Service
}

// rights are what a user has now, whatever older tokens say.
type rights struct{ permissions, roles, groups []string }

type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

// event is one of the feed.
type event struct {
	Type    string `json:"type"`
	Index   uint64 `json:"index"`
	Ordinal uint32 `json:"ordinal"`
	Object  string `json:"object,omitempty"`
	Detail  string `json:"detail,omitempty"`

	UserIDs []string `json:"user_ids,omitempty"`
	Proof   string   `json:"proof,omitempty"`
}

// New makes an issuer, which is gone with the test.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{index: 1, changed: make(chan struct{}), sessions: map[string]string{}, held: map[string]rights{}}
	i.signing = newKey()
	t.Cleanup(i.GoOffline)
	return i
}

func newKey() *signingKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // no source of randomness
	}
	return &signingKey{newID("key-"), private}
}

func newID(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

// Config is of a service that trusts the issuer. Posture and skew may be set.
func (i *Issuer) Config() authfi.Config {
	return authfi.Config{Issuer: URL, Org: Org, APIKey: apiKey, Client: i.client()}
}

// Auth is ready: it has the keys and follows the feed.
func (i *Issuer) Auth(t testing.TB) *authfi.Auth {
	t.Helper()
	return i.AuthWith(t, i.Config())
}

// AuthWith is Auth with another configuration, which began as Config.
func (i *Issuer) AuthWith(t testing.TB, config authfi.Config) *authfi.Auth {
	t.Helper()
	auth, err := authfi.New(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(auth.Close)
	ctx, cancel := context.WithTimeout(t.Context(), settleMax)
	defer cancel()
	if err := auth.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return auth
}

// SignIn begins a session and gives its token.
func (i *Issuer) SignIn(p Person) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p.ID == "" {
		p.ID = newID("usr-")
	}
	if p.Methods == nil {
		p.Methods = []string{"pwd", "otp"}
	}
	session := newID("ses-")
	held := rights{p.Permissions, append(listed(p.Roles), roleOf(p.ID)), p.Groups}
	i.sessions[session], i.held[p.ID] = p.ID, held
	now := i.now()
	claims := map[string]any{
		"iss": URL, "aud": []string{URL}, "sub": p.ID, "iat": now.Unix(), "exp": now.Add(life).Unix(), "jti": newID(""),
		"sid": session, "org_id": Org, "roles": held.roles, "groups": listed(p.Groups),
		"permissions": listed(p.Permissions), "amr": p.Methods, "ri": i.index,
	}
	maps.Copy(claims, p.Claims)
	return i.signing.sign("at+jwt", claims)
}

// heartbeat is called with the lock held.
func (i *Issuer) heartbeat() event {
	now := i.now()
	proof := i.signing.sign("heartbeat+jwt", map[string]any{
		"iss": URL, "org_id": Org, "index": i.index, "iat": now.Unix(), "exp": now.Unix() + int64(proofLife.Seconds()),
	})
	return event{Type: "heartbeat", Index: i.index, Proof: proof}
}

// listed is never null: a claim that is empty is not absent.
func listed(names []string) []string { return append([]string{}, names...) }

// roleOf is a role of one person alone, which changes with the permissions.
func roleOf(user string) string { return "everything of " + user }

func (k *signingKey) sign(typ string, claims map[string]any) string {
	header := map[string]string{"typ": typ, "alg": "ES256", "kid": k.id}
	input := encoded(header) + "." + encoded(claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		panic(err) // no source of randomness
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("authfitest: a claim is no JSON: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// Revoke ends the session of a token. When it returns, every Auth of the issuer has
// heard of it, as with all that follows.
func (i *Issuer) Revoke(token string) {
	session := claimsOf(token).Session
	i.change(event{Type: "session.ended", Object: session}, func() { delete(i.sessions, session) })
}

// Deactivate ends all sessions of a user, as an identity provider does.
func (i *Issuer) Deactivate(user string) {
	i.change(event{Type: "user.deactivated", Object: user}, func() {
		maps.DeleteFunc(i.sessions, func(_, of string) bool { return of == user })
	})
}

// Permit changes what a user holds. The user's tokens are stale, and the next SignIn
// is to be asked for the new permissions.
func (i *Issuer) Permit(user string, permissions ...string) {
	e := event{Type: "role.unassigned", Object: "rol-1", Detail: roleOf(user) + " from " + user, UserIDs: []string{user}}
	i.change(e, func() {
		held := i.held[user]
		held.permissions = permissions
		i.held[user] = held
	})
}

// RotateKeys signs with a new key, and takes the old one away with all its tokens.
func (i *Issuer) RotateKeys() {
	next := newKey()
	i.change(event{Type: "key.changed", Object: Org, Detail: next.id}, func() { i.signing = next })
	for _, service := range i.following() {
		i.settle(func() bool { return service.Knows(next.id) })
	}
}

// Advance moves the clock. A heartbeat follows, unless the issuer is offline.
func (i *Issuer) Advance(by time.Duration) {
	i.mu.Lock()
	i.moved += by
	offline := i.offline
	i.mu.Unlock()
	if !offline {
		i.change(event{Type: "something.else"}, func() {})
	}
}

// Now is the issuer's clock, which its services go by.
func (i *Issuer) Now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now()
}

func (i *Issuer) now() time.Time { return time.Now().Add(i.moved) }

// GoOffline breaks every connection, and none is made.
func (i *Issuer) GoOffline() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.offline = true
	i.tell()
}

// GoOnline ends that, and waits until the feed is followed again.
func (i *Issuer) GoOnline() {
	i.mu.Lock()
	i.offline = false
	i.mu.Unlock()
	i.change(event{Type: "something.else"}, func() {})
}

// change adds an event and waits until it was heard.
func (i *Issuer) change(e event, apply func()) {
	i.mu.Lock()
	apply()
	i.index++
	e.Index = i.index
	i.events = append(i.events, e)
	i.tell()
	i.mu.Unlock()
	for _, service := range i.following() {
		i.settle(func() bool { return service.Heard(e.Index) })
	}
}

// tell is called with the lock held.
func (i *Issuer) tell() {
	close(i.changed)
	i.changed = make(chan struct{})
}

func (i *Issuer) following() []rehearsal.Service {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.offline {
		return nil // they hear of it when they are back
	}
	return slices.Clone(i.services)
}

// settle waits until a change was taken in. One that never is shows in what the test
// asks next.
func (i *Issuer) settle(done func() bool) {
	late := time.After(settleMax)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			return
		}
	}
}
