package eventstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/api/scim"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/node/feed"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

const (
	issuer   = "https://auth.example"
	audience = "https://receiver.example"
)

// testWait is when a test that waits gives up.
const testWait = 30 * time.Second

// soloLog applies each proposal at once to a machine that forgets, and announces it.
type soloLog struct {
	mu      sync.Mutex
	machine *fsm.Machine
	feed    *feed.Feed
	entries atomic.Int64
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
	l.entries.Add(1)
	l.feed.Publish(index)
	return results[0], nil
}

func (l *soloLog) ReadIndex(context.Context) (directory.Index, error) {
	return l.machine.Applied(), nil
}
func (l *soloLog) WaitApplied(context.Context, directory.Index) error { return nil }

// world is a node with its SCIM endpoint, its keys and its polls on a real socket, two
// organizations, and an identity provider in each.
type world struct {
	t        testing.TB
	log      *soloLog
	ring     *keyring.Keyring
	gate     *access.Gate
	tokens   *login.Tokens
	streams  *Streams
	server   *httptest.Server
	operator directory.Actor
	orgs     [2]directory.OrgID
	provider [2]string // tokens
	made     int
}

var slugs = [2]string{"north", "south"}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t testing.TB, adjust ...func(*bounds)) *world {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	w := &world{t: t, log: &soloLog{machine: machine, feed: feed.New(0)}}
	w.ring, err = keyring.Generate()
	must(t, err)
	w.tokens = login.NewTokens(w.ring, issuer, time.Now)
	w.gate = access.NewGate(w.log, machine.Root, w.tokens, time.Now)
	id := access.NewID[directory.OperatorID](time.Now())
	w.operator = directory.Actor{Kind: directory.ActorOperator, ID: id}
	w.apply(&fsm.Envelope{Actor: directory.Actor{Kind: directory.ActorNode}, Command: &fsm.RaiseLevel{Level: directory.LevelMax}})
	w.apply(&fsm.Envelope{Actor: directory.Actor{Kind: directory.ActorNode}, Command: &fsm.CreateOperator{Operator: directory.Operator{ID: id, Name: "root"}}})
	w.streams = w.newStreams(false, nil, adjust...)
	w.serve()
	for i := range w.orgs {
		w.organization(i)
	}
	return w
}

