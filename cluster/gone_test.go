package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// openedBy is what a node with a certificate gets of the peer port of another: nil when
// the connection is kept open.
func openedBy(t *testing.T, from, to *testNode, protocol string) error {
	t.Helper()
	p := &peers{network: TCP{}, identity: from.cfg.Identity}
	conn, err := p.dial(to.cfg.Listen, to.cfg.NodeID, protocol, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err = conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset") {
		return err
	}
	return nil
}

// TestRemovedNodeIsShutOut: its certificate opens nothing any more but the question
// whether it was removed, and it cannot make itself a member again.
func TestRemovedNodeIsShutOut(t *testing.T) {
	nodes := trio(t)
	leader := leaderOf(t, nodes)
	gone, third := nodes[(leader+1)%3], nodes[(leader+2)%3]
	for _, to := range []*testNode{nodes[leader], third} {
		if err := openedBy(t, gone, to, protocolRaft); err != nil {
			t.Fatalf("a member's connection to %s: %v", to.cfg.NodeID, err)
		}
	}
	asked := &calls{c: gone.Cluster}
	conn, _, err := asked.get(nodes[leader].cfg.NodeID) // open before the removal
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[leader].Remove(within(t), Removal{Node: gone.cfg.NodeID, Leave: false, Force: true}); err == nil {
		t.Fatal("a living node was removed by another")
	}
	if _, err := gone.Remove(within(t), Removal{Node: gone.cfg.NodeID, Leave: true}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []*testNode{nodes[leader], third} {
		until(t, func() bool { return len(to.Members()) == 2 && to.gone(gone.cfg.NodeID) })
		for _, protocol := range []string{protocolRaft, protocolState} {
			if err := openedBy(t, gone, to, protocol); err == nil {
				t.Errorf("%s is open to a removed node on %s", protocol, to.cfg.NodeID)
			}
		}
		if err := openedBy(t, third, nodes[leader], protocolRaft); err != nil {
			t.Errorf("a member is shut out: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	answer, _, err := exchange(ctx, conn, methodPing, nil)
	if err == nil {
		_, err = decodeAnswer(answer)
	}
	if err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("a call on a connection from before the removal: %v", err)
	}
	vote := []byte(gone.cfg.NodeID + "\n" + gone.cfg.Listen + "\nvote")
	if _, err := gone.Call(ctx, nodes[leader].cfg.NodeID, methodAddVoter, vote); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("a removed node asks for its vote: %v", err)
	}
	if err := gone.Removed(ctx); !errors.Is(err, ErrRemoved) {
		t.Errorf("a removed node is told %v", err)
	}
	third.Close()
	third.open(t)
	until(t, func() bool { return third.gone(gone.cfg.NodeID) }) // also after a restart
}

// TestJoinUnderALivingNameIsRefused: also with a good token, and the member keeps its
// address.
func TestJoinUnderALivingNameIsRefused(t *testing.T) {
	nodes := trio(t)
	token := NewJoinToken(nodes[0].cfg.Identity.CASPKI())
	stranger := testConfigs(t, "n2")[0]
	nodes[0].admit(token)
	_, _, err := Join(within(t), stranger.Dir, "n2", stranger.Listen, nodes[0].cfg.Listen, token.String())
	if err == nil || !strings.Contains(err.Error(), "n2 is a member already") {
		t.Errorf("a second n2 joins: %v", err)
	}
	if address, _ := nodes[0].address("n2"); address != nodes[1].cfg.Listen {
		t.Errorf("n2 is now at %s", address)
	}
}

// admit lets one token in.
func (n *testNode) admit(token JoinToken) {
	n.Cluster.cfg.AdmitJoin = func(_ context.Context, id string, secret []byte, _ string) error {
		if id != token.ID || !bytes.Equal(secret, token.Secret) {
			return errors.New("unknown token")
		}
		return nil
	}
}
