package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/api"
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/node/feed"
)

const issuer = "https://auth.example"

// testWait is when a test that waits for a stream gives up.
const testWait = 30 * time.Second

// soloLog applies each proposal at once to a machine that forgets, and announces
// it: a cluster of one node without a disk. It remembers every root.
type soloLog struct {
	machine *fsm.Machine
	feed    *feed.Feed

	mu    sync.Mutex
	roots map[directory.Index]*state.Root // guarded by mu
}

var _ access.Log = (*soloLog)(nil)

func newSoloLog(t testing.TB) *soloLog {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	return &soloLog{machine: machine, feed: feed.New(0), roots: map[directory.Index]*state.Root{}}
}

func (l *soloLog) Propose(_ context.Context, entry []byte) (fsm.Result, error) {
	env, err := wire.Decode(entry)
	if err != nil {
		return fsm.Result{}, err
	}
	results, err := l.apply(env)
	if err != nil {
		return fsm.Result{}, err
	}
	return results[0], nil
}

// apply puts all envelopes into one entry.
func (l *soloLog) apply(envelopes ...*fsm.Envelope) ([]fsm.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index := l.machine.Applied() + 1
	results, err := l.machine.Apply([]fsm.Entry{{Index: index, Term: 1, Envelopes: envelopes}})
	if err != nil {
		return nil, err
	}
	l.roots[index] = l.machine.Root()
	l.feed.Publish(index)
	return results[0], nil
}

func (l *soloLog) root(index directory.Index) *state.Root {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.roots[index]
}

func (l *soloLog) ReadIndex(context.Context) (directory.Index, error) {
	return l.machine.Applied(), nil
}

func (l *soloLog) WaitApplied(ctx context.Context, index directory.Index) error {
	for at := l.machine.Applied(); at < index; at = l.machine.Applied() {
		if _, err := l.feed.Wait(ctx, at); err != nil {
			return directory.Unavailable("this node has not reached index %d yet", index)
		}
	}
	return nil
}

// world is a node with its feed on a real socket, two organizations and an
// operator, on a clock that tests move.
type world struct {
	t        testing.TB
	log      *soloLog
	skipped  atomic.Int64 // nanoseconds that the clock is ahead
	ring     *keyring.Keyring
	gate     *access.Gate
	sessions *login.Sessions
	watcher  *Watcher
	server   *httptest.Server
	ended    chan struct{} // one for each request to the feed that has ended

	operator directory.Actor
	token    string // the operator's
	orgs     [2]directory.OrgID
}

// newWorld makes one. With adjust, tests make the times short.
func newWorld(t testing.TB, adjust ...func(*bounds)) *world {
	t.Helper()
	w := &world{t: t, log: newSoloLog(t), ended: make(chan struct{}, 1000)}
	var err error
	w.ring, err = keyring.Generate()
	must(t, err)
	w.begin()
	w.gate, w.sessions, w.watcher = w.node(w.log, w.log.machine.Root, w.log.feed.Wait, adjust...)
	w.server = w.serve(w.watcher, func(*http.Server) {})
	for i, slug := range []string{"north", "south"} {
		w.orgs[i] = w.organization(slug)
	}
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skipped.Load())) }

// node is one more node on a log.
func (w *world) node(log access.Log, root func() *state.Root, wait Wait, adjust ...func(*bounds)) (*access.Gate, *login.Sessions, *Watcher) {
	tokens := login.NewTokens(w.ring, issuer, w.now)
	gate := access.NewGate(log, root, tokens, w.now)
	watcher := New(gate, wait, tokens.Heartbeat, slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})))
	for _, f := range adjust {
		f(&watcher.bounds)
	}
	return gate, login.NewSessions(gate, tokens, w.ring, func(context.Context, directory.Index) {}), watcher
}

// serve serves the whole API of a node as a node does, on a socket with TLS.
func (w *world) serve(watcher *Watcher, adjust func(*http.Server)) *httptest.Server {
	w.t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	procedures, err := admin.New(admin.Config{
		Gate: watcher.gate, Ring: w.ring, Issuer: issuer, Log: quiet, Resolver: net.DefaultResolver,
		Sessions:     login.NewSessions(watcher.gate, login.NewTokens(w.ring, issuer, w.now), w.ring, func(context.Context, directory.Index) {}),
		Status:       func() admin.Status { return admin.Status{} },
		Enforcement:  func(context.Context) []admin.NodeEnforcement { return nil },
		Journals:     func(context.Context, journal.Question) []journal.Answer { return nil },
		CheckIssuer:  func(string) error { return nil },
		JoinToken:    func(context.Context, *access.SystemPass) (string, error) { return "", nil },
		Latency:      func(_ context.Context, m []admin.Moment) []admin.Latency { return make([]admin.Latency, len(m)) },
		Beside:       []rest.Service{watcher.Service()},
		Backup:       func(context.Context, io.Writer) error { return nil },
		RemoveMember: func(context.Context, string) (admin.Rest, error) { return admin.Rest{}, nil },
		Leave:        func(context.Context, bool) (admin.Rest, bool, error) { return admin.Rest{}, false, nil },
		Builds:       func(context.Context) []admin.Build { return nil },
		Authority:    func() admin.Authority { return admin.Authority{} },
		Authorities:  func(context.Context) []admin.NodeAuthority { return nil },
		NextAuthority: func() (directory.Rotation, error) {
			return directory.Rotation{}, errors.New("not in these tests")
		},
	})
	must(w.t, err)
	handler := api.New(api.Handlers{
		REST: w.counted(procedures), Events: w.counted(watcher.Events()),
		AuthZEN: http.NotFoundHandler(), SCIM: http.NotFoundHandler(), OIDC: http.NotFoundHandler(), Polls: http.NotFoundHandler(), Metrics: http.NotFoundHandler(),
	}, quiet)
	server := httptest.NewUnstartedServer(nil)
	server.Config = api.NewHTTPServer(handler, quiet)
	server.EnableHTTP2 = true
	adjust(server.Config)
	server.StartTLS()
	w.t.Cleanup(server.Close)
	w.t.Cleanup(watcher.Close) // before the server, which waits for its streams
	return server
}

