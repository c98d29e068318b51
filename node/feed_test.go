package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/node/nodetest"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
)

// feedWait is when a follower that hears nothing gives up.
const feedWait = 60 * time.Second

// stopMax is what a node with followers may take to stop. It is below the time
// that the server gives to requests under way, which streams must not use up.
const stopMax = 4 * time.Second

// feedClient follows one node from a place. The error of next says "unavailable"
// when the node has ended the stream because it stops.
type feedClient interface {
	open(ctx context.Context, base string, ask *authfiv1.WatchRequest) (next func() (*authfiv1.Event, error), err error)
}

var errNodeStops = errors.New("unavailable")

// eventsClient reads server-sent events.
type eventsClient struct {
	http  *http.Client
	token string
}

func (c eventsClient) open(ctx context.Context, base string, ask *authfiv1.WatchRequest) (func() (*authfiv1.Event, error), error) {
	url := base + "/api/v1/events?org_id=" + ask.GetOrgId()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if ask.AfterOrdinal != nil {
		req.Header.Set("Last-Event-ID", fmt.Sprintf("%d.%d", ask.GetAfter(), ask.GetAfterOrdinal()))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		return nil, fmt.Errorf("%d %s", res.StatusCode, body)
	}
	lines := bufio.NewScanner(res.Body)
	return func() (*authfiv1.Event, error) {
		for name := ""; lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			if field == "event" {
				name = value
			}
			if field == "data" && name == "closed" && strings.Contains(value, `"code":"unavailable"`) {
				return nil, errNodeStops
			}
			if field == "data" {
				m := &authfiv1.Event{}
				return m, protojson.Unmarshal([]byte(value), m)
			}
		}
		return nil, errors.Join(io.ErrUnexpectedEOF, lines.Err())
	}, nil
}

// connectClient is connect-go.
type connectClient struct {
	http    *http.Client
	options []connect.ClientOption
}

func (c connectClient) open(ctx context.Context, base string, ask *authfiv1.WatchRequest) (func() (*authfiv1.Event, error), error) {
	stream, err := authfiv1connect.NewEventServiceClient(c.http, base, c.options...).Watch(ctx, ask)
	if err != nil {
		return nil, err
	}
	return func() (*authfiv1.Event, error) {
		if stream.Receive() {
			return stream.Msg(), nil
		}
		if connect.CodeOf(stream.Err()) == connect.CodeUnavailable {
			return nil, errNodeStops
		}
		return nil, stream.Err()
	}, nil
}

// grpcClient is grpc-go.
type grpcClient struct {
	t      *testing.T
	secure credentials.TransportCredentials
	token  string
}

func (c grpcClient) open(ctx context.Context, base string, ask *authfiv1.WatchRequest) (func() (*authfiv1.Event, error), error) {
	conn, err := grpc.NewClient(strings.TrimPrefix(base, "https://"), grpc.WithTransportCredentials(c.secure))
	if err != nil {
		return nil, err
	}
	c.t.Cleanup(func() { conn.Close() })
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.token)
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, authfiv1connect.EventServiceWatchProcedure)
	if err == nil {
		err = stream.SendMsg(ask)
	}
	if err == nil {
		err = stream.CloseSend()
	}
	return func() (*authfiv1.Event, error) {
		m := &authfiv1.Event{}
		err := stream.RecvMsg(m)
		if status.Code(err) == codes.Unavailable {
			err = errNodeStops
		}
		return m, err
	}, err
}

// feedReader is a follower with its memory.
type feedReader struct {
	client feedClient
	org    string
	after  *authfiv1.Event // the last event seen
	seen   []string
	// reached is an index up to which everything has been seen.
	reached uint64
}

// read follows a node until an index has been reached, or with zero until the
// stream ends.
func (r *feedReader) read(ctx context.Context, base string, until uint64) error {
	ctx, stop := context.WithTimeout(ctx, feedWait)
	defer stop()
	ask := &authfiv1.WatchRequest{OrgId: r.org}
	if r.after != nil {
		ask.After, ask.AfterOrdinal = r.after.GetIndex(), new(r.after.GetOrdinal())
	}
	next, err := r.client.open(ctx, base, ask)
	for err == nil && (until == 0 || r.reached < until) {
		var m *authfiv1.Event
		if m, err = next(); err != nil {
			return err
		}
		if m.GetType() == "heartbeat" {
			r.reached = m.GetIndex()
			continue
		}
		r.after, r.reached = m, m.GetIndex()-1
		r.seen = append(r.seen, fmt.Sprintf("%d.%d %s", m.GetIndex(), m.GetOrdinal(), m.GetType()))
	}
	return err
}

