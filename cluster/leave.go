package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Methods by which nodes go.
const (
	methodPing   = "cluster.ping"
	methodRemove = "cluster.remove"
	methodMember = "cluster.member"
)

// pingTimeout is how long a member may take to answer before it counts as dead:
// three times the election timeout, so that who is slow is not taken for gone.
const pingTimeout = 1500 * time.Millisecond

// Removal is a node to take out of the cluster.
type Removal struct {
	Node  string `json:"node"`
	Leave bool   `json:"leave"` // the node asks itself; otherwise it must be dead
	Force bool   `json:"force"` // even when the others are too few for a quorum
}

// Rest is what a removal leaves.
type Rest struct {
	Members int `json:"members"` // with a vote
	Spare   int `json:"spare"`   // how many of them may fail before writes stop
}

// Refusal is why a removal was not made; nothing has changed.
type Refusal struct {
	Unknown bool   `json:"unknown"` // there is no such member
	Text    string `json:"text"`
}

func (r *Refusal) Error() string { return r.Text }

type removeAnswer struct {
	Rest    Rest     `json:"rest"`
	Refused *Refusal `json:"refused,omitempty"`
}

func (c *Cluster) handleLeaving() {
	c.Handle(methodPing, func(context.Context, string, []byte) ([]byte, error) { return nil, nil })
	c.Handle(methodRemove, c.serveRemove)
	c.Handle(methodMember, c.serveMember)
}

// Remove takes a node out of the cluster; it must not come back with its data. A
// leader that leaves hands over first.
func (c *Cluster) Remove(ctx context.Context, r Removal) (Rest, error) {
	if r.Leave && c.IsLeader() {
		if _, err := c.assess(ctx, r); err != nil {
			return Rest{}, err
		}
		if err := c.Transfer(ctx); err != nil {
			return Rest{}, fmt.Errorf("hand over leadership: %w", err)
		}
	}
	for {
		rest, err := c.askRemove(ctx, r)
		if !errors.Is(err, ErrNoLeader) {
			return rest, err
		}
		select { // a leader is being elected
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return rest, err
		}
	}
}

func (c *Cluster) askRemove(ctx context.Context, r Removal) (Rest, error) {
	if c.IsLeader() {
		if r.Leave {
			return Rest{}, ErrNoLeader // the transfer has not happened yet
		}
		return c.remove(ctx, r)
	}
	leader, ok := c.Leader()
	if !ok || leader == c.cfg.NodeID {
		return Rest{}, ErrNoLeader
	}
	body, err := json.Marshal(r)
	if err != nil {
		return Rest{}, err
	}
	raw, err := c.Call(ctx, leader, methodRemove, body)
	if err != nil {
		return Rest{}, err
	}
	var answer removeAnswer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return Rest{}, err
	}
	if answer.Refused != nil {
		return Rest{}, answer.Refused
	}
	return answer.Rest, nil
}

func (c *Cluster) serveRemove(ctx context.Context, from string, body []byte) ([]byte, error) {
	var r Removal
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, errors.New("malformed request")
	}
	if r.Leave && r.Node != from {
		return nil, errors.New("only the node itself can leave")
	}
	if !c.IsLeader() {
		return nil, ErrNoLeader
	}
	rest, err := c.remove(ctx, r)
	var refused *Refusal
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	return json.Marshal(removeAnswer{rest, refused})
}

