package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// Origin is where a request came from, for the audit log and for measuring.
type Origin struct {
	Address  string // the client's, as the connection has it
	Trace    directory.TraceID
	Received time.Time // its first byte, by this node's clocks

	decided atomic.Bool // the machine has answered a proposal of the request
}

// NewOrigin names a request that was received at a time.
func NewOrigin(address string, received time.Time) *Origin {
	o := &Origin{Address: address, Received: received}
	if _, err := rand.Read(o.Trace[:]); err != nil {
		panic("access: no randomness: " + err.Error()) // crypto/rand documents that it never fails
	}
	return o
}

type originKey struct{}

// WithOrigin hands the origin on to whatever the request proposes.
func WithOrigin(ctx context.Context, o *Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf is nil for what no request has caused.
func OriginOf(ctx context.Context) *Origin {
	o, _ := ctx.Value(originKey{}).(*Origin)
	return o
}

// stamp puts the origin into an envelope. A command that no row of the table
// stands for, such as a timer's, is named by itself.
func (o *Origin) stamp(env *fsm.Envelope) {
	if env.Operation == "" {
		env.Operation = "node." + strings.TrimPrefix(fmt.Sprintf("%T", env.Command), "*fsm.")
	}
	if o != nil {
		env.Origin, env.Trace, env.Received = o.Address, o.Trace, directory.TimeOf(o.Received)
	}
}

// answered notes that the machine has recorded what became of a proposal.
func (g *Gate) answered(o *Origin) {
	if o == nil {
		return
	}
	o.decided.Store(true)
	if g.observe != nil {
		g.observe(o)
	}
}

// Observe sets who is told of the origin of every proposal that was applied. It
// is called once, before the gate is used.
func (g *Gate) Observe(observe func(*Origin)) { g.observe = observe }
