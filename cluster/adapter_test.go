package cluster

import (
	"io"
	"testing"

	"github.com/hashicorp/raft"
)

// echoMachine answers each command with its text and remembers what it applied.
type echoMachine struct {
	applied uint64
	seen    []string
}

func (m *echoMachine) ApplyBatch(batches []Batch) [][]any {
	results := make([][]any, len(batches))
	for i, b := range batches {
		for _, c := range b.Commands {
			m.seen = append(m.seen, string(c))
			results[i] = append(results[i], string(c))
		}
		m.applied = b.Index
	}
	return results
}
func (m *echoMachine) Applied() uint64             { return m.applied }
func (m *echoMachine) Snapshot() (Snapshot, error) { return nil, io.EOF }
func (m *echoMachine) Restore(io.Reader) error     { return nil }

func TestWaiterLearnsItsOwnResultOnce(t *testing.T) {
	m := &echoMachine{}
	a := newAdapter(m)
	ch := a.await(proposalID{2})
	log := &raft.Log{Index: 7, Data: encodeEntry([]proposal{{proposalID{1}, []byte("a")}, {proposalID{2}, []byte("b")}})}
	a.Apply(log)
	a.Apply(log) // a replay after a restart
	if got := <-ch; got != (outcome{Position{7, 1}, "b"}) {
		t.Errorf("outcome %v", got)
	}
	if len(m.seen) != 2 {
		t.Errorf("applied %v", m.seen)
	}
}

func TestConfigurationAdvancesTheAppliedIndex(t *testing.T) {
	m := &echoMachine{}
	newAdapter(m).Apply(&raft.Log{Index: 3, Type: raft.LogConfiguration})
	if m.applied != 3 {
		t.Errorf("applied %d, want 3", m.applied)
	}
}

func TestUnreadableEntryStopsTheNode(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the node went on")
		}
	}()
	newAdapter(&echoMachine{}).Apply(&raft.Log{Index: 1, Data: []byte("garbage")})
}
