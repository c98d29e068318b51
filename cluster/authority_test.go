package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// turned takes nodes through a whole rotation. Between any two of its steps every node
// reaches every other one.
func turned(t *testing.T, nodes ...*Identity) NextAuthority {
	t.Helper()
	next, err := nodes[0].NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(*Identity, NextAuthority) (bool, error){(*Identity).Trust, (*Identity).SignBy, (*Identity).Distrust} {
		for _, node := range nodes {
			if changed, err := step(node, next); err != nil || !changed {
				t.Fatalf("%s: changed %v, %v", node.NodeID, changed, err)
			}
			if changed, err := step(node, next); err != nil || changed {
				t.Fatalf("%s, again: changed %v, %v", node.NodeID, changed, err)
			}
			reachEachOther(t, nodes...)
		}
	}
	return next
}

func reachEachOther(t *testing.T, nodes ...*Identity) {
	t.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			if a == b {
				continue
			}
			if err, served := handshake(t, a, b, b.NodeID); err != nil || served != nil {
				t.Fatalf("%s does not reach %s: %v, %v", a.NodeID, b.NodeID, err, served)
			}
			if err := anyNode(t, a, b); err != nil {
				t.Fatalf("%s does not reach %s by its address: %v", a.NodeID, b.NodeID, err)
			}
		}
	}
}

// anyNode is how raft dials, which knows addresses only.
func anyNode(t *testing.T, client, server *Identity) error {
	t.Helper()
	shown := server.cert.Load()
	state := tls.ConnectionState{}
	for _, der := range shown.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		state.PeerCertificates = append(state.PeerCertificates, cert)
	}
	return (&peers{identity: client}).verifyNode(state)
}

