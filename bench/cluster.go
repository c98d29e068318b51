package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/dev"
)

// requestWait bounds one API request; an answer that late is a failed run.
const requestWait = 30 * time.Second

// idleTimeout is shorter than the 10 s that a node waits for the first request on a
// connection: net/http opens more than it uses, and does not repeat a PATCH that met
// the closing of one.
const idleTimeout = 5 * time.Second

// quota is the largest that an organization can have.
const quota = 1_000_000

// cluster is a three-node development cluster of its own, on free ports.
type cluster struct {
	*dev.Cluster
	org, slug string
	http      *http.Client
}

func (b *bench) start(ctx context.Context, mode string) (*cluster, error) {
	dir, err := os.MkdirTemp(b.dir, "cluster-")
	if err != nil {
		return nil, err
	}
	started, err := dev.StartProgram(ctx, b.program, dev.Options{Dir: dir, Mode: mode, Out: os.Stdout})
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLines(filepath.Join(dir, "node-1.log")))
	}
	c := &cluster{Cluster: started}
	transport, err := c.Transport()
	if err == nil {
		transport.MaxIdleConnsPerHost = 2 * importers
		transport.IdleConnTimeout = idleTimeout
		c.http = &http.Client{Transport: transport, Timeout: requestWait}
		c.org, c.slug, err = c.Hospital(ctx)
	}
	if err == nil { // the default quota is a twentieth of what is measured
		err = c.operator().do(ctx, http.MethodPatch, "/api/v1/organizations/"+c.org+"/limits", map[string]int{"user_quota": quota}, nil)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// separate is a client with connections of its own, so many to each node at most.
func (c *cluster) separate(conns int) *http.Client {
	own := *c.http
	own.Transport = &leanPool{config: leanConfig(c.http.Transport.(*http.Transport)), conns: conns}
	return &own
}

// lastLines is the end of a log, for the message of a start that failed.
func lastLines(file string) string {
	text, _ := os.ReadFile(file)
	return string(text[max(0, len(text)-300):])
}

// api is the API with one credential. Requests go to the bases in turn, as
// through a load balancer.
type api struct {
	http  *http.Client
	bases []string
	token string
	index string // demanded of every answer; empty: none
	turn  *atomic.Uint64
}

// headerIndex tells which index an answer is from, and in a request, which one it
// must at least be from.
const headerIndex = "X-Authfi-Index"

func newAPI(client *http.Client, token string, bases ...string) *api {
	return &api{http: client, bases: bases, token: token, turn: new(atomic.Uint64)}
}

func (c *cluster) operator() *api { return c.api("", c.OperatorToken()) }

// node is the operator's API of node i, counted from 0.
func (c *cluster) node(i int) *api { return newAPI(c.http, c.OperatorToken(), c.API(i)) }

func (c *cluster) api(path, token string) *api {
	a := newAPI(c.http, token)
	for i := range dev.Nodes {
		a.bases = append(a.bases, c.API(i)+path)
	}
	return a
}

// provisioner is a new SCIM connection to what others have made.
func (c *cluster) provisioner(ctx context.Context) (*api, error) {
	var made struct{ ID, Token string }
	path := "/api/v1/organizations/" + c.org + "/scim-connections"
	if err := c.operator().do(ctx, http.MethodPost, path, map[string]string{"provider": "entra"}, &made); err != nil {
		return nil, fmt.Errorf("SCIM connection: %w", err)
	}
	if err := c.operator().do(ctx, http.MethodPatch, path+"/"+made.ID, map[string]bool{"sees_all": true}, nil); err != nil {
		return nil, fmt.Errorf("SCIM connection: %w", err)
	}
	return c.api("/scim/v2/"+c.slug, made.Token), nil
}

func (a *api) do(ctx context.Context, method, path string, in, out any) error {
	_, err := a.send(ctx, method, path, in, out)
	return err
}

// send is do, and gives the index of the answer.
func (a *api) send(ctx context.Context, method, path string, in, out any) (index string, err error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(text)
	}
	base := a.bases[a.turn.Add(1)%uint64(len(a.bases))]
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.index != "" {
		req.Header.Set(headerIndex, a.index)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s %s: %d: %.300s", method, path, res.StatusCode, text)
	}
	index = res.Header.Get(headerIndex)
	switch out := out.(type) {
	case nil:
		return index, nil
	case *[]byte: // not decoded, so that the client's JSON is in nobody's figure
		*out = text
		return index, nil
	}
	return index, json.Unmarshal(text, out)
}

type object struct {
	ID string `json:"id"`
}

// create posts one object and gives its id.
func (a *api) create(ctx context.Context, path string, in any) (string, error) {
	var made object
	err := a.do(ctx, http.MethodPost, path, in, &made)
	return made.ID, err
}

// forEach calls f for 0 to n-1 from several workers and stops at the first
// failure.
func forEach(ctx context.Context, workers, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
