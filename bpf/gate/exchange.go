package gate

import (
	"bytes"
	"context"
	"sync"

	"github.com/authfi/authfi/bpf/policy"
)

// Grant is whose request was let through and by which token; zero on a public
// route.
type Grant struct {
	Subject policy.Subject
	Token   policy.TokenEntry
}

// exchange is a request that was let through, in a dry run whatever its verdict, and whose answer is not over: a
// tunnel and a stream are long ones. It is asked for again whenever something
// changes on which its verdict rests.
type exchange struct {
	line    []byte // method and target, to be read with another program
	flow    policy.Flow
	program *policy.Program
	grant   Grant
	orphan  bool // its session ended in a dry run, which ends nothing
}

// stands decides anew. What cannot be told while rows are being rewritten
// stands until the write that ends this, which asks again.
func (g *Gate) stands(e *exchange) (stands bool, reason policy.Reason) {
	program := g.config.Program()
	switch {
	case program.DryRun():
		return true, policy.ReasonAllowed
	case e.orphan:
		return false, policy.ReasonRevoked
	case program != e.program:
		state, ok := place(program, e.line)
		if !ok {
			return false, policy.ReasonMalformed
		}
		e.program, e.flow.State = program, state
	}
	reason, sure := g.config.Stands(program, e.flow, e.grant)
	return reason.Allows() || !sure, reason
}

// place reads the path of a request line that was read before.
func place(program *policy.Program, line []byte) (state uint16, ok bool) {
	m := policy.NewMachine()
	m.Begin(program, 0, 0)
	block := append(bytes.Clone(line), " HTTP/1.1\r\nhost: -\r\n\r\n"...)
	_, complete, refusal := m.Feed(block)
	return m.Flow().State, complete && refusal == policy.ReasonAllowed
}

// holder has exchanges under way: a connection of HTTP/1.1, or one stream.
type holder interface {
	// review ends those that about selects and that do not stand any more.
	review(about func(*exchange) bool)
	// sweep ends what is idle or orphaned of a subject.
	sweep(subject policy.Subject)
	// patrol ends what has been silent for too long.
	patrol(nowNs int64)
	// close ends everything at once.
	close()
	// leave ends as soon as nothing is under way.
	leave()
}

// changes are what has changed since the exchanges were last reviewed. A burst
// of writes is one review.
type changes struct {
	mu       sync.Mutex
	all      bool                        // guarded by mu
	subjects map[policy.Subject]struct{} // guarded by mu
	wake     chan struct{}
}

func newChanges() *changes {
	return &changes{subjects: map[policy.Subject]struct{}{}, wake: make(chan struct{}, 1)}
}

func (c *changes) add(subject policy.Subject, all bool) {
	c.mu.Lock()
	if all {
		c.all = true
	} else {
		c.subjects[subject] = struct{}{}
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *changes) take() (all bool, subjects map[policy.Subject]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, subjects = c.all, c.subjects
	c.all, c.subjects = false, map[policy.Subject]struct{}{}
	return all, subjects
}

// Review decides anew about what is under way for a subject whose rows have
// changed. It does not wait.
func (g *Gate) Review(subject policy.Subject) { g.changes.add(subject, false) }

// ReviewAll does so for everybody: the policy, the tables or the lease changed.
func (g *Gate) ReviewAll() { g.changes.add(policy.Subject{}, true) }

// review follows the changes until the context ends.
func (g *Gate) review(ctx context.Context) {
	for {
		select {
		case <-g.changes.wake:
		case <-ctx.Done():
			return
		}
		all, subjects := g.changes.take()
		about := func(e *exchange) bool {
			_, named := subjects[e.grant.Subject]
			return all || named
		}
		for _, h := range g.holders() {
			h.review(about)
		}
	}
}
