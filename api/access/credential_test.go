package access_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/wire"
)

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

// world is a gate with an operator and two organizations, each of which has a
// connection.
type world struct {
	t          *testing.T
	gate       *access.Gate
	operator   string
	orgs       [2]directory.OrgID
	connection [2]directory.ConnectionID
	token      [2]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	return newWorldOn(t, machine, time.Now)
}

func newWorldOn(t *testing.T, machine *fsm.Machine, now func() time.Time) *world {
	t.Helper()
	w := &world{t: t, gate: access.NewGate(soloLog{machine}, machine.Root, nil, now)}
	id := access.NewID[directory.OperatorID](time.Now())
	token, hash := access.NewOperatorToken(id)
	w.operator = token
	_, err := w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.RaiseLevel{Level: directory.LevelMax})
	must(t, err)
	_, err = w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.CreateOperator{
		Operator: directory.Operator{ID: id, Name: "root", Token: hash},
	})
	must(t, err)
	for i := range w.orgs {
		w.organization(i)
	}
	return w
}

func (w *world) organization(i int) {
	ctx := w.t.Context()
	w.orgs[i] = access.NewID[directory.OrgID](time.Now())
	w.connection[i] = access.NewID[directory.ConnectionID](time.Now())
	slug := "org-" + string(rune('a'+i))
	caller := w.caller(w.operator)
	system, err := w.gate.AdmitSystem(ctx, caller, "organizations.create", access.Freshness{})
	must(w.t, err)
	_, err = system.Propose(ctx, &fsm.CreateOrganization{
		Organization: directory.Organization{ID: w.orgs[i], Slug: slug, Name: slug},
		Key:          directory.SigningKey{ID: "key-" + slug, State: directory.KeyActive},
	}, access.IdempotencyKey{}, "organizations.create")
	must(w.t, err)
	pass, err := w.gate.Admit(ctx, caller, w.orgs[i], "connections.create", access.Freshness{})
	must(w.t, err)
	token, hash := access.NewConnectionToken(w.orgs[i], w.connection[i])
	w.token[i] = token
	_, err = pass.Propose(ctx, &fsm.CreateConnection{Connection: directory.Connection{
		ID: w.connection[i], Provider: directory.ProviderEntra, Token: hash,
	}}, access.IdempotencyKey{})
	must(w.t, err)
}

func (w *world) caller(token string) access.Caller {
	w.t.Helper()
	caller, err := w.gate.Authenticate(token)
	must(w.t, err)
	return caller
}

