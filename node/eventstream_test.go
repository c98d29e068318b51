package node_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// poller is a receiver that asks any node, as one behind a load balancer does.
type poller struct {
	c      *nodetest.Cluster
	client *http.Client
	token  string
	slug   string
	issuer string
	keys   jwk.Set
}

const streamAudience = "https://receiver.example"

// newPoller makes an event stream and its receiver.
func newPoller(t *testing.T, c *nodetest.Cluster, org object, slug string) *poller {
	t.Helper()
	var made struct {
		Token       string
		EventStream struct {
			PollURL string `json:"poll_url"`
		} `json:"event_stream"`
	}
	c.Do(0, "POST", "/api/v1/organizations/"+org.ID+"/event-streams", `{"delivery":"poll","audience":"`+streamAudience+`"}`, &made)
	issuer, ok := strings.CutSuffix(made.EventStream.PollURL, "/events/poll")
	if !ok || made.Token == "" {
		t.Fatalf("the stream is %+v", made)
	}
	p := &poller{
		c: c, client: &http.Client{Transport: c.Transport(), Timeout: 40 * time.Second},
		token: made.Token, slug: slug, issuer: issuer,
	}
	if err := p.fetchKeys(); err != nil {
		t.Fatal(err)
	}
	return p
}

// fetchKeys asks a node that may not have the organization's first key yet.
func (p *poller) fetchKeys() (err error) {
	p.keys, err = jwk.Parse(p.c.Call(1, "GET", "/o/"+p.slug+"/.well-known/jwks.json", "").Body)
	return err
}

// poll asks node i. An error is what a receiver repeats the request after.
func (p *poller) poll(i int, ack []string, now bool) (ids, users []string, err error) {
	body, err := json.Marshal(map[string]any{"ack": ack, "maxEvents": 10, "returnImmediately": now})
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequest("POST", p.c.URL(i)+"/o/"+p.slug+"/events/poll", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%d %s", res.StatusCode, raw)
	}
	var got struct{ Sets map[string]string }
	if err := json.Unmarshal(raw, &got); err != nil {
		return nil, nil, err
	}
	for id, text := range got.Sets {
		user, err := p.verify(id, text)
		if err != nil {
			return nil, nil, fmt.Errorf("token %s: %w", id, err)
		}
		ids, users = append(ids, id), append(users, user)
	}
	return ids, users, nil
}

// verify returns whom a token is about. For a key that it does not know it asks once
// more, as receivers do.
func (p *poller) verify(id, text string) (string, error) {
	parse := func() error {
		_, err := jwt.Parse([]byte(text), jwt.WithKeySet(p.keys), jwt.WithIssuer(p.issuer), jwt.WithAudience(streamAudience), jwt.WithJwtID(id))
		return err
	}
	if err := parse(); err != nil {
		if err := errors.Join(p.fetchKeys(), parse()); err != nil {
			return "", err
		}
	}
	message, err := jws.Parse([]byte(text))
	if err != nil {
		return "", err
	}
	var claims struct {
		Subject struct{ URI string } `json:"sub_id"`
	}
	err = json.Unmarshal(message.Payload(), &claims)
	return strings.TrimPrefix(claims.Subject.URI, "/Users/"), err
}

// TestPollingReceiverLosesNothingWithTheLeader: a receiver asks the nodes in turn while
// users are made and the leader is stopped. It gets a token for every user that was
// made, none that it had acknowledged, and each under one id only.
func TestPollingReceiverLosesNothingWithTheLeader(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	p := newPoller(t, c, org, "memorial")
	lost := leader(t, c, 0)
	alive := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == lost })

	var made sync.Map
	var writer sync.WaitGroup
	const before, after = 30, 30
	create := func(from, to, node int) {
		for n := from; n < to; n++ {
			for { // as a client does: until it is acknowledged
				answer := c.Call(node, "POST", "/api/v1/users", userBody(org, fmt.Sprintf("u%d", n)), "Idempotency-Key", fmt.Sprint("u", n))
				var user object
				if answer.Status == http.StatusOK && json.Unmarshal(answer.Body, &user) == nil {
					made.Store(user.ID, true)
					break
				}
				if answer.Status != http.StatusServiceUnavailable && answer.Status != http.StatusGatewayTimeout {
					t.Errorf("user %d: %d %s", n, answer.Status, answer.Body)
					return
				}
			}
		}
	}
	writer.Go(func() { create(0, before+after, alive[0]) })

	names := map[string]string{} // of tokens, the user
	acknowledged := map[string]bool{}
	var ack []string
	turn, stopped := 0, false
	until(t, "not every user has come", func() bool {
		nodes := []int{0, 1, 2}
		if stopped {
			nodes = alive
		}
		turn++
		ids, users, err := p.poll(nodes[turn%len(nodes)], ack, true)
		if err != nil {
			return false // the same acknowledgements again
		}
		for _, id := range ack {
			acknowledged[id] = true
		}
		for i, id := range ids {
			if acknowledged[id] {
				t.Fatalf("%s was acknowledged and comes", id)
			}
			if old, known := names[id]; known && old != users[i] {
				t.Fatalf("%s is about %s and about %s", id, old, users[i])
			}
			names[id] = users[i]
		}
		ack = ids
		if !stopped && len(names) >= before {
			stopped = true
			c.Stop(lost)
		}
		return len(names) == before+after && len(ids) == 0
	})
	writer.Wait()
	for id, user := range names {
		if _, ok := made.LoadAndDelete(user); !ok {
			t.Errorf("%s is about %s, who was not made, or twice", id, user)
		}
	}
	made.Range(func(user, _ any) bool { t.Errorf("nothing came of %s", user); return true })
	c.Start(lost)
	converged(t, c)
}