// counted says when a request has ended.
func (w *world) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		defer func() {
			select {
			case w.ended <- struct{}{}:
			default: // nobody counts so many
			}
		}()
		next.ServeHTTP(to, r)
	})
}

// streamEnds waits until a request to the node has ended.
func (w *world) streamEnds() {
	w.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(testWait):
		w.t.Fatal("the stream has not ended")
	}
}

// begin puts the first operator and the token secret into the log.
func (w *world) begin() {
	w.t.Helper()
	id := access.NewID[directory.OperatorID](time.Now())
	w.operator = directory.Actor{Kind: directory.ActorOperator, ID: id}
	var hash [32]byte
	w.token, hash = access.NewOperatorToken(id)
	secret, err := login.NewSecret(w.ring)
	must(w.t, err)
	node := directory.Actor{Kind: directory.ActorNode}
	w.applied(
		&fsm.Envelope{Actor: node, Now: 1, Command: &fsm.PutTokenSecret{Secret: secret}},
		&fsm.Envelope{Actor: node, Now: 1, Command: &fsm.RaiseLevel{Level: directory.LevelMax}},
		&fsm.Envelope{Actor: node, Now: 1, Command: &fsm.CreateOperator{Operator: directory.Operator{ID: id, Name: "root", Token: hash}}},
	)
}

// applied applies one entry whose commands must all succeed, and returns its index.
func (w *world) applied(envelopes ...*fsm.Envelope) directory.Index {
	w.t.Helper()
	results, err := w.log.apply(envelopes...)
	must(w.t, err)
	for _, r := range results {
		must(w.t, r.Err)
	}
	return results[0].Index
}

func (w *world) envelope(org directory.OrgID, command fsm.Command) *fsm.Envelope {
	return &fsm.Envelope{Org: org, Actor: w.operator, Source: "api", Now: directory.TimeOf(w.now()), Operation: "test", Command: command}
}

// change makes each change in an entry of its own and returns the last index.
func (w *world) change(org directory.OrgID, commands ...fsm.Command) (index directory.Index) {
	w.t.Helper()
	for _, c := range commands {
		index = w.applied(w.envelope(org, c))
	}
	return index
}

func (w *world) organization(slug string) directory.OrgID {
	w.t.Helper()
	id := access.NewID[directory.OrgID](time.Now())
	key, err := login.NewSigningKey(w.ring, id)
	must(w.t, err)
	create := &fsm.CreateOrganization{
		Organization: directory.Organization{ID: id, Slug: slug, Name: slug, UserQuota: directory.UserQuotaMax}, Key: key,
	}
	for range directory.BuiltinRoles() {
		create.Roles = append(create.Roles, access.NewID[directory.RoleID](time.Now()))
	}
	w.applied(&fsm.Envelope{Actor: w.operator, Source: "api", Now: directory.TimeOf(w.now()), Command: create})
	return id
}

func newUser(name string) *fsm.CreateUser {
	return &fsm.CreateUser{User: directory.User{
		ID: access.NewID[directory.UserID](time.Now()), UserName: name + "@example.org", Active: true, Source: directory.SourceAPI,
	}}
}

// users makes many at once.
func (w *world) users(org directory.OrgID, prefix string, n int) {
	w.t.Helper()
	entry := make([]*fsm.Envelope, n)
	for i := range entry {
		entry[i] = w.envelope(org, newUser(fmt.Sprintf("%s%06d", prefix, i)))
	}
	w.applied(entry...)
}

// watcherUser makes a user who may watch by a role of their own, and signs in.
type watcherUser struct {
	id    directory.UserID
	role  directory.RoleID
	grant login.Grant
}

func (w *world) reader(org directory.OrgID, name string) watcherUser {
	w.t.Helper()
	create := newUser(name)
	u := watcherUser{id: create.User.ID, role: access.NewID[directory.RoleID](time.Now())}
	w.change(org, create,
		&fsm.CreateRole{Role: directory.Role{ID: u.role, Name: name, Permissions: []directory.Permission{directory.ReadAuditLogs}}},
		&fsm.AssignRole{ID: access.NewID[directory.AssignmentID](time.Now()), Role: u.role, User: u.id})
	u.grant = w.signIn(org, u.id)
	return u
}

func (w *world) signIn(org directory.OrgID, user directory.UserID) login.Grant {
	w.t.Helper()
	pass, err := w.gate.Admit(w.t.Context(), access.Caller{Actor: w.operator, Source: "api"}, org, "sessions.start", access.Freshness{})
	must(w.t, err)
	grant, err := w.sessions.Start(w.t.Context(), pass, user, []string{"pwd"}, login.Device{})
	must(w.t, err)
	return grant
}

// view is an organization as it is now.
func (w *world) view(org directory.OrgID) *state.Org {
	w.t.Helper()
	view, ok := w.log.machine.Root().Org(org)
	if !ok {
		w.t.Fatal("no such organization")
	}
	return view
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
