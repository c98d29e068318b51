package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTenYears: two nodes and their API are reached every week of ten years, in which
// nobody does anything and each node is off for two months, once.
func TestTenYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dirs := []string{t.TempDir(), t.TempDir()}
		first, err := InitIdentity(dirs[0], "node-1", []string{"127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		second, err := first.issueTo(dirs[1], "node-2", []string{"10.0.0.2", "two.example"})
		if err != nil {
			t.Fatal(err)
		}
		api, err := first.ServerCertificate([]string{"id.example"})
		if err != nil {
			t.Fatal(err)
		}
		nodes := []*Identity{first, second}
		run := func(i int) (stop context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			go KeepRenewed(ctx, slog.New(slog.DiscardHandler), RenewEvery, map[string]Renewable{"peers": nodes[i], "api": api})
			return cancel
		}
		stop := []context.CancelFunc{run(0), run(1)}
		serials := map[string]bool{}
		week := time.NewTicker(7 * 24 * time.Hour)
		for n := range 10 * 52 {
			<-week.C
			if off := n / 100 % 2; n%100 == 50 && n < 200 { // one of them is off, and comes back from its files
				stop[off]()
				synctest.Wait()
				for range 9 {
					<-week.C
				}
				if nodes[off], err = LoadIdentity(dirs[off]); err != nil {
					t.Fatal(err)
				}
				stop[off] = run(off)
			}
			for i, node := range nodes {
				other := nodes[1-i]
				if err, served := handshake(t, node, other, other.NodeID); err != nil || served != nil {
					t.Fatalf("week %d: %s does not reach %s: %v, %v", n, node.NodeID, other.NodeID, err, served)
				}
			}
			serials[nodes[1].cert.Load().Leaf.SerialNumber.String()] = true
			leaf := api.cert.Load().Leaf
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(nodes[0].CA())
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "id.example", CurrentTime: time.Now()}); err != nil {
				t.Fatalf("week %d: the API: %v", n, err)
			}
		}
		if len(serials) < 100 { // a new one every 20 days
			t.Errorf("there were %d certificates", len(serials))
		}
		if got := names(nodes[1].cert.Load().Leaf); !slices.Equal(got, []string{"node-2", "two.example", "10.0.0.2"}) {
			t.Errorf("after ten years the names are %v", got)
		}
		stop[0]()
		stop[1]()
	})
}

// TestRenewAtTheLimit: a moment before two thirds of its life a certificate stays,
// then it goes; and so does one that a clock made that was ahead.
func TestRenewAtTheLimit(t *testing.T) {
	id := newIdentity(t, "node-1")
	leaf := id.cert.Load().Leaf
	at := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
	for _, row := range []struct {
		now  time.Time
		want bool
	}{
		{leaf.NotBefore, false}, {at.Add(-time.Second), false}, {at, true}, {leaf.NotAfter.Add(time.Hour), true}, {leaf.NotBefore.Add(-time.Second), true},
	} {
		if got := due(leaf, row.now); got != row.want {
			t.Errorf("at %v of %v to %v: %v", row.now, leaf.NotBefore, leaf.NotAfter, got)
		}
	}
	if renewed, err := id.Renew(at); err != nil || !renewed {
		t.Fatal(renewed, err)
	}
	if id.cert.Load().Leaf.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("the certificate is the old one")
	}
}

// TestRenewWithoutDisk keeps a certificate that still serves.
func TestRenewWithoutDisk(t *testing.T) {
	id := newIdentity(t, "node-1")
	before := id.cert.Load()
	id.dir = filepath.Join(id.dir, "gone")
	if renewed, err := id.Renew(before.Leaf.NotAfter); err == nil || renewed || id.cert.Load() != before {
		t.Errorf("renewed %v, %v", renewed, err)
	}
}

// TestTwoFiles: a node whose key had a file of its own is still read, and when its
// certificate is renewed, the old key does not matter any more.
func TestTwoFiles(t *testing.T) {
	dir := t.TempDir()
	made, err := InitIdentity(dir, "node-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pki", "node.pem")
	both, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pemBlock("CERTIFICATE", made.cert.Load().Certificate[0])
	for name, content := range map[string][]byte{file: certificate, filepath.Join(dir, "pki", "node.key"): both[len(certificate):]} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loaded.Renew(loaded.cert.Load().Leaf.NotAfter); err != nil {
		t.Fatal(err)
	}
	again, err := LoadIdentity(dir)
	if err != nil || again.cert.Load().Leaf.SerialNumber.Cmp(loaded.cert.Load().Leaf.SerialNumber) != 0 {
		t.Errorf("%v", err)
	}
	if _, err := tls.LoadX509KeyPair(file, file); err != nil {
		t.Error(err)
	}
}
