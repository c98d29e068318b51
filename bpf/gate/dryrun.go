package gate

import (
	"context"
	"net"

	"github.com/authfi/authfi/bpf/policy"
)

// In a dry run the gate decides and counts as ever, and lets everything through that
// it can pass on. It is the service's state now that counts, not that of when the
// request began: a dry run that has ended lets nothing more through, and what is under
// way is asked about again.

func (g *Gate) dryRun() bool { return g.config.Program().DryRun() }

// told counts a verdict on an exchange and passes it on. One without a line could not
// be read.
func (g *Gate) told(e *exchange, reason policy.Reason) {
	g.mu.Lock()
	g.counts[reason]++
	g.mu.Unlock()
	if g.config.Told == nil {
		return
	}
	flow := &e.flow
	if e.line == nil {
		flow = nil
	}
	g.config.Told(e.program, flow, reason, e.grant.Subject)
}

// told does so for the request that is being read.
func (c *conn) told(reason policy.Reason) {
	e := exchange{program: c.program, grant: Grant{Subject: c.subject}}
	if c.flow != nil {
		e.line, e.flow = []byte{}, *c.flow
	}
	c.gate.told(&e, reason)
}

// passRaw sends on a request that the gate cannot rewrite or follow, as it came, and
// whatever comes behind it.
func (c *conn) passRaw(ctx context.Context, reason policy.Reason, block []byte) error {
	c.told(reason)
	if err := c.reach(ctx); err != nil {
		c.gate.unreachable(err)
		return c.refuse(policy.ReasonUpstream)
	}
	c.leaveUnread()
	return c.forward(block)
}

// passUnread does so with what is no request that two parsers would read alike: where
// the next request begins, nobody can tell.
func (c *conn) passUnread(ctx context.Context, reason policy.Reason, rest []byte) error {
	c.flow, c.subject = nil, policy.Subject{}
	block := append(c.held, rest...)
	c.held = nil
	return c.passRaw(ctx, reason, block)
}

// leaveUnread gives up reading requests. The machine is at rest: none is half read.
func (c *conn) leaveUnread() {
	c.machine = policy.NewMachine()
	c.blockSince.Store(0)
	c.opaque.Store(true)
}

// takeUnread sends on what can no longer be read, for as long as the dry run lasts.
func (c *conn) takeUnread(p []byte) error {
	if c.unreadEnded() {
		return net.ErrClosed
	}
	if len(p) == 0 {
		return nil
	}
	return c.forward(p)
}

func (c *conn) unreadEnded() bool { return c.opaque.Load() && !c.gate.dryRun() }

// orphan notes what a sweep would have ended.
func (c *conn) orphan(subject policy.Subject) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.pending {
		if c.gate.orphaned(&c.pending[i], subject) {
			c.pending[i].orphan = true
		}
	}
}
