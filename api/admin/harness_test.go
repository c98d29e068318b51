package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/admin"
	foreign "github.com/authfi/authfi/api/issuer"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/api/openapi/openapitest"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/keyring"
)

const issuer = "https://auth.example"

// memoryLog applies each proposal at once to a machine that forgets: a cluster
// of one node without a disk.
type memoryLog struct {
	mu      sync.Mutex
	machine *fsm.Machine
}

var _ access.Log = (*memoryLog)(nil)

func (l *memoryLog) Propose(_ context.Context, entry []byte) (fsm.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	env, err := wire.Decode(entry)
	if err != nil {
		return fsm.Result{}, err
	}
	results, err := l.machine.Apply([]fsm.Entry{{
		Index: l.machine.Applied() + 1, Term: 1, Envelopes: []*fsm.Envelope{env},
	}})
	if err != nil {
		return fsm.Result{}, err
	}
	return results[0][0], nil
}

func (l *memoryLog) ReadIndex(context.Context) (directory.Index, error) {
	return l.machine.Applied(), nil
}

func (l *memoryLog) WaitApplied(ctx context.Context, index directory.Index) error {
	if index <= l.machine.Applied() {
		return nil
	}
	return directory.Unavailable("index %d is not applied yet", index)
}

// server is the API over a real socket with an operator's token.
type server struct {
	t     testing.TB
	base  string
	token string
	log   *memoryLog
	ring  *keyring.Keyring
}

func newServer(t testing.TB) *server {
	t.Helper()
	leader, _ := newPair(t)
	return leader
}

// newPair is two nodes of one cluster; see laggingLog for the second.
func newPair(t testing.TB) (leader, follower *server) {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	ring, err := keyring.Generate()
	must(t, err)
	log := &memoryLog{machine: machine}
	token := begin(t, log, ring)
	behind := &laggingLog{memoryLog: log}
	behind.root.Store(machine.Root())
	return &server{t, serve(t, log, machine.Root, ring), token, log, ring},
		&server{t, serve(t, behind, behind.root.Load, ring), token, log, ring}
}

// laggingLog is another node of the same cluster, whose state is as old as the
// last time that it was made to wait for an index.
type laggingLog struct {
	*memoryLog
	root atomic.Pointer[state.Root]
}

func (l *laggingLog) Propose(ctx context.Context, entry []byte) (fsm.Result, error) {
	result, err := l.memoryLog.Propose(ctx, entry)
	l.root.Store(l.machine.Root())
	return result, err
}

func (l *laggingLog) WaitApplied(ctx context.Context, index directory.Index) error {
	l.root.Store(l.machine.Root())
	return l.memoryLog.WaitApplied(ctx, index)
}

// serve serves one node's API and returns its base URL.
func serve(t testing.TB, log access.Log, root func() *state.Root, ring *keyring.Keyring) string {
	t.Helper()
	handler, err := admin.New(configured(t, log, root, ring))
	must(t, err)
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	return web.URL
}

// configured is what a node tells the API of itself.
func configured(t testing.TB, log access.Log, root func() *state.Root, ring *keyring.Keyring) admin.Config {
	t.Helper()
	tokens := login.NewTokens(ring, issuer, time.Now)
	gate := access.NewGate(log, root, tokens, time.Now)
	return admin.Config{
		Gate: gate, Ring: ring, Issuer: issuer, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Resolver: nameServerOf(t).resolver(),
		Sessions: login.NewSessions(gate, tokens, ring, func(context.Context, directory.Index) {}),
		Status: func() admin.Status {
			return admin.Status{NodeID: "node-1", Leader: "node-1", Members: []admin.Member{{ID: "node-1", Voter: true}}, Warnings: []string{"the certificate of the API has ended"}}
		},
		Enforcement: func(context.Context) []admin.NodeEnforcement {
			return []admin.NodeEnforcement{{NodeID: "node-1", Reachable: true, Mode: "gate", Counters: map[string]uint64{"allowed": 1 << 40}}}
		},
		Journals:    journals(ring),
		CheckIssuer: foreign.New(foreign.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)}).Check,
		JoinToken:   func(context.Context, *access.SystemPass) (string, error) { return "v1.token", nil },
		Backup:      func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "backup"); return err },
		RemoveMember: func(context.Context, string) (admin.Rest, error) {
			return admin.Rest{Members: 2}, nil
		},
		Builds: func(context.Context) []admin.Build {
			return []admin.Build{{NodeID: "node-1", Version: "v1", LevelMin: directory.LevelMin, LevelMax: directory.LevelMax}}
		},
		Authority: func() admin.Authority { return admin.Authority{ID: "1"} },
		Authorities: func(context.Context) []admin.NodeAuthority {
			return []admin.NodeAuthority{{NodeID: "node-1", Signs: "1", Shows: "1"}}
		},
		NextAuthority: func() (directory.Rotation, error) {
			part := []byte{1}
			return directory.Rotation{ID: "2", Replaces: "1", Previous: part, Next: part, Cross: part, Sealed: part}, nil
		},
		Leave: func(context.Context, bool) (admin.Rest, bool, error) { return admin.Rest{Members: 2}, true, nil },
		Latency: func(_ context.Context, moments []admin.Moment) []admin.Latency {
			latencies := make([]admin.Latency, len(moments))
			for i, m := range moments {
				latencies[i].Commit = time.Duration(m.Index%2)*-time.Millisecond + 500*time.Microsecond // of odd entries nothing is known
				latencies[i].Enforced = map[string]time.Duration{"node-2": 2500 * time.Microsecond}
			}
			return latencies
		},
	}
}

