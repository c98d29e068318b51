package cluster

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// A killed process says so without wanting to: its kernel ends its connections and
// refuses new ones. Who followed it need not wait until heartbeats are missed. Nothing
// depends on it: an election that is begun for nothing costs a term, and is as safe as
// any; a machine that is gone or cut off says nothing, and is missed as ever.

const (
	// refusalWait is how long the leader's kernel may take to refuse.
	refusalWait = 200 * time.Millisecond
	// turn is between those who stand for election, so that votes are not split: enough
	// for an election, and with it still less than the heartbeats that are waited for.
	turn = 150 * time.Millisecond
)

// watched is a connection of raft that was accepted: it tells when the other side ends it.
type watched struct {
	dialed
	from string
	once sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.once.Do(func() { w.peers.ended(w.from) })
	}
	return n, err
}

// dialed is a connection of raft that ends with the peer port: the library closes those
// that it holds idle, not those on which it waits for an answer.
type dialed struct {
	net.Conn
	peers *peers
}

func (d dialed) Close() error {
	d.peers.forget(d.Conn)
	return nil
}

// suspect looks whether a node whose connection has ended was the leader and is dead,
// and then stands for election when its turn comes.
func (c *Cluster) suspect(id string) {
	leader, ok := c.Leader()
	if !ok || leader != id || !c.suspecting.CompareAndSwap(false, true) {
		return // a leader has several connections
	}
	defer c.suspecting.Store(false)
	address, rank, ok := c.succession(id)
	if !ok {
		return
	}
	conn, err := c.cfg.Network.Dial(address, refusalWait)
	if err == nil {
		conn.Close()
		return
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return
	}
	select {
	case <-time.After(time.Duration(rank) * turn):
	case <-c.closing:
		return
	}
	// Who stood before may have less of the log, and then gets no vote.
	if now, ok := c.Leader(); !ok || now == id {
		c.log.Info("the leader's process is gone", "leader", id)
		c.standing.stand()
	}
}

// succession is the address of the leader, and the place of this node among the voters
// that are left.
func (c *Cluster) succession(leader string) (address string, rank int, ok bool) {
	members := c.Members()
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	for _, m := range members {
		switch {
		case m.ID == leader:
			address = m.Address
		case m.ID == c.cfg.NodeID:
			ok = m.Voter
		case m.Voter && m.ID < c.cfg.NodeID:
			rank++
		}
	}
	return address, rank, ok && address != ""
}

// standing gives the library the messages of the others, and between them the one that
// makes it stand for election: that of a leader which hands over.
type standing struct {
	messages chan raft.RPC
	done     chan struct{}
}

func newStanding(from <-chan raft.RPC) *standing {
	s := &standing{messages: make(chan raft.RPC), done: make(chan struct{})}
	go s.pass(from)
	return s
}

func (s *standing) pass(from <-chan raft.RPC) {
	for {
		select {
		case message := <-from:
			select {
			case s.messages <- message:
			case <-s.done:
				return
			}
		case <-s.done:
			return
		}
	}
}

func (s *standing) stand() {
	answered := make(chan raft.RPCResponse, 1) // nobody reads it
	message := raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}, RespChan: answered}
	select {
	case s.messages <- message:
	case <-s.done:
	}
}