// remove is the leader's. The removal is bound to the members that were looked at:
// two that are safe one after the other may not be safe together.
func (c *Cluster) remove(ctx context.Context, r Removal) (Rest, error) {
	a, err := c.assess(ctx, r)
	if err != nil {
		return Rest{}, err
	}
	future := c.raft.RemoveServer(raft.ServerID(r.Node), a.index, rpcTimeout)
	switch err := wait(ctx, future); {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return Rest{}, ErrNoLeader
	case err != nil:
		return Rest{}, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return a.rest, nil
}

// assessment is what a removal would leave of the members at an index.
type assessment struct {
	index uint64
	rest  Rest
}

func (c *Cluster) assess(ctx context.Context, r Removal) (assessment, error) {
	future := c.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return assessment{}, err
	}
	found, voters := false, 0
	for _, s := range future.Configuration().Servers {
		if string(s.ID) == r.Node {
			found = true
		} else if s.Suffrage == raft.Voter {
			voters++
		}
	}
	if !found {
		return assessment{}, &Refusal{Unknown: true, Text: fmt.Sprintf("%s is not a member", r.Node)}
	}
	if voters == 0 {
		return assessment{}, &Refusal{Text: fmt.Sprintf("%s is the last member: stop it instead", r.Node)}
	}
	answering, alive := c.answering(ctx, future.Configuration().Servers, r.Node)
	if alive && !r.Leave {
		return assessment{}, &Refusal{Text: fmt.Sprintf("%s answers: take it out with authfi leave there, or stop it first", r.Node)}
	}
	quorum := voters/2 + 1
	if answering < quorum && !r.Force {
		return assessment{}, &Refusal{Text: fmt.Sprintf("%d of the %d others answer, and a quorum of them is %d: writes would stop", answering, voters, quorum)}
	}
	return assessment{future.Index(), Rest{Members: voters, Spare: max(answering-quorum, 0)}}, nil
}

// answering counts the voters other than one that answer in time, this node among
// them, and says whether that one does.
func (c *Cluster) answering(ctx context.Context, servers []raft.Server, but string) (count int, alive bool) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	answered := make(chan raft.Server, len(servers)) // one that is too late is not waited for
	for _, s := range servers {
		go func() {
			if string(s.ID) != c.cfg.NodeID {
				if _, err := c.Call(ctx, string(s.ID), methodPing, nil); err != nil {
					s = raft.Server{}
				}
			}
			answered <- s
		}()
	}
	for range servers {
		select {
		case s := <-answered:
			if string(s.ID) == but {
				alive = true
			} else if s.ID != "" && s.Suffrage == raft.Voter {
				count++
			}
		case <-ctx.Done():
			return count, alive
		}
	}
	return count, alive
}

// Answers of methodMember.
const (
	memberYes   byte = iota + 1
	memberNo         // it was removed, since no certificate is issued before a node is a member
	memberOther      // another machine has its name now
)

// ErrRemoved means that the cluster goes on without this node.
var ErrRemoved = errors.New("this node was removed from the cluster")

// Removed asks the members that this node knows of whether it is still one of them.
// It returns ErrRemoved when one that has a quorum behind it says no, and nil when
// none does.
func (c *Cluster) Removed(ctx context.Context) error {
	// The address by which it was known: the one that it has now may be new.
	address, known := c.address(c.cfg.NodeID)
	if !known {
		address = c.cfg.Advertise
	}
	body, err := json.Marshal(Member{ID: c.cfg.NodeID, Address: address})
	if err != nil {
		return err
	}
	for _, m := range c.Members() {
		if m.ID == c.cfg.NodeID {
			continue
		}
		answer, err := c.Call(ctx, m.ID, methodMember, body)
		if err != nil || len(answer) != 1 {
			continue
		}
		switch answer[0] {
		case memberYes:
			return nil
		case memberNo:
			return fmt.Errorf("%w, as %s says", ErrRemoved, m.ID)
		case memberOther:
			return fmt.Errorf("%w, and another machine has its name now, as %s says", ErrRemoved, m.ID)
		}
	}
	return nil
}

// serveMember answers from members that a majority holds: what this node alone has
// heard of may be old, or may not come to be.
func (c *Cluster) serveMember(ctx context.Context, _ string, body []byte) ([]byte, error) {
	var asked Member
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, errors.New("malformed request")
	}
	index, err := c.ReadIndex(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.WaitApplied(ctx, index); err != nil {
		return nil, err
	}
	future := c.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return nil, err
	}
	if future.Index() > index {
		return nil, errors.New("the members are changing")
	}
	for _, s := range future.Configuration().Servers {
		switch {
		case string(s.ID) != asked.ID:
		case string(s.Address) != asked.Address:
			return []byte{memberOther}, nil
		default:
			return []byte{memberYes}, nil
		}
	}
	return []byte{memberNo}, nil
}