// refused demands the one answer that every bad credential gets.
func (w *world) refused(what, token string) {
	w.t.Helper()
	caller, err := w.gate.AuthenticateFresh(w.t.Context(), token)
	if directory.KindOf(err) != directory.KindUnauthenticated || caller != (access.Caller{}) {
		w.t.Errorf("%s: %+v, %v", what, caller, err)
		return
	}
	if want := "a valid bearer token is required"; !strings.Contains(err.Error(), want) {
		w.t.Errorf("%s tells: %v", what, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedCredentials: nothing but the whole token is the token.
func TestDamagedCredentials(t *testing.T) {
	w := newWorld(t)
	w.onlyWhole(w.operator)
	w.onlyWhole(w.token[0])
	w.refused("nothing", "")
}

// onlyWhole: every token that is nearly this one is refused.
func (w *world) onlyWhole(token string) {
	w.t.Helper()
	w.caller(token)
	for n := range token {
		w.refused("prefix", token[:n])
		w.refused("suffix", token[n+1:])
		for bit := range 8 {
			flipped := []byte(token)
			flipped[n] ^= 1 << bit
			w.refused("flipped bit", string(flipped))
		}
	}
	for _, more := range []string{"A", "=", " ", "\n", "\x00", token} {
		w.refused("with more behind it", token+more)
		w.refused("with more before it", more+token)
	}
	w.refused("upper case", strings.ToUpper(token))
	w.refused("very long", token+strings.Repeat("A", access.CredentialMax))
}

// TestForeignCredentials: a token is good for its own organization, and one
// that was never stored or is stored elsewhere is good for none.
func TestForeignCredentials(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	never, _ := access.NewConnectionToken(w.orgs[0], w.connection[0])
	w.refused("another secret for a known connection", never)
	moved, _ := access.NewConnectionToken(w.orgs[1], w.connection[0])
	w.refused("a connection under another organization", moved)
	unknown, _ := access.NewOperatorToken(access.NewID[directory.OperatorID](time.Now()))
	w.refused("an unknown operator", unknown)
	refresh, _ := access.NewRefreshToken(w.orgs[0], access.NewID[directory.SessionID](time.Now()))
	w.refused("a refresh token as a bearer token", refresh)

	caller := w.caller(w.token[0])
	_, foreign := w.gate.Admit(ctx, caller, w.orgs[1], "scim.users.read", access.Freshness{})
	_, missing := w.gate.Admit(ctx, caller, access.NewID[directory.OrgID](time.Now()), "scim.users.read", access.Freshness{})
	if directory.KindOf(foreign) != directory.KindNotFound || foreign.Error() != missing.Error() {
		t.Errorf("another organization answers %v, an unknown one %v", foreign, missing)
	}
}

// TestConnectionIsConfined: for every operation outside SCIM a connection is
// refused, also in its own organization.
func TestConnectionIsConfined(t *testing.T) {
	w := newWorld(t)
	caller := w.caller(w.token[0])
	if _, err := w.gate.Admit(t.Context(), caller, w.orgs[0], "scim.users.read", access.Freshness{}); err != nil {
		t.Fatalf("its own operation: %v", err)
	}
	for _, op := range []access.Operation{"users.list", "users.create", "roles.assign", "connections.create", "users.burn"} {
		if _, err := w.gate.Admit(t.Context(), caller, w.orgs[0], op, access.Freshness{}); directory.KindOf(err) != directory.KindDenied {
			t.Errorf("%s: %v", op, err)
		}
	}
	if _, err := w.gate.AdmitSystem(t.Context(), caller, "cluster.status", access.Freshness{}); directory.KindOf(err) != directory.KindDenied {
		t.Errorf("cluster.status: %v", err)
	}
}

// TestDeletedConnection: its token dies with it, and the pass that it was
// given before proposes nothing more.
func TestDeletedConnection(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	early, err := w.gate.Admit(ctx, w.caller(w.token[0]), w.orgs[0], "scim.users.create", access.Freshness{})
	must(t, err)
	pass, err := w.gate.Admit(ctx, w.caller(w.operator), w.orgs[0], "connections.delete", access.Freshness{})
	must(t, err)
	_, err = pass.Propose(ctx, &fsm.DeleteConnection{ID: w.connection[0]}, access.IdempotencyKey{})
	must(t, err)
	w.refused("the token of a deleted connection", w.token[0])
	w.caller(w.token[1])
	_, err = early.Propose(ctx, &fsm.CreateUser{User: directory.User{
		ID: access.NewID[directory.UserID](time.Now()), UserName: "late@example.org", Active: true,
	}}, access.IdempotencyKey{})
	if err == nil {
		t.Error("a deleted connection created a user with an old pass")
	}
}

// TestCredentialsAreStoredAsHashes: the state holds nothing that admits.
func TestCredentialsAreStoredAsHashes(t *testing.T) {
	w := newWorld(t)
	for _, token := range []string{w.operator, w.token[0], w.token[1]} {
		w.onlyHash(token)
	}
}

func (w *world) onlyHash(token string) {
	w.t.Helper()
	var stream bytes.Buffer
	must(w.t, fsm.WriteSnapshot(&stream, w.gate.Root()))
	hash := access.Hash(token)
	if !bytes.Contains(stream.Bytes(), hash[:]) {
		w.t.Error("the hash of a credential is not in the state: nothing was checked")
	}
	if bytes.Contains(stream.Bytes(), []byte(token)) || bytes.Contains(stream.Bytes(), []byte(token[4:])) {
		w.t.Error("the state holds a credential in clear")
	}
}
