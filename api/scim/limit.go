package scim

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
	"golang.org/x/time/rate"
)

// What one organization may ask of one node. Microsoft wants 25 requests a second
// from everybody, and a server that says 429 earlier is put into quarantine; a
// cluster on two CPUs does some 2,000 changes a second for all. So this stops nobody
// who provisions, and keeps one who sends without end from what the others share.
const (
	requestRate  = 1_000 // a second
	requestBurst = 4_000
)

// limits are the organizations' shares, each made at its first request and forgotten
// when it is whole again.
type limits struct {
	mu   sync.Mutex // held for a look at a map, never for a request
	at   map[directory.OrgID]*rate.Limiter
	next time.Time // of forgetting
}

// forgetEvery is how long an organization's share is kept after it was last used, at
// most twice: longer than it takes to be whole again.
const forgetEvery = 10 * time.Second

// take counts n requests of an organization; wait is how long until there is room for
// them again, when there is none.
func (l *limits) take(org directory.OrgID, n int, now time.Time) (wait time.Duration) {
	reserved := l.of(org, now).ReserveN(now, n)
	if wait = reserved.DelayFrom(now); wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

func (l *limits) of(org directory.OrgID, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[directory.OrgID]*rate.Limiter{}
	}
	if now.After(l.next) {
		for id, limiter := range l.at {
			if limiter.TokensAt(now) >= requestBurst {
				delete(l.at, id)
			}
		}
		l.next = now.Add(forgetEvery)
	}
	limiter, ok := l.at[org]
	if !ok {
		limiter = rate.NewLimiter(requestRate, requestBurst)
		l.at[org] = limiter
	}
	return limiter
}

// limit refuses what is more than the organization's share.
func (r *request) limit(n int) error {
	wait := r.server.limits.take(r.org, n, time.Now())
	if wait == 0 {
		return nil
	}
	r.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	return &failure{status: http.StatusTooManyRequests, detail: "this organization sends more than " + strconv.Itoa(requestRate) + " requests a second to this node"}
}
