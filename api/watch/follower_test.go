package watch

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
	"google.golang.org/protobuf/encoding/protojson"
)

// failure is how a stream was refused or ended, the same in every dialect.
type failure struct{ code, field, detail string }

func (f *failure) Error() string { return f.code + " " + f.field + ": " + f.detail }

// codeOf is the word for programs of what ended a stream.
func codeOf(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return fmt.Sprint(err)
}

// follower is a client of the feed.
type follower interface {
	// next blocks until there is a message; the error is what ended the stream.
	next() (*authfiv1.Event, error)
	stop()
}

// dialects are the ways to follow. All tests of what the feed means run over each.
var dialects = []struct {
	name   string
	follow func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower
}{
	{"server-sent events", func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followEvents(t, http1(at), at.URL, token, ask)
	}},
	{"server-sent events over HTTP/2", func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followEvents(t, at.Client(), at.URL, token, ask)
	}},
	{"Connect", func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followProcedure(t, http1(at), at.URL, token, ask)
	}},
	{"Connect over HTTP/2, JSON", func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followProcedure(t, at.Client(), at.URL, token, ask, connect.WithProtoJSON())
	}},
	{"gRPC", func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followProcedure(t, at.Client(), at.URL, token, ask, connect.WithGRPC())
	}},
	{"gRPC-Web", func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followProcedure(t, http1(at), at.URL, token, ask, connect.WithGRPCWeb())
	}},
}

// eachDialect runs a test over all of them.
func eachDialect(t *testing.T, test func(t *testing.T, follow func(w *world, token string, ask *authfiv1.WatchRequest) follower)) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			test(t, func(w *world, token string, ask *authfiv1.WatchRequest) follower {
				return d.follow(t, w.server, token, ask)
			})
		})
	}
}

// http1 is a client that speaks nothing newer.
func http1(at *httptest.Server) *http.Client {
	transport := at.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.NextProtos = nil
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	transport.ForceAttemptHTTP2 = false
	return &http.Client{Transport: transport}
}

type procedureFollower struct {
	stream *connect.ServerStreamForClient[authfiv1.Event]
	opened error
	cancel context.CancelFunc
}

func followProcedure(t testing.TB, client *http.Client, base, token string, ask *authfiv1.WatchRequest, options ...connect.ClientOption) follower {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), testWait)
	t.Cleanup(stop)
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set("Authorization", "Bearer "+token)
	stream, err := authfiv1connect.NewEventServiceClient(client, base, options...).Watch(ctx, ask)
	return &procedureFollower{stream, err, stop}
}

func (f *procedureFollower) stop() { f.cancel() }

func (f *procedureFollower) next() (*authfiv1.Event, error) {
	if f.opened == nil && f.stream.Receive() {
		return f.stream.Msg(), nil
	}
	err := f.opened
	if err == nil {
		err = f.stream.Err()
	}
	refused, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return nil, fmt.Errorf("the stream ended without a status: %w", err)
	}
	found := &failure{code: refused.Code().String(), detail: refused.Message()}
	for _, detail := range refused.Details() {
		if value, err := detail.Value(); err == nil {
			found.code, found.field = value.(*authfiv1.Problem).GetCode(), value.(*authfiv1.Problem).GetField()
		}
	}
	return nil, found
}

// eventsFollower reads server-sent events.
type eventsFollower struct {
	t      testing.TB
	answer *http.Response
	lines  *bufio.Scanner
	id     string // as a browser keeps it
	data   string // of the last event, as it was sent
	cancel context.CancelFunc
}

// queryOf writes what the message asks for.
func queryOf(ask *authfiv1.WatchRequest) string {
	query := url.Values{"org_id": {ask.GetOrgId()}}
	if ask.GetAfter() != 0 {
		query.Set("after", fmt.Sprint(ask.GetAfter()))
	}
	if ask.AfterOrdinal != nil {
		query.Set("after_ordinal", fmt.Sprint(ask.GetAfterOrdinal()))
	}
	if ask.GetSnapshot() {
		query.Set("snapshot", "true")
	}
	if ask.GetObject() != "" {
		query.Set("object", ask.GetObject())
	}
	query["type"] = ask.GetType()
	if ask.GetOrgId() == "" {
		query.Del("org_id")
	}
	return query.Encode()
}

func followEvents(t testing.TB, client *http.Client, base, token string, ask *authfiv1.WatchRequest) *eventsFollower {
	t.Helper()
	return openEvents(t, client, base+"/api/v1/events?"+queryOf(ask), "Authorization", "Bearer "+token)
}

// openEvents makes the request; headers come in pairs.
func openEvents(t testing.TB, client *http.Client, address string, headers ...string) *eventsFollower {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), testWait)
	t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	must(t, err)
	t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return &eventsFollower{t: t, answer: res, lines: lines, cancel: stop}
}

func (f *eventsFollower) stop() { f.cancel() }

