package node_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

// authorityState is what the API says of the CA.
type authorityState struct {
	AuthorityID string `json:"authority_id"`
	Rotation    struct {
		AuthorityID string `json:"authority_id"`
		Replaces    string
		Phase       string
		WaitsFor    string `json:"waits_for"`
	}
	Nodes []struct {
		NodeID     string `json:"node_id"`
		Reachable  bool
		Signs      string
		AlsoTrusts string `json:"also_trusts"`
		Shows      string
		API        string
	}
	TrustFile string `json:"trust_file"`
}

// writer makes users through one node, each over a connection of its own, and counts
// what was not answered as it should be.
type writer struct {
	made, failed atomic.Int64
	last         atomic.Value // of what failed
	stop         chan struct{}
	running      sync.WaitGroup
}

func writing(t *testing.T, c *nodetest.Cluster, org object, name, trust string, nodes ...int) *writer {
	t.Helper()
	client := trusting(trust)
	w := &writer{stop: make(chan struct{})}
	for _, i := range nodes {
		w.running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-w.stop:
					return
				default:
				}
				if err := w.write(client, c.URL(i), c.Token(), userBody(org, fmt.Sprintf("%s-%d-%d", name, i, n))); err != nil {
					w.failed.Add(1)
					w.last.Store(err)
				} else {
					w.made.Add(1)
				}
			}
		})
	}
	return w
}

func (w *writer) write(client *http.Client, base, token, body string) error {
	request, err := http.NewRequest(http.MethodPost, base+"/api/v1/users", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

// trusting is a client with a connection for each request.
func trusting(file string) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(file))
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool},
	}}
}

// end demands that something was written and that nothing failed.
func (w *writer) end(t *testing.T, when string) {
	t.Helper()
	close(w.stop)
	w.running.Wait()
	if w.failed.Load() > 0 || w.made.Load() == 0 {
		t.Errorf("%s: %d writes, %d failed, the last by %v", when, w.made.Load(), w.failed.Load(), w.last.Load())
	}
	t.Logf("%s: %d writes", when, w.made.Load())
}

// untilAuthority waits for what the cluster says of its CA.
func untilAuthority(t *testing.T, c *nodetest.Cluster, what string, holds func(authorityState) bool) (s authorityState) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		s = authorityState{}
		c.Do(0, http.MethodGet, "/api/v1/authority", "", &s)
		if holds(s) {
			return s
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("it is not %s: %+v", what, s)
		}
	}
}

// TestRotateAuthority: the CA is replaced while clients with the old trust file, and then
// with the new one, write through the nodes without one failure; a node that is off holds
// it up; a token that pins the old CA is good until that is let go of, and then whoever
// trusts only that reaches nobody.
func TestRotateAuthority(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	before, err := os.ReadFile(filepath.Join(c.Dir(0), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	var token struct{ Token string }
	c.Do(0, http.MethodPost, "/api/v1/join-tokens", "{}", &token)
	c.Stop(2)
	w := writing(t, c, org, "old", string(before), 0, 1)
	c.Do(1, http.MethodPost, "/api/v1/authority/rotate", `{"keep_seconds":"3600"}`, nil)
	if again := c.Call(1, http.MethodPost, "/api/v1/authority/rotate", "{}"); again.Status != http.StatusConflict {
		t.Errorf("rotated twice: %d %s", again.Status, again.Body)
	}
	s := untilAuthority(t, c, "waiting for node-3", func(s authorityState) bool {
		return s.Rotation.Phase == "announced" && strings.Contains(s.Rotation.WaitsFor, "node-3")
	})
	if s.AuthorityID != s.Rotation.Replaces {
		t.Errorf("the next CA signs although a node has not heard of it: %+v", s)
	}
	c.Start(2)
	s = untilAuthority(t, c, "signing everywhere", func(s authorityState) bool {
		return s.Rotation.Phase == "signing" && strings.Contains(s.Rotation.WaitsFor, "clients")
	})
	for _, n := range s.Nodes {
		if n.Signs != s.Rotation.AuthorityID || n.Shows != n.Signs || n.API != n.Signs || n.AlsoTrusts != s.Rotation.Replaces {
			t.Errorf("%+v", n)
		}
	}
	w.end(t, "the trust file from before")
	joinWhileBothAreTrusted(t, c, token.Token)
	w = writing(t, c, org, "new", s.TrustFile, 0, 1, 2)
	c.Do(1, http.MethodPost, "/api/v1/authority/retire", "{}", nil)
	c.Trust() // of both, or of the next one alone
	untilAuthority(t, c, "done, with one trust file", func(s authorityState) bool {
		for i := range nodetest.Size {
			if file, err := os.ReadFile(filepath.Join(c.Dir(i), "ca.pem")); err != nil || string(file) != s.TrustFile {
				return false
			}
		}
		return s.Rotation.Phase == "done" && certificates(s.TrustFile) == 1
	})
	w.end(t, "the trust file from then on")
	if err := (&writer{}).write(trusting(string(before)), c.URL(1), c.Token(), userBody(org, "late")); err == nil {
		t.Error("who trusts only the CA before still reaches a node")
	}
	c.Stop(0)
	c.Start(0)
	converged(t, c)
}

// joinWhileBothAreTrusted: the token pins the CA before. The newcomer, which is not
// started, holds the CA before in place until it is taken out.
func joinWhileBothAreTrusted(t *testing.T, c *nodetest.Cluster, token string) {
	t.Helper()
	addresses := nodetest.Free(t, 2)
	cfg := c.Config(0)
	cfg.NodeID, cfg.Dir, cfg.API, cfg.Peer = "node-4", filepath.Join(t.TempDir(), "node"), addresses[0], addresses[1]
	if err := node.Join(t.Context(), cfg, c.Config(1).Peer, token); err != nil {
		t.Fatal(err)
	}
	untilAuthority(t, c, "waiting for node-4", func(s authorityState) bool { return strings.Contains(s.Rotation.WaitsFor, "node-4") })
	if a := c.Call(1, http.MethodPost, "/api/v1/authority/retire", "{}"); a.Status/100 == 2 {
		t.Errorf("the CA is let go of before a member is as far: %s", a.Body)
	}
	c.Do(1, http.MethodDelete, "/api/v1/members/node-4", "", nil)
}

func certificates(file string) (n int) {
	for block, rest := pem.Decode([]byte(file)); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return n
}
