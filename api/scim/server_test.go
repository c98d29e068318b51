package scim_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/keyring"
)

// memoryLog is a log of one node: what is proposed is applied at once.
type memoryLog struct {
	mu      sync.Mutex
	machine *fsm.Machine
}

func (l *memoryLog) Propose(_ context.Context, entry []byte) (fsm.Result, error) {
	env, err := wire.Decode(entry)
	if err != nil {
		return fsm.Result{}, err
	}
	return l.apply(env)
}

func (l *memoryLog) apply(env *fsm.Envelope) (fsm.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := fsm.Entry{Index: l.machine.Applied() + 1, Term: 1, Envelopes: []*fsm.Envelope{env}}
	results, err := l.machine.Apply([]fsm.Entry{entry})
	if err != nil {
		return fsm.Result{}, err
	}
	return results[0][0], nil
}

func (l *memoryLog) ReadIndex(context.Context) (directory.Index, error) {
	return l.machine.Applied(), nil
}
func (l *memoryLog) WaitApplied(context.Context, directory.Index) error { return nil }

// world is a running server with an operator.
type world struct {
	t        testing.TB
	log      *memoryLog
	operator directory.Actor
	url      string
	journal  *journal.Journal
}

func newWorld(t testing.TB) *world {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: &memoryLog{machine: machine}}
	gate := access.NewGate(w.log, machine.Root, nil, time.Now)
	ring, err := keyring.New(make([]byte, keyring.Size))
	if err != nil {
		t.Fatal(err)
	}
	w.journal = journal.New("node-1", ring.Derive, time.Now())
	base := func(r *http.Request) string { return "http://" + r.Host }
	server := httptest.NewServer(scim.New(scim.Config{Gate: gate, Ring: ring, Base: base, Journal: w.journal, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	w.url = server.URL
	id := access.NewID[directory.OperatorID](time.Now())
	w.operator = directory.Actor{Kind: directory.ActorNode} // may make the first operator
	w.must(directory.OrgID{}, &fsm.RaiseLevel{Level: directory.LevelMax})
	w.must(directory.OrgID{}, &fsm.CreateOperator{Operator: directory.Operator{ID: id, Name: "root"}})
	w.operator = directory.Actor{Kind: directory.ActorOperator, ID: id}
	return w
}

func (w *world) must(org directory.OrgID, c fsm.Command) {
	w.t.Helper()
	result, err := w.log.apply(&fsm.Envelope{
		Org: org, Actor: w.operator, Source: "api", Now: directory.TimeOf(time.Now()), Command: c,
	})
	if err != nil || result.Err != nil {
		w.t.Fatal(err, result.Err)
	}
}

// client is an identity provider's connection to one organization.
type client struct {
	t           testing.TB
	base, token string
	org         directory.OrgID
	connection  directory.ConnectionID
}

func (w *world) organization(slug string) *client {
	w.t.Helper()
	org := access.NewID[directory.OrgID](time.Now())
	w.must(directory.OrgID{}, &fsm.CreateOrganization{
		Organization: directory.Organization{ID: org, Slug: slug, Name: slug},
		Key:          directory.SigningKey{ID: "kid-" + slug},
	})
	id := access.NewID[directory.ConnectionID](time.Now())
	token, hash := access.NewConnectionToken(org, id)
	w.must(org, &fsm.CreateConnection{Connection: directory.Connection{
		ID: id, Provider: directory.ProviderEntra, Token: hash,
	}})
	return &client{t: w.t, base: w.url + scim.Prefix + slug, token: token, org: org, connection: id}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) do(method, path, body string) answer {
	return c.send(method, path, body, map[string]string{
		"Authorization": "Bearer " + c.token, "Content-Type": "application/scim+json",
	})
}

func (c *client) send(method, path, body string, header map[string]string) answer {
	c.t.Helper()
	r, err := http.NewRequest(method, c.base+strings.ReplaceAll(path, " ", "%20"), strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Error(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: b}
}