func (w *world) newStreams(private bool, receiver *httptest.Server, adjust ...func(*bounds)) *Streams {
	config := Config{
		Gate: w.gate, Tokens: w.tokens, Ring: w.ring, Issuer: issuer, Wait: w.log.feed.Wait,
		Log: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Private: private,
	}
	if receiver != nil {
		config.Roots = receiver.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	s := New(config)
	s.bounds.acknowledge = 0 // but for the test of it
	for _, f := range adjust {
		f(&s.bounds)
	}
	w.t.Cleanup(s.Close)
	return s
}

func (w *world) serve() {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	mux := http.NewServeMux()
	mux.Handle(PollPath, w.streams)
	mux.Handle("/o/", login.Handler(w.gate, w.tokens, nil, login.NoSignIn))
	mux.Handle("/scim/v2/", scim.New(scim.Config{Gate: w.gate, Ring: w.ring, Base: func(*http.Request) string { return issuer }, Log: quiet,
		Journal: journal.New("node-1", w.ring.Derive, time.Now()),
	}))
	w.server = httptest.NewServer(mux)
	w.t.Cleanup(w.server.Close)
	w.t.Cleanup(w.streams.Close) // before the server, which waits for its polls
}

func (w *world) organization(i int) {
	w.t.Helper()
	w.orgs[i] = access.NewID[directory.OrgID](time.Now())
	key, err := login.NewSigningKey(w.ring, w.orgs[i])
	must(w.t, err)
	w.apply(&fsm.Envelope{Actor: w.operator, Command: &fsm.CreateOrganization{
		Organization: directory.Organization{ID: w.orgs[i], Slug: slugs[i], Name: slugs[i]}, Key: key,
	}})
	id := access.NewID[directory.ConnectionID](time.Now())
	var hash [32]byte
	w.provider[i], hash = access.NewConnectionToken(w.orgs[i], id)
	w.change(i, &fsm.CreateConnection{Connection: directory.Connection{ID: id, Provider: "entra", Token: hash}})
}

// apply applies one entry whose commands must all succeed.
func (w *world) apply(envelopes ...*fsm.Envelope) directory.Index {
	w.t.Helper()
	for _, env := range envelopes {
		env.Now, env.Source = directory.TimeOf(time.Now()), "api"
	}
	results, err := w.log.apply(envelopes...)
	must(w.t, err)
	for _, r := range results {
		must(w.t, r.Err)
	}
	return results[0].Index
}

// change makes all changes in one entry.
func (w *world) change(i int, commands ...fsm.Command) directory.Index {
	w.t.Helper()
	var envelopes []*fsm.Envelope
	for _, c := range commands {
		envelopes = append(envelopes, &fsm.Envelope{Org: w.orgs[i], Actor: w.operator, Command: c})
	}
	return w.apply(envelopes...)
}

// receiver is who polls a stream of one organization.
type receiver struct {
	w     *world
	org   int
	id    directory.EventStreamID
	token string
	slug  string
}

// stream makes one that is polled.
func (w *world) stream(i int, change func(*directory.EventStream)) *receiver {
	w.t.Helper()
	r := &receiver{w: w, org: i, id: access.NewID[directory.EventStreamID](time.Now()), slug: slugs[i]}
	s := directory.EventStream{ID: r.id, Audience: audience, Delivery: directory.DeliveryPoll}
	r.token, s.Token = access.NewEventStreamToken(w.orgs[i], r.id)
	if change != nil {
		change(&s)
	}
	w.change(i, &fsm.PutEventStream{Stream: s})
	return r
}

func (r *receiver) stored() *directory.EventStream {
	r.w.t.Helper()
	org, _ := r.w.gate.Root().Org(r.w.orgs[r.org])
	s, ok := org.EventStream(r.id)
	if !ok {
		r.w.t.Fatal("no such event stream")
	}
	return s
}

// put replaces the settings.
func (r *receiver) put(change func(*directory.EventStream)) {
	r.w.t.Helper()
	s := *r.stored()
	change(&s)
	r.w.change(r.org, &fsm.PutEventStream{Stream: s})
}

// ask sends a poll and returns what came.
func (r *receiver) ask(body string, headers ...string) (*http.Response, []byte) {
	r.w.t.Helper()
	req, err := http.NewRequestWithContext(r.w.t.Context(), http.MethodPost, r.w.server.URL+"/o/"+r.slug+"/events/poll", strings.NewReader(body))
	must(r.w.t, err)
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	res, err := http.DefaultClient.Do(req)
	must(r.w.t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(r.w.t, err)
	return res, answer
}

// poll is ask for a poll that is answered with tokens, each of which it verifies.
func (r *receiver) poll(body string) (sets map[string]*set, more bool) {
	r.w.t.Helper()
	res, raw := r.ask(body)
	if res.StatusCode != http.StatusOK {
		r.w.t.Fatalf("%s: %d %s", body, res.StatusCode, raw)
	}
	var got struct {
		Sets          map[string]string
		MoreAvailable *bool
	}
	must(r.w.t, json.Unmarshal(raw, &got))
	if got.Sets == nil || got.MoreAvailable == nil {
		r.w.t.Fatalf("not an answer of RFC 8936: %s", raw)
	}
	sets = map[string]*set{}
	for id, text := range got.Sets {
		if sets[id] = r.w.verify(r.org, text); sets[id].ID != id {
			r.w.t.Fatalf("the token %s is given as %s", sets[id].ID, id)
		}
	}
	return sets, *got.MoreAvailable
}

// now asks for what there is.
func (r *receiver) now() map[string]*set {
	r.w.t.Helper()
	sets, _ := r.poll(`{"returnImmediately":true}`)
	return sets
}

// acknowledge says that the receiver has tokens, and takes none.
func (r *receiver) acknowledge(ids ...string) {
	r.w.t.Helper()
	text, err := json.Marshal(map[string]any{"ack": ids, "maxEvents": 0})
	must(r.w.t, err)
	if sets, _ := r.poll(string(text)); len(sets) > 0 {
		r.w.t.Fatalf("%d tokens came that nobody asked for", len(sets))
	}
}

// set is a verified token.
type set struct {
	ID       string `json:"jti"`
	Issuer   string `json:"iss"`
	Audience any    `json:"aud"`
	Issued   int64  `json:"iat"`
	Change   string `json:"txn"`
	Subject  struct {
		Format, URI string
		ExternalID  string `json:"externalId"`
	} `json:"sub_id"`
	Events map[string]event `json:"events"`

	claims map[string]any
}

type event struct {
	Version    string         `json:"version"`
	Attributes []string       `json:"attributes"`
	Data       map[string]any `json:"data"`
}

// names are the events without their prefix.
func (s *set) names() (names []string) {
	for name := range s.Events {
		names = append(names, strings.TrimPrefix(name, directory.StreamEventPrefix))
	}
	return sorted(names)
}

// verify does what a receiver does: it takes the keys from the issuer that it knows.
func (w *world) verify(org int, text string) *set {
	w.t.Helper()
	res, err := http.Get(w.server.URL + "/o/" + slugs[org] + "/.well-known/jwks.json")
	must(w.t, err)
	defer res.Body.Close()
	keys, err := jwk.ParseReader(res.Body)
	must(w.t, err)
	s, err := verified(keys, issuer+"/o/"+slugs[org], audience, text)
	must(w.t, err)
	return s
}

func verified(keys jwk.Set, issuer, audience, text string) (*set, error) {
	if _, err := jwt.Parse([]byte(text), jwt.WithKeySet(keys), jwt.WithIssuer(issuer), jwt.WithAudience(audience)); err != nil {
		return nil, err
	}
	message, err := jws.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	if typ, _ := message.Signatures()[0].ProtectedHeaders().Type(); typ != "secevent+jwt" {
		return nil, fmt.Errorf("the type is %q", typ)
	}
	s := new(set)
	if err := json.Unmarshal(message.Payload(), s); err != nil {
		return nil, err
	}
	for uri := range s.Events {
		if !slices.Contains(directory.StreamEventURIs, uri) {
			return nil, fmt.Errorf("the event %s is not announced", uri)
		}
	}
	return s, json.NewDecoder(bytes.NewReader(message.Payload())).Decode(&s.claims)
}

// provision sends a SCIM request of the identity provider and reads the answer.
func (w *world) provision(org int, method, path, body string) (resource struct {
	ID   string
	Meta struct{ Version string }
}) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.server.URL+"/scim/v2/"+slugs[org]+path, strings.NewReader(body))
	must(w.t, err)
	req.Header.Set("Authorization", "Bearer "+w.provider[org])
	req.Header.Set("Content-Type", "application/scim+json")
	res, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(w.t, err)
	if res.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	if len(answer) > 0 {
		must(w.t, json.Unmarshal(answer, &resource))
	}
	return resource
}

// users makes some in entries of several, and returns their ids in order.
func (w *world) users(org, count, perEntry int) (ids []string) {
	w.t.Helper()
	for len(ids) < count {
		var commands []fsm.Command
		for range min(perEntry, count-len(ids)) {
			w.made++
			id := access.NewID[directory.UserID](time.Now())
			ids = append(ids, id.String())
			commands = append(commands, &fsm.CreateUser{User: directory.User{ID: id, UserName: fmt.Sprintf("user-%d", w.made), Active: true}})
		}
		w.change(org, commands...)
	}
	return ids
}