// problem reads an answer that is no stream.
func (f *eventsFollower) problem() error {
	body, err := io.ReadAll(f.answer.Body)
	must(f.t, err)
	if media := f.answer.Header.Get("Content-Type"); media != "application/problem+json" {
		f.t.Errorf("status %d comes as %s: %s", f.answer.StatusCode, media, body)
	}
	return problemIn(f.t, body, f.answer.StatusCode)
}

func problemIn(t testing.TB, body []byte, status int) error {
	t.Helper()
	var p struct {
		Code, Field, Detail, Title, Type string
		Status                           int
	}
	must(t, json.Unmarshal(body, &p))
	if p.Type != "about:blank" || p.Title == "" || p.Status < 400 || status != 0 && p.Status != status {
		t.Errorf("status %d has the problem %s", status, body)
	}
	return &failure{p.Code, p.Field, p.Detail}
}

func (f *eventsFollower) next() (*authfiv1.Event, error) {
	if f.answer.StatusCode != http.StatusOK {
		return nil, f.problem()
	}
	name, data := "", ""
	for f.lines.Scan() {
		field, value, _ := strings.Cut(f.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			f.id = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			return f.event(name, data)
		}
	}
	if err := f.lines.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

func (f *eventsFollower) event(name, data string) (*authfiv1.Event, error) {
	f.data = data
	if name == "closed" {
		return nil, problemIn(f.t, []byte(data), 0)
	}
	m := &authfiv1.Event{}
	must(f.t, protojson.Unmarshal([]byte(data), m))
	if m.GetType() != name {
		f.t.Errorf("the event %q holds a message of type %q", name, m.GetType())
	}
	return m, nil
}

// take reads n messages other than heartbeats.
func take(t testing.TB, f follower, n int) (taken []*authfiv1.Event) {
	t.Helper()
	for len(taken) < n {
		m, err := f.next()
		if err != nil {
			t.Fatalf("after %d messages of %d: %v", len(taken), n, err)
		}
		if m.GetType() != typeHeartbeat {
			taken = append(taken, m)
		}
	}
	return taken
}

// takeUntil reads to the first message of a type, which is the last one returned.
func takeUntil(t testing.TB, f follower, typ string) (taken []*authfiv1.Event) {
	t.Helper()
	for {
		m, err := f.next()
		if err != nil {
			t.Fatalf("no %s after %d messages: %v", typ, len(taken), err)
		}
		if taken = append(taken, m); m.GetType() == typ {
			return taken
		}
	}
}

// ends reads to the end of a stream and returns what was there and what ended it.
func ends(f follower) (taken []*authfiv1.Event, err error) {
	for {
		m, err := f.next()
		if err != nil {
			return taken, err
		}
		taken = append(taken, m)
	}
}

// names are the places of events, and of others the type with the index.
func names(messages []*authfiv1.Event) (all []string) {
	for _, m := range messages {
		name := fmt.Sprintf("%d.%d %s", m.GetIndex(), m.GetOrdinal(), m.GetType())
		if m.GetRow() != "" {
			name += " " + m.GetRow() + " " + m.GetObject()
		}
		all = append(all, name)
	}
	return all
}

// logged are the names of all events of an organization, as its log has them.
func (w *world) logged(org directory.OrgID) (all []string) {
	w.t.Helper()
	w.view(org).EachEvent(0, 0, func(e *directory.Event) bool {
		all = append(all, fmt.Sprintf("%d.%d %s", e.Index, e.Ordinal, e.Type))
		return true
	})
	return all
}

func (w *world) sameNames(what string, got, want []string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %d messages, want %d\n%s\nwant\n%s", what, len(got), len(want), excerpt(got), excerpt(want))
	}
}

func excerpt(list []string) string {
	if len(list) > 20 {
		list = append(slices.Clone(list[:10]), append([]string{"…"}, list[len(list)-9:]...)...)
	}
	return strings.Join(list, "\n")
}

// short makes the times of the world's streams short enough to wait for.
func short(b *bounds) {
	b.heartbeat, b.pace = 50*time.Millisecond, time.Millisecond
}

// rawConnect reads the messages of a Connect stream in JSON as they are on the
// wire, to the first synced.
func rawConnect(t testing.TB, w *world, ask *authfiv1.WatchRequest) (messages []string) {
	t.Helper()
	body, err := protojson.Marshal(ask)
	must(t, err)
	envelope := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(body)))...)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		w.server.URL+authfiv1connect.EventServiceWatchProcedure, bytes.NewReader(append(envelope, body...)))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/connect+json")
	res, err := http1(w.server).Do(req)
	must(t, err)
	defer res.Body.Close()
	for !slices.ContainsFunc(messages, func(m string) bool { return strings.Contains(m, `"type":"synced"`) }) {
		var head [5]byte
		_, err := io.ReadFull(res.Body, head[:])
		must(t, err)
		data := make([]byte, binary.BigEndian.Uint32(head[1:]))
		_, err = io.ReadFull(res.Body, data)
		must(t, err)
		messages = append(messages, string(data))
	}
	return messages
}
