package login_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/keyring"
)

const issuer = "https://auth.example"

// soloLog is a cluster of one node without a disk.
type soloLog struct{ machine *fsm.Machine }

func (l soloLog) Propose(_ context.Context, entry []byte) (fsm.Result, error) {
	env, err := wire.Decode(entry)
	if err != nil {
		return fsm.Result{}, err
	}
	results, err := l.machine.Apply([]fsm.Entry{{Index: l.machine.Applied() + 1, Term: 1, Envelopes: []*fsm.Envelope{env}}})
	if err != nil {
		return fsm.Result{}, err
	}
	return results[0][0], nil
}

func (l soloLog) ReadIndex(context.Context) (directory.Index, error) { return l.machine.Applied(), nil }

func (l soloLog) WaitApplied(_ context.Context, index directory.Index) error {
	if index > l.machine.Applied() {
		return errors.New("not applied")
	}
	return nil
}

// world is two organizations with a user each, on a clock that tests move.
type world struct {
	t        testing.TB
	clock    time.Time
	storage  *disk.Memory
	log      soloLog
	ring     *keyring.Keyring
	gate     *access.Gate
	tokens   *login.Tokens
	sessions *login.Sessions
	operator access.Caller
	token    string // the operator's
	orgs     [2]directory.OrgID
	users    [2]directory.UserID
	verified map[string]access.Session // tokens that were accepted
}

var slugs = [2]string{"north", "south"}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, directory.LevelMax)
}

// newWorldAt is a world of a feature level.
func newWorldAt(t testing.TB, level directory.Level) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), storage: disk.NewMemory(), verified: map[string]access.Session{}}
	now := w.now
	machine, err := fsm.Open(w.storage)
	must(t, err)
	w.log = soloLog{machine}
	w.ring, err = keyring.Generate()
	must(t, err)
	w.tokens = login.NewTokens(w.ring, issuer, now)
	w.gate = access.NewGate(soloLog{machine}, machine.Root, w.tokens, now)
	w.sessions = login.NewSessions(w.gate, w.tokens, w.ring, func(context.Context, directory.Index) {})
	secret, err := login.NewSecret(w.ring)
	must(t, err)
	_, err = w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.PutTokenSecret{Secret: secret})
	must(t, err)
	if level > directory.LevelMin {
		_, err = w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.RaiseLevel{Level: level})
		must(t, err)
	}
	id := access.NewID[directory.OperatorID](w.clock)
	token, hash := access.NewOperatorToken(id)
	_, err = w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.CreateOperator{
		Operator: directory.Operator{ID: id, Name: "root", Token: hash},
	})
	must(t, err)
	w.token = token
	w.operator, err = w.gate.Authenticate(token)
	must(t, err)
	for i := range w.orgs {
		w.organization(i)
	}
	return w
}

func (w *world) now() time.Time { return w.clock }

func (w *world) organization(i int) {
	w.t.Helper()
	w.orgs[i] = access.NewID[directory.OrgID](w.clock)
	w.users[i] = access.NewID[directory.UserID](w.clock)
	key, err := login.NewSigningKey(w.ring, w.orgs[i])
	must(w.t, err)
	system, err := w.gate.AdmitSystem(w.t.Context(), w.operator, "organizations.create", access.Freshness{})
	must(w.t, err)
	_, err = system.Propose(w.t.Context(), &fsm.CreateOrganization{
		Organization: directory.Organization{ID: w.orgs[i], Slug: slugs[i], Name: slugs[i]}, Key: key,
	}, access.IdempotencyKey{}, "organizations.create")
	must(w.t, err)
	w.change(i, "users.create", &fsm.CreateUser{User: directory.User{
		ID: w.users[i], UserName: "alice@example.org", Active: true,
	}})
}

func (w *world) pass(i int, op access.Operation) *access.Pass {
	w.t.Helper()
	pass, err := w.gate.Admit(w.t.Context(), w.operator, w.orgs[i], op, access.Freshness{})
	must(w.t, err)
	return pass
}

func (w *world) change(i int, op access.Operation, command fsm.OrgCommand) {
	w.t.Helper()
	_, err := w.pass(i, op).Propose(w.t.Context(), command, access.IdempotencyKey{})
	must(w.t, err)
}

func (w *world) signIn(i int) login.Grant {
	w.t.Helper()
	grant, err := w.sessions.Start(w.t.Context(), w.pass(i, "sessions.start"), w.users[i], []string{"pwd"}, login.Device{})
	must(w.t, err)
	return grant
}

// accepted and refused ask for a token, and for one that was verified before
// whether Live says the same.
func (w *world) accepted(what, token string) {
	w.t.Helper()
	s, err := w.tokens.Verify(w.gate.Root(), token)
	if err != nil {
		w.t.Errorf("%s: %v", what, err)
		return
	}
	if before, ok := w.verified[token]; ok && (before != s || w.tokens.Live(w.gate.Root(), before) != nil) {
		w.t.Errorf("%s: %+v was %+v", what, s, before)
	}
	w.verified[token] = s
}

func (w *world) refused(what, token string) {
	w.t.Helper()
	s, err := w.tokens.Verify(w.gate.Root(), token)
	if directory.KindOf(err) != directory.KindUnauthenticated || s != (access.Session{}) {
		w.t.Errorf("%s: %+v, %v", what, s, err)
	}
	if before, ok := w.verified[token]; ok {
		if err := w.tokens.Live(w.gate.Root(), before); directory.KindOf(err) != directory.KindUnauthenticated {
			w.t.Errorf("%s: of the token that was verified before: %v", what, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
