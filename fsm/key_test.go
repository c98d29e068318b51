package fsm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func testKey(kid string, by directory.KeyAlgorithm) directory.SigningKey {
	return directory.SigningKey{ID: kid, Public: []byte{1}, Sealed: []byte{1}, Algorithm: by}
}

// keys are the keys of an organization as text, in the order of their names.
func (w *ward) keys() (all string) {
	w.view().EachKey(func(k *directory.SigningKey) bool {
		all += fmt.Sprintf("%s %s %s, ", k.ID, k.Signs(), k.State)
		return true
	})
	return all
}

func (w *ward) keysAre(want string) {
	w.t.Helper()
	if got := w.keys(); got != want {
		w.t.Errorf("the keys are %q, want %q", got, want)
	}
}

// TestKeyLivesInFourStates, each for its time, and the clock of no proposer can skip
// one.
func TestKeyLivesInFourStates(t *testing.T) {
	w := world(t, nil)
	expect := func(what string, c fsm.OrgCommand, want directory.Kind) {
		t.Helper()
		if err := w.asNode(c); directory.KindOf(err) != want || (err == nil) != (want == 0) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	expect("announce", &fsm.AnnounceKey{Key: testKey("next", "")}, 0)
	expect("another at the same time", &fsm.AnnounceKey{Key: testKey("more", "")}, directory.KindConflict)
	expect("one of a foreign algorithm", &fsm.AnnounceKey{Key: testKey("more", directory.EdDSA)}, directory.KindPrecondition)
	expect("one of no algorithm", &fsm.AnnounceKey{Key: testKey("more", "none")}, directory.KindInvalid)
	w.keysAre("k ES256 active, next ES256 announced, ")
	w.pass(directory.KeyAnnounce - time.Millisecond)
	expect("too early", &fsm.MoveKey{ID: "next", To: directory.KeyActive}, directory.KindPrecondition)
	w.pass(time.Millisecond)
	expect("in time", &fsm.MoveKey{ID: "next", To: directory.KeyActive}, 0)
	w.keysAre("k ES256 retiring, next ES256 active, ")
	expect("back", &fsm.MoveKey{ID: "k", To: directory.KeyActive}, directory.KindPrecondition)
	expect("the only one that signs", &fsm.MoveKey{ID: "next", To: directory.KeyRetiring}, directory.KindPrecondition)
	w.pass(directory.KeyRetire - time.Millisecond)
	expect("gone too early", &fsm.MoveKey{ID: "k"}, directory.KindPrecondition)
	w.pass(time.Millisecond)
	expect("gone", &fsm.MoveKey{ID: "k"}, 0)
	expect("gone twice", &fsm.MoveKey{ID: "k"}, directory.KindNotFound)
	w.keysAre("next ES256 active, ")
}

// TestRevokedKey is out in the same entry as the tokens that it signed; another signs,
// and what that signed stays.
func TestRevokedKey(t *testing.T) {
	w := world(t, nil)
	token := func(n byte, kid string) directory.AccessToken {
		return directory.AccessToken{Key: [16]byte{n}, Expires: w.now.Add(time.Hour), Signer: directory.SignerOf(kid)}
	}
	session := id[directory.SessionID](50)
	w.must(&fsm.StartSession{ID: session, User: userID(plain), Refresh: [32]byte{1}, Token: token(1, "k")})
	w.must(&fsm.AnnounceKey{Key: testKey("next", "")})
	w.must(&fsm.RevokeKey{ID: "k", Next: testKey("unused", "")})
	w.keysAre("next ES256 active, ")
	held := func(want int) {
		t.Helper()
		s, _ := w.view().Session(session)
		if len(s.Tokens) != want || s.Ended != 0 {
			t.Errorf("the session holds %d tokens, want %d; ended %d", len(s.Tokens), want, s.Ended)
		}
	}
	held(0)
	if err := w.asNode(&fsm.RefreshSession{ID: session, Presented: [32]byte{1}, Refresh: [32]byte{2}, Token: token(2, "next")}); err != nil {
		t.Error("the session does not go on")
	}
	held(1)
	w.must(&fsm.AnnounceKey{Key: testKey("third", "")})
	w.must(&fsm.RevokeKey{ID: "third"})
	held(1)
	if err := w.try(&fsm.RevokeKey{ID: "next"}); directory.KindOf(err) != directory.KindInvalid {
		t.Errorf("without one in its place: %v", err)
	}
	w.keysAre("next ES256 active, ")
	w.must(&fsm.RevokeKey{ID: "next", Next: testKey("fourth", "")})
	w.keysAre("fourth ES256 active, ")
	held(0)
}

// TestAlgorithmsOfClients: a client gets what it asks for from its first token on, and
// nobody takes it away.
func TestAlgorithmsOfClients(t *testing.T) {
	w := world(t, nil)
	rs := directory.RS256
	asks := &fsm.UpdateClient{ID: id[directory.ClientID](charts), Algorithm: &rs}
	refused := func(what string, c fsm.OrgCommand) {
		t.Helper()
		if err := w.try(c); directory.KindOf(err) != directory.KindPrecondition {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("not signed by", asks)
	both := directory.KeyPolicy{Algorithms: []directory.KeyAlgorithm{directory.ES256, directory.RS256}}
	w.must(&fsm.SetKeyPolicy{Policy: both})
	w.must(&fsm.AnnounceKey{Key: testKey("r", rs)})
	refused("announced alone", asks)
	w.pass(directory.KeyAnnounce)
	if err := w.asNode(&fsm.MoveKey{ID: "r", To: directory.KeyActive}); err != nil {
		t.Fatal("the key does not sign")
	}
	w.must(asks)
	refused("a policy without it", &fsm.SetKeyPolicy{})
	none := directory.KeyAlgorithm("")
	w.must(&fsm.UpdateClient{ID: id[directory.ClientID](charts), Algorithm: &none})
	w.must(&fsm.SetKeyPolicy{})
	if err := w.asNode(&fsm.MoveKey{ID: "r", To: directory.KeyRetiring}); err != nil {
		t.Error("the key does not retire")
	}
	w.keysAre("k ES256 active, r RS256 retiring, ")
}

// TestKeyPolicyBounds at the limit and one past it.
func TestKeyPolicyBounds(t *testing.T) {
	for what, row := range map[string]struct {
		policy directory.KeyPolicy
		ok     bool
	}{
		"nothing":            {directory.KeyPolicy{}, true},
		"an hour":            {directory.KeyPolicy{Life: time.Hour, Announce: time.Second}, true},
		"less":               {directory.KeyPolicy{Life: time.Hour - 1, Announce: time.Second}, false},
		"400 days":           {directory.KeyPolicy{Life: 400 * 24 * time.Hour}, true},
		"more":               {directory.KeyPolicy{Life: 400*24*time.Hour + 1}, false},
		"announced half":     {directory.KeyPolicy{Life: time.Hour, Announce: 30 * time.Minute}, true},
		"announced too long": {directory.KeyPolicy{Life: time.Hour, Announce: 30*time.Minute + 1}, false},
		"retires early":      {directory.KeyPolicy{Retire: 6*time.Minute - 1}, false},
		"retires":            {directory.KeyPolicy{Retire: 6 * time.Minute}, true},
		"all algorithms":     {directory.KeyPolicy{Algorithms: directory.KeyAlgorithms()}, true},
		"one twice":          {directory.KeyPolicy{Algorithms: []directory.KeyAlgorithm{"ES256", "ES256"}}, false},
		"an unknown one":     {directory.KeyPolicy{Algorithms: []directory.KeyAlgorithm{"HS256"}}, false},
		"no name":            {directory.KeyPolicy{Algorithms: []directory.KeyAlgorithm{""}}, false},
	} {
		if err := row.policy.Check(); (err == nil) != row.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}