// auditLog is the whole log of an organization, oldest first.
func auditLog(t *testing.T, c *nodetest.Cluster, org object) (all []string) {
	t.Helper()
	for cursor := ""; ; {
		var page struct {
			Cursor  string
			Entries []struct {
				Index   uint64
				Ordinal uint32
				Type    string
			}
		}
		c.Do(0, http.MethodGet, "/api/v1/audit-log?limit=1000&org_id="+org.ID+"&cursor="+cursor, "", &page)
		for _, e := range page.Entries {
			all = append(all, fmt.Sprintf("%d.%d %s", e.Index, e.Ordinal, e.Type))
		}
		if cursor = page.Cursor; cursor == "" {
			slices.Reverse(all)
			return all
		}
	}
}

// writeUsers makes users through some nodes and returns the index of the last.
func writeUsers(t *testing.T, c *nodetest.Cluster, org object, prefix string, n int, nodes ...int) (index uint64) {
	t.Helper()
	for i := range n {
		answer := c.Do(nodes[i%len(nodes)], http.MethodPost, "/api/v1/users", userBody(org, fmt.Sprint(prefix, i)), nil)
		must(t, json.Unmarshal([]byte(answer.Header.Get("X-Authfi-Index")), &index))
	}
	return index
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// feedClients are clients of different makers.
func feedClients(t *testing.T, c *nodetest.Cluster) map[string]feedClient {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: c.TLS(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	own := connect.WithInterceptors(bearer(c.Token()))
	return map[string]feedClient{
		"server-sent events":        eventsClient{client, c.Token()},
		"connect-go":                connectClient{client, []connect.ClientOption{own}},
		"connect-go, speaking gRPC": connectClient{client, []connect.ClientOption{own, connect.WithGRPC()}},
		"grpc-go":                   grpcClient{t, credentials.NewTLS(withH2(c.TLS())), c.Token()},
	}
}

// TestFeedOverNodes: followers of a node that is stopped, started and stopped
// while others write go on at the next one where they were. No event of the audit
// log is missing or twice.
func TestFeedOverNodes(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	leader := c.Status(0, 0).Leader
	home := slices.IndexFunc([]string{"node-1", "node-2", "node-3"}, func(id string) bool { return id != leader })
	others := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == home })
	readers := map[string]*feedReader{}
	for name, client := range feedClients(t, c) {
		readers[name] = &feedReader{client: client, org: org.ID}
	}

	first := writeUsers(t, c, org, "first", 30, home, others[0])
	eachReader(t, readers, func(r *feedReader) error { return r.read(t.Context(), c.URL(home), first) })

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		eachReader(t, readers, func(r *feedReader) error {
			if err := r.read(t.Context(), c.URL(home), 0); !errors.Is(err, errNodeStops) {
				return fmt.Errorf("the stream of a node that stops ends with %w", err)
			}
			return nil
		})
	}()
	writeUsers(t, c, org, "second", 30, others...)
	began := time.Now()
	c.Stop(home)
	t.Logf("a node with %d followers stops in %s", len(readers), time.Since(began))
	if took := time.Since(began); took > stopMax {
		t.Errorf("a node with followers stops in %s", took)
	}
	<-ended

	third := writeUsers(t, c, org, "third", 30, others...)
	eachReader(t, readers, func(r *feedReader) error { return r.read(t.Context(), c.URL(others[0]), third) })
	fourth := writeUsers(t, c, org, "fourth", 10, others...)
	c.Start(home)
	eachReader(t, readers, func(r *feedReader) error { return r.read(t.Context(), c.URL(home), fourth) })

	want := auditLog(t, c, org)
	for name, r := range readers {
		if !slices.Equal(r.seen, want) {
			t.Errorf("%s saw %d events of %d\n%s\nwant\n%s", name, len(r.seen), len(want), strings.Join(r.seen, "\n"), strings.Join(want, "\n"))
		}
	}
	if len(want) < 100 {
		t.Errorf("the audit log has only %d entries", len(want))
	}
}

func eachReader(t *testing.T, readers map[string]*feedReader, do func(*feedReader) error) {
	t.Helper()
	var all sync.WaitGroup
	for name, r := range readers {
		all.Go(func() {
			if err := do(r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
}
