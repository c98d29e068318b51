package login

import (
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
)

const (
	// pollInterval is how often a device may ask.
	pollInterval = 5 * time.Second
	// pollGrowth is what it must wait longer each time that it comes too early (RFC 8628,
	// section 3.5).
	pollGrowth = 5 * time.Second
	// pollEarly is how much too early is not: a device counts from when it heard, and a
	// network carries one request faster than another.
	pollEarly = time.Second
	// pollsMax are the devices that a node remembers: the most that ten organizations can
	// have at a time. Beyond, one that is forgotten may come early once more.
	pollsMax = 10 * directory.DevicesMax
)

// polls are the devices that wait for a person and ask meanwhile. Each node counts those
// that come to it, in memory: a device that asks three nodes in turn is as good as three,
// and a node that starts again takes each for new. That costs a read, and an entry of the
// log for each question would cost what it is to save.
type polls struct {
	mu    sync.Mutex
	known map[pollKey]poll // guarded by mu
}

// pollKey names a device's request.
type pollKey struct {
	org directory.OrgID
	key [16]byte
}

type poll struct {
	asked    time.Time // the last time
	interval time.Duration
	until    time.Time // nobody can decide any more
}

// early reports whether a device asks sooner than it may.
func (p *polls) early(key pollKey, until, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[pollKey]poll{}
	}
	last, again := p.known[key]
	next := poll{asked: now, interval: pollInterval, until: until}
	early := false
	if again {
		next.interval = last.interval
		if early = now.Sub(last.asked) < last.interval-pollEarly; early {
			next.interval += pollGrowth
		}
	} else {
		p.makeRoom(now)
	}
	p.known[key] = next
	return early
}

// makeRoom forgets what is over, and if that is not enough any one.
func (p *polls) makeRoom(now time.Time) {
	if len(p.known) < pollsMax {
		return
	}
	for key, known := range p.known {
		if !now.Before(known.until) {
			delete(p.known, key)
		}
	}
	for key := range p.known {
		if len(p.known) < pollsMax {
			return
		}
		delete(p.known, key)
	}
}

// over forgets a device that somebody has decided on.
func (p *polls) over(key pollKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, key)
}