// TestWaitingReceiverHearsOfOtherNodes: a poll that waits at one node is answered with
// what another node was asked for.
func TestWaitingReceiverHearsOfOtherNodes(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	p := newPoller(t, c, org, "memorial")
	var ack []string
	for i := range nodetest.Size {
		type heard struct {
			ids, users []string
			err        error
		}
		answers := make(chan heard, 1)
		go func() {
			ids, users, err := p.poll(i, ack, false)
			answers <- heard{ids, users, err}
		}()
		var user object
		c.Do((i+1)%nodetest.Size, "POST", "/api/v1/users", userBody(org, fmt.Sprintf("u%d", i)), &user)
		got := <-answers
		if got.err != nil || !slices.Equal(got.users, []string{user.ID}) {
			t.Errorf("node-%d: %v, %v", i+1, got.users, got.err)
		}
		ack = got.ids
	}
}

// inbox is a receiver that is called; it fails every third time.
type inbox struct {
	mu    sync.Mutex
	calls int            // guarded by mu
	order []string       // guarded by mu; ids of tokens as they were taken
	count map[string]int // guarded by mu
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	token, err := jwt.ParseInsecure(text) // signatures are tested where tokens are made
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls++; err != nil || b.calls%3 == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	id, _ := token.JwtID()
	if b.count[id]++; b.count[id] == 1 {
		b.order = append(b.order, id)
	}
	w.WriteHeader(http.StatusAccepted)
}

func (b *inbox) taken() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.order)
}

// TestPushGoesOnWithAnotherLeader: the next leader delivers what the lost one has not,
// in order, to a receiver that fails now and then.
func TestPushGoesOnWithAnotherLeader(t *testing.T) {
	b := &inbox{count: map[string]int{}}
	receiver := httptest.NewTLSServer(b)
	t.Cleanup(receiver.Close)
	ca := filepath.Join(t.TempDir(), "receiver.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, func(cfg *node.Config) { cfg.Push = node.PushConfig{Private: true, CAFile: ca} })
	org := organization(c, "memorial")
	c.Do(0, "POST", "/api/v1/organizations/"+org.ID+"/event-streams",
		`{"delivery":"push","audience":"`+streamAudience+`","url":"`+receiver.URL+`","authorization":"Bearer x"}`, nil)
	const each = 8
	create := func(from, node int) {
		for n := range each {
			c.Do(node, "POST", "/api/v1/users", userBody(org, fmt.Sprintf("u%d", from+n)), nil)
		}
	}
	create(0, 0)
	until(t, "nothing is pushed", func() bool { return b.taken() > 0 })
	lost := leader(t, c, 0)
	c.Stop(lost)
	alive := (lost + 1) % nodetest.Size
	until(t, "there is no other leader", func() bool {
		return c.Call(alive, "GET", "/api/v1/status", "").Status == http.StatusOK && leader(t, c, alive) != lost
	})
	create(each, alive)
	until(t, "not everything is pushed", func() bool { return b.taken() >= 2*each })
	b.mu.Lock()
	defer b.mu.Unlock()
	place := func(id string) (index, ordinal uint64) {
		parts := strings.Split(id, ".")
		fmt.Sscan(parts[1]+" "+parts[2], &index, &ordinal)
		return index, ordinal
	}
	if len(b.order) != 2*each || !slices.IsSortedFunc(b.order, func(x, y string) int {
		i, k := place(x)
		j, l := place(y)
		return cmp.Or(cmp.Compare(i, j), cmp.Compare(k, l))
	}) {
		t.Errorf("%d users were made, and these tokens came: %v", 2*each, b.order)
	}
}
