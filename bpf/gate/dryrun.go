package gate

import (
	"context"
	"net"

	"github.com/authfi/authfi/bpf/policy"
)

// In a dry run the gate decides and counts as ever, and lets everything through. It is
// the service's state now that counts, not that of when the request began: a dry run
// that has ended lets nothing more through.

func (c *conn) dryRun() bool { return c.gate.config.Program().DryRun() }

// told counts a verdict and passes it on.
func (c *conn) told(reason policy.Reason) {
	c.gate.count(reason)
	if told := c.gate.config.Told; told != nil {
		told(c.program, c.flow, reason, c.subject)
	}
}

// passRefused sends on a request whatever its verdict is. One that changes protocols
// is followed no further. Nobody's connection is ended for losing access.
func (c *conn) passRefused(reason policy.Reason) error {
	c.told(reason)
	if err := c.pass(); err != nil || !c.flow.Upgrade {
		return err
	}
	c.leaveUnread()
	return nil
}

// leaveUnread gives up reading requests. The machine is at rest: none is half read.
func (c *conn) leaveUnread() {
	c.machine = policy.NewMachine()
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

func (c *conn) unreadEnded() bool { return c.opaque.Load() && !c.dryRun() }

// passUnread sends on what is no request that two parsers would read alike, and with
// it the rest of the connection: where the next request begins, nobody can tell.
func (c *conn) passUnread(ctx context.Context, reason policy.Reason, rest []byte) error {
	c.flow, c.subject = nil, policy.Subject{}
	c.told(reason)
	if err := c.connect(ctx); err != nil {
		c.gate.config.Logger.Warn("service unreachable", "upstream", c.gate.config.Upstream, "error", err)
		return c.refuse(policy.ReasonInternal)
	}
	c.leaveUnread()
	held := append(c.held, rest...)
	c.held = nil
	return c.forward(held)
}
