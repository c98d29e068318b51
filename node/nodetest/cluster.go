// Package nodetest runs three real nodes in one process for tests: real
// certificates, logs, disks and sockets; nothing is replaced. The nodes protect
// no service.
package nodetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/node"
)

// Size of the cluster: it survives the loss of one node.
const Size = 3

// readyWait bounds a start, on a machine that runs other tests meanwhile.
const readyWait = 60 * time.Second

// noService is an address that no test protects: an empty list would mean all.
const noService = "127.0.0.1:1"

// Cluster is three nodes and one operator.
type Cluster struct {
	t       testing.TB
	token   string
	client  *http.Client
	members [Size]member
}

type member struct {
	cfg  node.Config
	stop context.CancelFunc
	done chan error // closed after the node's end; nil while it is stopped
}

// Start makes a new cluster that ends with the test; change is made to the
// configuration of each node.
func Start(t testing.TB, change ...func(*node.Config)) *Cluster {
	t.Helper()
	return start(t, func(first node.Config) (string, error) { return node.Init(first, nil) }, change...)
}

// Restore makes a new cluster from a backup; token is an operator's of the old one.
func Restore(t testing.TB, file io.Reader, key backup.Key, token string) (*Cluster, node.Restored) {
	t.Helper()
	var restored node.Restored
	c := start(t, func(first node.Config) (_ string, err error) {
		restored, err = node.Restore(first, file, key)
		return token, err
	})
	return c, restored
}

// start makes the first node by init and lets the others join.
func start(t testing.TB, first func(node.Config) (token string, err error), change ...func(*node.Config)) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	addresses := Free(t, 2*Size)
	for i := range c.members {
		c.members[i].cfg = node.Config{
			NodeID: fmt.Sprintf("node-%d", i+1), Dir: filepath.Join(t.TempDir(), "node"),
			API: addresses[2*i], Peer: addresses[2*i+1], Issuer: "https://" + addresses[0],
			Enforce: node.EnforceConfig{Mode: "gate", Listen: []string{noService}},
		}
		for _, f := range change {
			f(&c.members[i].cfg)
		}
	}
	t.Cleanup(func() {
		for i := range c.members {
			c.Stop(i)
		}
	})
	var err error
	c.token, err = first(c.members[0].cfg)
	c.must(err)
	c.Launch(0)
	c.Trust()
	c.Ready(0)
	for i := 1; i < Size; i++ {
		var made struct{ Token string }
		c.Do(0, http.MethodPost, "/api/v1/join-tokens", "{}", &made)
		c.must(node.Join(t.Context(), c.members[i].cfg, c.members[0].cfg.Peer, made.Token))
		c.Start(i)
	}
	return c
}

// Ports of nodes are below those that the kernel gives to connections that begin on
// this machine: one of these could take the port of a node that is off for a moment.
const (
	portMin  = 12_000
	portMax  = 32_000
	portsTry = 1000
)

