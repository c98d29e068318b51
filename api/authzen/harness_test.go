package authzen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/authfi/authfi/api"
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/authzen"
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

// world is a server with the organizations clinic and other, and its operator.
type world struct {
	t        *testing.T
	base     string
	gate     *access.Gate
	ring     *keyring.Keyring
	sessions *login.Sessions
	token    string // the operator's
	operator access.Caller
	clinic   directory.OrgID
	other    directory.OrgID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	w.ring, err = keyring.Generate()
	must(t, err)
	tokens := login.NewTokens(w.ring, issuer, time.Now)
	w.gate = access.NewGate(soloLog{machine}, machine.Root, tokens, time.Now)
	w.sessions = login.NewSessions(w.gate, tokens, w.ring, func(context.Context, directory.Index) {})
	secret, err := login.NewSecret(w.ring)
	must(t, err)
	_, err = w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.PutTokenSecret{Secret: secret})
	must(t, err)
	_, err = w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.RaiseLevel{Level: directory.LevelMax})
	must(t, err)
	id := access.NewID[directory.OperatorID](time.Now())
	token, hash := access.NewOperatorToken(id)
	w.token = token
	_, err = w.gate.ProposeAsNode(t.Context(), directory.OrgID{}, &fsm.CreateOperator{
		Operator: directory.Operator{ID: id, Name: "root", Token: hash},
	})
	must(t, err)
	w.operator, err = w.gate.Authenticate(token)
	must(t, err)
	w.clinic, w.other = w.organization("clinic"), w.organization("other")
	w.serve()
	return w
}

// serve puts the dialect behind the routes of the whole API.
func (w *world) serve() {
	log := slog.New(slog.NewTextHandler(w.t.Output(), nil))
	none := http.NotFoundHandler()
	server := httptest.NewServer(api.New(api.Handlers{
		SCIM: none, REST: none, OIDC: none, Events: none, Polls: none, Metrics: none,
		AuthZEN: authzen.New(authzen.Config{Gate: w.gate, Ring: w.ring, Issuer: issuer, Log: log}),
	}, log))
	w.t.Cleanup(server.Close)
	w.base = server.URL
}

func (w *world) organization(slug string) directory.OrgID {
	w.t.Helper()
	id := access.NewID[directory.OrgID](time.Now())
	key, err := login.NewSigningKey(w.ring, id)
	must(w.t, err)
	system, err := w.gate.AdmitSystem(w.t.Context(), w.operator, "organizations.create", access.Freshness{})
	must(w.t, err)
	_, err = system.Propose(w.t.Context(), &fsm.CreateOrganization{
		Organization: directory.Organization{ID: id, Slug: slug, Name: slug}, Key: key,
	}, access.IdempotencyKey{}, "organizations.create")
	must(w.t, err)
	return id
}

func (w *world) do(org directory.OrgID, command fsm.OrgCommand) {
	w.t.Helper()
	pass, err := w.gate.Admit(w.t.Context(), w.operator, org, "users.create", access.Freshness{})
	must(w.t, err)
	_, err = pass.Propose(w.t.Context(), command, access.IdempotencyKey{})
	must(w.t, err)
}

// user makes a user who holds permissions through a role of their own.
func (w *world) user(org directory.OrgID, name string, permissions ...directory.Permission) directory.UserID {
	w.t.Helper()
	now := time.Now()
	id, role := access.NewID[directory.UserID](now), access.NewID[directory.RoleID](now)
	w.do(org, &fsm.CreateUser{User: directory.User{ID: id, UserName: name, Active: true, Source: directory.SourceAPI}})
	if len(permissions) > 0 {
		w.do(org, &fsm.CreateRole{Role: directory.Role{ID: role, Name: "of " + name, Permissions: permissions}})
		w.do(org, &fsm.AssignRole{ID: access.NewID[directory.AssignmentID](now), Role: role, User: id})
	}
	return id
}

// session is an access token of a user.
func (w *world) session(org directory.OrgID, user directory.UserID) string {
	w.t.Helper()
	pass, err := w.gate.Admit(w.t.Context(), w.operator, org, "sessions.start", access.Freshness{})
	must(w.t, err)
	grant, err := w.sessions.Start(w.t.Context(), pass, user, []string{"pwd"}, login.Device{})
	must(w.t, err)
	return grant.AccessToken
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask posts JSON to an endpoint, with the token as bearer; headers come in pairs
// and replace.
func (w *world) ask(token, path, body string, headers ...string) reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+path, bytes.NewReader([]byte(body)))
	must(w.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return w.send(req)
}

func (w *world) send(req *http.Request) reply {
	w.t.Helper()
	res, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(w.t, err)
	return reply{res.StatusCode, res.Header, body}
}

// answer is any answer of the API.
type answer struct {
	Decision    *bool `json:"decision"`
	Context     grounds
	Evaluations []struct {
		Decision *bool `json:"decision"`
		Context  grounds
	}
	Page *struct {
		NextToken *string `json:"next_token"`
		Count     int
		Total     int
	}
	Results []map[string]any
}

type grounds struct {
	Index  uint64
	Reason string
	Error  *struct {
		Status  int
		Message string
	}
}

// ok asks the clinic as its operator and demands success.
func (w *world) ok(endpoint, body string, headers ...string) (a answer) {
	w.t.Helper()
	r := w.ask(w.token, "/o/clinic/access/v1/"+endpoint, body, headers...)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		w.t.Fatalf("%s %s: %d %s", endpoint, body, r.status, r.body)
	}
	must(w.t, json.Unmarshal(r.body, &a))
	return a
}

// refused demands a status and a message of one line.
func (w *world) refused(status int, r reply) {
	w.t.Helper()
	if r.status != status || len(bytes.TrimSpace(r.body)) == 0 || bytes.Count(r.body, []byte("\n")) != 1 {
		w.t.Errorf("%d %q, want %d and a message", r.status, r.body, status)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// evaluate is the body of one evaluation.
func evaluate(subject, action, resourceType string) string {
	return fmt.Sprintf(`{"subject":{"type":"user","id":%q},"action":{"name":%q},"resource":{"type":%q,"id":"1"}}`, subject, action, resourceType)
}
