package cluster

import (
	"context"
	"sync"
)

// position is the applied index as waiters see it. Raft's own applied index
// says what was handed to the machine, which may still be at work on it.
type position struct {
	mu    sync.Mutex
	index uint64
	moved chan struct{} // closed when index moves
}

func newPosition(index uint64) *position {
	return &position{index: index, moved: make(chan struct{})}
}

func (p *position) get() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.index
}

func (p *position) set(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index = index
	close(p.moved)
	p.moved = make(chan struct{})
}

func (p *position) wait(ctx context.Context, closing <-chan struct{}, index uint64) error {
	for {
		p.mu.Lock()
		reached, moved := p.index, p.moved
		p.mu.Unlock()
		if reached >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-closing:
			return ErrClosed
		}
	}
}