func threeNodes(t *testing.T) (nodes []*Identity, dirs []string) {
	t.Helper()
	for _, name := range []string{"node-1", "node-2", "node-3"} {
		dir := t.TempDir()
		var node *Identity
		var err error
		if len(nodes) == 0 {
			node, err = InitIdentity(dir, name, []string{"127.0.0.1"})
		} else {
			node, err = nodes[0].issueTo(dir, name, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		nodes, dirs = append(nodes, node), append(dirs, dir)
	}
	return nodes, dirs
}

// TestRotationStepByStep: two rotations, after each step of each node every node reaches
// every other; in the end the CA before opens nothing, and what is on the disks is that.
func TestRotationStepByStep(t *testing.T) {
	nodes, dirs := threeNodes(t)
	stranger, err := nodes[0].issueTo(t.TempDir(), "node-9", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		next := turned(t, nodes...)
		for i, node := range nodes {
			if s := node.Standing(); s.Signs != next.ID || s.Shows != next.ID || s.Other != "" || !s.Trusts(next.ID) || s.Trusts(next.Replaces) {
				t.Errorf("%s stands at %+v", node.NodeID, s)
			}
			loaded, err := ReadIdentity(dirs[i])
			if err != nil || loaded.Standing() != node.Standing() || !bytes.Equal(loaded.CA(), node.CA()) {
				t.Errorf("%s is read as %+v: %v", node.NodeID, loaded, err)
			}
		}
		if err, served := handshake(t, stranger, nodes[0], "node-1"); err == nil || served == nil {
			t.Errorf("a certificate of the CA before is accepted: %v, %v", err, served)
		}
	}
	if _, err := os.Stat(filepath.Join(dirs[0], "pki", caKeyFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first CA's key lies about: %v", err)
	}
}

// TestAwayDuringRotation: a node that was off while the next CA began to sign knows
// nothing of it, and is reached all the same.
func TestAwayDuringRotation(t *testing.T) {
	nodes, dirs := threeNodes(t)
	next, err := nodes[0].NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes[:2] {
		if _, err := node.Trust(next); err != nil {
			t.Fatal(err)
		}
		if _, err := node.SignBy(next); err != nil {
			t.Fatal(err)
		}
	}
	if nodes[2], err = LoadIdentity(dirs[2]); err != nil {
		t.Fatal(err)
	}
	if nodes[2].Standing().Trusts(next.ID) {
		t.Fatal("it has heard of the next CA")
	}
	reachEachOther(t, nodes...)
	// It goes to the end at once, as a log that is read anew makes it.
	if _, err := nodes[2].Distrust(next); err == nil {
		t.Error("the CA that signs is let go of")
	}
	if _, err := nodes[2].SignBy(next); err != nil {
		t.Fatal(err)
	}
	reachEachOther(t, nodes...)
}

// TestCrashWhileSigningBegins: the CAs are stored and the certificate is not. At the start
// the node has one of the CA before, shows it with what belongs to it, and renews it.
func TestCrashWhileSigningBegins(t *testing.T) {
	nodes, dirs := threeNodes(t)
	next, err := nodes[0].NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dirs[0], "pki", "node.pem")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[0].SignBy(next); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
	crashed, err := ReadIdentity(dirs[0])
	if err != nil || crashed.Standing().Shows != next.Replaces {
		t.Fatalf("%+v, %v", crashed, err)
	}
	reachEachOther(t, crashed, nodes[1])
	again, err := LoadIdentity(dirs[0])
	if err != nil || again.Standing().Shows != next.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	reachEachOther(t, again, nodes[1])
}

// TestForeignRotation: of a rotation in which the CA of this cluster has no part nothing
// is taken, and nor is a key that does not fit.
func TestForeignRotation(t *testing.T) {
	nodes, _ := threeNodes(t)
	other := newIdentity(t, "node-1")
	next, err := other.NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(*Identity, NextAuthority) (bool, error){(*Identity).Trust, (*Identity).SignBy, (*Identity).Distrust} {
		if _, err := step(nodes[0], next); !errors.Is(err, ErrForeign) {
			t.Errorf("taken: %v", err)
		}
	}
	own, err := nodes[0].NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	own.Key = next.Key
	if _, err := nodes[0].SignBy(own); err == nil || nodes[0].Standing().Other != "" {
		t.Errorf("the key of another CA signs: %v", err)
	}
}

// TestRotationWithoutDisk changes nothing that is not stored.
func TestRotationWithoutDisk(t *testing.T) {
	id := newIdentity(t, "node-1")
	next, err := id.NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	id.dir = filepath.Join(id.dir, "gone")
	if _, err := id.Trust(next); err == nil || id.Standing().Trusts(next.ID) {
		t.Errorf("%v, %+v", err, id.Standing())
	}
}

// TestTrustFiles: clients with the trust file from before, from meanwhile and from after
// reach the API for as long as the CA of their file is trusted.
func TestTrustFiles(t *testing.T) {
	id := newIdentity(t, "node-1")
	api, err := id.ServerCertificate([]string{"id.example"})
	if err != nil {
		t.Fatal(err)
	}
	next, err := id.NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	trusts := func(file []byte) bool {
		pair, _ := api.Get(nil)
		pool, above := x509.NewCertPool(), x509.NewCertPool()
		pool.AppendCertsFromPEM(file)
		for _, der := range pair.Certificate[1:] {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			above.AddCert(cert)
		}
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: above, DNSName: "id.example"})
		return err == nil
	}
	before := id.CA()
	var meanwhile []byte
	after := pemBlock("CERTIFICATE", next.Next)
	for i, step := range []func(*Identity, NextAuthority) (bool, error){(*Identity).Trust, (*Identity).SignBy, (*Identity).Distrust} {
		if _, err := step(id, next); err != nil {
			t.Fatal(err)
		}
		if renewed, err := api.Renew(time.Now()); err != nil || !renewed {
			t.Fatal(renewed, err)
		}
		if i == 0 {
			meanwhile = id.CA()
		}
		if got, want := trusts(before), i < 2; got != want {
			t.Errorf("step %d: the file from before: %v", i, got)
		}
		if !trusts(meanwhile) {
			t.Errorf("step %d: the file with both", i)
		}
		if got, want := trusts(after), i > 0; got != want {
			t.Errorf("step %d: the file from after: %v", i, got)
		}
	}
	if api.Authority() != next.ID {
		t.Errorf("the API is of %s", api.Authority())
	}
}

// TestPinsDuringRotation: a join token pins the key of the CA that signed when it was
// made, and finds it at nodes of every phase in which it may still be used.
func TestPinsDuringRotation(t *testing.T) {
	nodes, _ := threeNodes(t)
	next, err := nodes[0].NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	before := NewJoinToken(nodes[0].CASPKI())
	shown := func(id *Identity) (state tls.ConnectionState) {
		for _, der := range id.cert.Load().Certificate {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			state.PeerCertificates = append(state.PeerCertificates, cert)
		}
		return state
	}
	if _, err := nodes[0].Trust(next); err != nil {
		t.Fatal(err)
	}
	if err := before.verify(shown(nodes[0])); err != nil {
		t.Errorf("announced: %v", err)
	}
	if _, err := nodes[0].SignBy(next); err != nil {
		t.Fatal(err)
	}
	after := NewJoinToken(nodes[0].CASPKI())
	for name, token := range map[string]JoinToken{"before": before, "after": after} {
		if err := token.verify(shown(nodes[0])); err != nil {
			t.Errorf("signing, a token from %s: %v", name, err)
		}
	}
	if _, err := nodes[0].Distrust(next); err != nil {
		t.Fatal(err)
	}
	if err := after.verify(shown(nodes[0])); err != nil {
		t.Errorf("done: %v", err)
	}
	if err := before.verify(shown(nodes[0])); err == nil {
		t.Error("a token that pins the CA before is still good")
	}
	if err := NewJoinToken(newIdentity(t, "node-1").CASPKI()).verify(shown(nodes[1])); err == nil {
		t.Error("a token of another cluster is good")
	}
}

