package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecoverAlone: after two of three are lost for good, the third goes on from all
// that was acknowledged, with a snapshot and without, and takes new members. What comes
// back of the lost is told that it was removed.
func TestRecoverAlone(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshot=%v", snapshot), func(t *testing.T) {
			nodes := trio(t)
			for i := range 20 {
				nodes[i%3].propose(t, fmt.Sprintf("before %d", i))
			}
			kept := nodes[0]
			if snapshot {
				if err := kept.Snapshot(within(t)); err != nil {
					t.Fatal(err)
				}
			}
			kept.propose(t, "the last")
			kept.Close()
			if _, err := Recover(kept.cfg, false); err == nil || !strings.Contains(err.Error(), "answers") {
				t.Fatalf("a node that others can do without: %v", err)
			}
			nodes[1].Close()
			nodes[2].Close()
			kept.journal.crash() // so that the log has to give it again
			recovered, err := Recover(kept.cfg, false)
			if err != nil || fmt.Sprint(recovered.Lost) != "[n2 n3]" || recovered.Index == 0 {
				t.Fatalf("%+v, %v", recovered, err)
			}
			if _, err := os.Stat(filepath.Join(recovered.Copy, "wal")); err != nil {
				t.Errorf("no copy of the log: %v", err)
			}
			kept.open(t)
			kept.propose(t, "alone")
			for _, line := range []string{"before 0", "before 19", "the last", "alone"} {
				if got := kept.journal.count(line); got != 1 {
					t.Errorf("%q is there %d times", line, got)
				}
			}
			nodes[1].open(t)
			until(t, func() bool { return nodes[1].Removed(within(t)) != nil })
			nodes[1].Close()
			rejoin(t, kept, nodes[1])
			nodes[1].propose(t, "together again")
			if got := kept.journal.count("together again"); got != 1 || len(kept.Members()) != 2 {
				t.Errorf("after a new join: %d, %v", got, kept.Members())
			}
		})
	}
}

// rejoin is an empty machine under a name that was there before.
func rejoin(t *testing.T, through, n *testNode) {
	t.Helper()
	token := NewJoinToken(through.cfg.Identity.CASPKI())
	through.admit(token)
	n.cfg.Dir, n.journal = t.TempDir(), &journal{}
	n.cfg.Machine = n.journal
	id, _, err := Join(within(t), n.cfg.Dir, n.cfg.NodeID, n.cfg.Listen, through.cfg.Listen, token.String())
	if err != nil {
		t.Fatal(err)
	}
	n.cfg.Identity = id
	n.open(t)
	if err := n.EnsureVoter(within(t)); err != nil {
		t.Fatal(err)
	}
}
