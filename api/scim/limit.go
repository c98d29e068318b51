package scim

import (
	"context"
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
	at   map[directory.OrgID]*share
	next time.Time // of forgetting
}

// share is an organization's.
type share struct {
	*rate.Limiter
	// scanning has room for the one long walk that is under way, while which the share is
	// not forgotten.
	scanning chan struct{}
}

// scanFree is how many resources a request looks at before it counts as a long walk: what
// takes some milliseconds needs no queue.
const scanFree = 8 * checkEvery

// scan waits until no other long walk of the organization is under way on this node. What
// no index answers costs a look at every user, a tenth of a second and more for 100,000:
// one organization may so fill one processor, and no more, however much it asks. What is
// answered from an index never waits, and nobody waits for another organization.
func (l *limits) scan(ctx context.Context, org directory.OrgID) (done func(), err error) {
	scanning := l.of(org, time.Now()).scanning
	select {
	case scanning <- struct{}{}:
		return func() { <-scanning }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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

func (l *limits) of(org directory.OrgID, now time.Time) *share {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[directory.OrgID]*share{}
	}
	if now.After(l.next) {
		for id, s := range l.at {
			if s.TokensAt(now) >= requestBurst && len(s.scanning) == 0 {
				delete(l.at, id)
			}
		}
		l.next = now.Add(forgetEvery)
	}
	s, ok := l.at[org]
	if !ok {
		s = &share{rate.NewLimiter(requestRate, requestBurst), make(chan struct{}, 1)}
		l.at[org] = s
	}
	return s
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