// TestFortyYears: the CA is due after 13 years and is rotated, three times, while nodes
// renew their certificates by themselves, and each is off for two months now and then.
// Every four weeks every node reaches every other.
func TestFortyYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		month := time.NewTicker(4 * 7 * 24 * time.Hour)
		nodes, dirs := threeNodes(t)
		run := func(i int) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go KeepRenewed(ctx, slog.New(slog.DiscardHandler), RenewEvery*24, map[string]Renewable{"peers": nodes[i]})
			return cancel
		}
		stop := []context.CancelFunc{run(0), run(1), run(2)}
		rotations, off := 0, -1
		for n := range 40 * 13 {
			<-month.C
			switch {
			case n%13 == 5: // one is off for eight weeks
				off = n / 13 % len(nodes)
				stop[off]()
			case n%13 == 7:
				back, err := LoadIdentity(dirs[off])
				if err != nil {
					t.Fatal(err)
				}
				nodes[off] = back
				stop[off], off = run(off), -1
			}
			if off >= 0 {
				continue
			}
			reachEachOther(t, nodes...)
			if nodes[0].AuthorityDue(time.Now()) {
				rotations++
				turned(t, nodes...)
			}
		}
		if rotations != 2 {
			t.Errorf("%d rotations in forty years", rotations)
		}
		for _, cancel := range stop {
			cancel()
		}
	})
}

// TestCallsWhenTrustEnds: a call that is under way when the trust in its connection ends is
// answered, and the next one is not lost: it is refused unheard there, and made over a
// connection of the CA of now.
func TestCallsWhenTrustEnds(t *testing.T) {
	nodes := trio(t)
	caller, other := nodes[1], nodes[0]
	entered, goOn := make(chan struct{}, 1), make(chan struct{})
	heard := 0 // the calls below are one after the other
	other.Handle("test.wait", func(context.Context, string, []byte) ([]byte, error) {
		heard++
		entered <- struct{}{}
		<-goOn
		return []byte("answered"), nil
	})
	pooled, _, err := caller.calls.get(other.cfg.NodeID) // of before
	if err != nil {
		t.Fatal(err)
	}
	stolen, _, err := caller.calls.get(other.cfg.NodeID)
	if err != nil {
		t.Fatal(err)
	}
	caller.calls.put(other.cfg.NodeID, pooled)

	next, err := other.cfg.Identity.NextAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(*Identity, NextAuthority) (bool, error){(*Identity).Trust, (*Identity).SignBy} {
		for _, n := range nodes {
			if _, err := step(n.cfg.Identity, next); err != nil {
				t.Fatal(err)
			}
		}
	}
	type result struct {
		answer []byte
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := caller.Call(within(t), other.cfg.NodeID, "test.wait", nil)
		done <- result{answer, err}
	}()
	<-entered
	if _, err := other.cfg.Identity.Distrust(next); err != nil {
		t.Fatal(err)
	}
	if other.DropDistrusted() == 0 {
		t.Fatal("no connection was of the CA before")
	}
	close(goOn)
	if r := <-done; r.err != nil || string(r.answer) != "answered" {
		t.Errorf("the call that was under way: %q, %v", r.answer, r.err)
	}
	answer, sent, err := exchange(within(t), stolen, "test.wait", nil)
	if err != nil || !sent || !bytes.Equal(answer, []byte{answerDistrusted}) || heard != 1 {
		t.Errorf("a call over a connection of the CA before: %q, %v, heard %d", answer, err, heard)
	}
	// This node has not let go of the CA before, so that it uses what it has in its pool.
	if answer, err := caller.Call(within(t), other.cfg.NodeID, "test.wait", nil); err != nil || string(answer) != "answered" || heard != 2 {
		t.Errorf("the call after: %q, %v, heard %d", answer, err, heard)
	}
}
