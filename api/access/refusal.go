package access

import (
	"context"
	"sync"
	"time"

	"github.com/authfi/authfi/fsm"
)

// Bounds of recording what was refused before anything was proposed. A node
// proposes RefusalsPerMinute at most, whoever sends them: a broken connector
// repeats itself as fast as it can.
const (
	RefusalsPerMinute = 60
	refusalWait       = time.Second // what the answer waits for the record at most
)

// pace lets a number through per minute.
type pace struct {
	mu    sync.Mutex
	since time.Time // guarded by mu
	count int       // guarded by mu
}

func (p *pace) allow(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= time.Minute || now.Before(p.since) {
		p.since, p.count = now, 0
	}
	p.count++
	return p.count <= RefusalsPerMinute
}

// RecordRefusal puts a request that was refused before its proposal into the log
// of the caller's organization. What the machine itself has refused stands there
// already. It reports whether there is an entry.
func (g *Gate) RecordRefusal(ctx context.Context, caller Caller, op Operation, refusal *fsm.RecordRefusal) bool {
	origin := OriginOf(ctx)
	if origin != nil && origin.decided.Load() {
		return true
	}
	if caller.Org.IsZero() || !g.refusals.allow(g.now()) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalWait)
	defer cancel()
	_, err := g.propose(ctx, &fsm.Envelope{
		Org: caller.Org, Actor: caller.Actor, Source: caller.Source, Operation: string(op), Command: refusal,
	})
	return err == nil
}