// journals are those of one node that has seen nothing and of one that is silent.
func journals(ring *keyring.Keyring) func(context.Context, journal.Question) []journal.Answer {
	own := journal.New("node-1", ring.Derive, time.Now())
	return func(_ context.Context, q journal.Question) []journal.Answer {
		return []journal.Answer{own.Answer(q, time.Now()), {Node: "node-2"}}
	}
}

// begin puts the first operator and the token secret into the log.
func begin(t testing.TB, log *memoryLog, ring *keyring.Keyring) string {
	t.Helper()
	id := access.NewID[directory.OperatorID](time.Now())
	token, hash := access.NewOperatorToken(id)
	secret, err := login.NewSecret(ring)
	must(t, err)
	for _, command := range []fsm.Command{
		&fsm.PutTokenSecret{Secret: secret},
		&fsm.RaiseLevel{Level: directory.LevelMax},
		&fsm.CreateOperator{Operator: directory.Operator{ID: id, Name: "root", Token: hash}},
	} {
		entry, err := wire.Encode(&fsm.Envelope{Actor: directory.Actor{Kind: directory.ActorNode}, Now: 1, Command: command})
		must(t, err)
		result, err := log.Propose(t.Context(), entry)
		must(t, err)
		must(t, result.Err)
	}
	return token
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// object is a JSON object whose numbers are json.Number, so that a test sees
// whether a number was written as one.
type object map[string]any

func (o object) text(t testing.TB, name string) string {
	t.Helper()
	s, ok := o[name].(string)
	if !ok {
		t.Fatalf("%s is %#v", name, o[name])
	}
	return s
}

// as is the same server with another credential.
func (s *server) as(token string) *server {
	other := *s
	other.token = token
	return &other
}

// send makes a request whose body is JSON text; headers come in pairs.
func (s *server) send(method, path, body string, headers ...string) (*http.Response, object) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, bytes.NewReader([]byte(body)))
	must(s.t, err)
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: openapitest.Transport{T: s.t, Next: http.DefaultTransport}}
	res, err := client.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(s.t, err)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var answer object
	if err := decoder.Decode(&answer); err != nil {
		s.t.Fatalf("%s %s: %d %q: %v", method, path, res.StatusCode, raw, err)
	}
	return res, answer
}

// ok sends and demands 200.
func (s *server) ok(method, path, body string, headers ...string) object {
	s.t.Helper()
	res, answer := s.send(method, path, body, headers...)
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %d %v", method, path, res.StatusCode, answer)
	}
	return answer
}

// problem sends and demands a failure with this status, code and field.
func (s *server) problem(status int, code, field, method, path, body string, headers ...string) object {
	s.t.Helper()
	res, answer := s.send(method, path, body, headers...)
	if res.StatusCode != status || answer["code"] != code || answer["field"] != field {
		s.t.Errorf("%s %s: %d %v, want %d %s %q", method, path, res.StatusCode, answer, status, code, field)
	}
	if media := res.Header.Get("Content-Type"); media != "application/problem+json" {
		s.t.Errorf("%s %s: content type %s", method, path, media)
	}
	return answer
}

// organization makes an organization with the role doctor.
func (s *server) organization(slug string) (org, role string) {
	s.t.Helper()
	org = s.ok("POST", "/api/v1/organizations", `{"slug":"`+slug+`","name":"`+slug+`"}`).text(s.t, "id")
	role = s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"doctor","permissions":["read:patients","write:notes"]}`).text(s.t, "id")
	return org, role
}

func (s *server) user(org, name string) string {
	s.t.Helper()
	return s.ok("POST", "/api/v1/users", `{"org_id":"`+org+`","email":"`+name+`@example.org"}`).text(s.t, "id")
}