// Free finds addresses that nobody listens on.
func Free(t testing.TB, n int) (addresses []string) {
	for range portsTry {
		if len(addresses) == n {
			return addresses
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", portMin+rand.IntN(portMax-portMin)))
		if err != nil {
			continue // taken
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	t.Fatal("no port is free")
	return nil
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Dir is the data directory of node i, counted from 0.
func (c *Cluster) Dir(i int) string { return c.members[i].cfg.Dir }

// URL is where node i serves.
func (c *Cluster) URL(i int) string { return "https://" + c.members[i].cfg.API }

// Token is the operator's.
func (c *Cluster) Token() string { return c.token }

// CA is the file of the CA that signed the certificates of the API.
func (c *Cluster) CA() string { return filepath.Join(c.members[0].cfg.Dir, "ca.pem") }

// TLS trusts the cluster.
func (c *Cluster) TLS() *tls.Config {
	return c.client.Transport.(*http.Transport).TLSClientConfig.Clone()
}

// Start starts node i, which was stopped, and waits until it may serve.
func (c *Cluster) Start(i int) {
	c.t.Helper()
	c.Launch(i)
	c.Ready(i)
}

// Launch starts node i, which was stopped, and does not wait: alone it may not serve.
func (c *Cluster) Launch(i int) {
	c.t.Helper()
	m := &c.members[i]
	cfg, err := node.LoadConfig(m.cfg.Dir)
	c.must(err)
	cfg.Version = m.cfg.Version
	log := slog.New(slog.NewTextHandler(io.Discard, nil)).With("node", cfg.NodeID)
	ctx, stop := context.WithCancel(context.Background())
	n, err := node.Open(ctx, cfg, log)
	if err != nil {
		stop()
		c.t.Fatal(err)
	}
	done := make(chan error, 1) // the goroutine's own: Stop forgets m.done
	m.stop, m.done = stop, done
	go func() {
		done <- n.Run(ctx)
		close(done)
	}()
}

// Stop ends node i as a shutdown does; one that is stopped stays so.
func (c *Cluster) Stop(i int) {
	c.t.Helper()
	m := &c.members[i]
	if m.done == nil {
		return
	}
	m.stop()
	if err := <-m.done; err != nil {
		c.t.Errorf("node-%d: %v", i+1, err)
	}
	m.done = nil
}

// Ended waits for node i to end by itself and says why it did.
func (c *Cluster) Ended(i int) error {
	c.t.Helper()
	m := &c.members[i]
	select {
	case err := <-m.done:
		m.stop()
		m.done = nil
		return err
	case <-time.After(readyWait):
		c.t.Fatalf("node-%d goes on", i+1)
		return nil
	}
}

// Config is what node i was told.
func (c *Cluster) Config(i int) node.Config { return c.members[i].cfg }

// Trust takes the trust file of node 0 as it is now.
func (c *Cluster) Trust() {
	c.t.Helper()
	pem, err := os.ReadFile(filepath.Join(c.members[0].cfg.Dir, "ca.pem"))
	c.must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	c.t.Cleanup(transport.CloseIdleConnections)
	c.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// Ready waits until node i says that it may serve.
func (c *Cluster) Ready(i int) {
	c.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(readyWait)
	for {
		res, err := c.client.Get("https://" + c.members[i].cfg.API + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ticker.C:
		case <-deadline:
			c.t.Fatalf("node-%d is not ready: %v", i+1, err)
		}
	}
}

// Answer is what a node said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call sends a request with the operator's token, which a header Authorization
// replaces; headers come in pairs.
func (c *Cluster) Call(i int, method, path, body string, headers ...string) Answer {
	c.t.Helper()
	req, err := http.NewRequest(method, "https://"+c.members[i].cfg.API+path, bytes.NewReader([]byte(body)))
	c.must(err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	res, err := c.client.Do(req)
	c.must(err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	c.must(err)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: answer}
}

// Do is Call that demands success and reads the JSON answer; out may be nil.
func (c *Cluster) Do(i int, method, path, body string, out any, headers ...string) Answer {
	c.t.Helper()
	answer := c.Call(i, method, path, body, headers...)
	if answer.Status/100 != 2 {
		c.t.Fatalf("node-%d: %s %s: %d %s", i+1, method, path, answer.Status, answer.Body)
	}
	if out != nil {
		c.must(json.Unmarshal(answer.Body, out))
	}
	return answer
}

// Status is a node's account of the cluster.
type Status struct {
	Leader string `json:"leader"`
	Index  uint64 `json:"applied_index"`
	Digest string `json:"digest"`
}

// Status asks node i for its state at or after an index.
func (c *Cluster) Status(i int, atLeast uint64) (s Status) {
	c.t.Helper()
	c.Do(i, http.MethodGet, "/api/v1/status", "", &s, "X-Authfi-Index", fmt.Sprint(atLeast))
	return s
}

// Transport trusts the nodes.
func (c *Cluster) Transport() http.RoundTripper { return c.client.Transport }
