package eventstream

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// callsAtOnce bounds the clients that are told at the same time: one that does not
// answer takes a place for pushWait.
const callsAtOnce = 32

// calls tells clients of sessions that have ended (OpenID Connect Back-Channel Logout).
// Who is to be told stands in the state, so another leader goes on where one was lost;
// a client may hear of an end twice.
type calls struct {
	mu    sync.Mutex
	tries map[directory.SessionID]*try // guarded by mu
	busy  int                          // guarded by mu
	ended sync.WaitGroup
}

// try is how telling one client went so far.
type try struct {
	calling bool
	retries int
	next    time.Time
}

func newCalls() *calls { return &calls{tries: map[directory.SessionID]*try{}} }

// begin reports whether it is time to tell, and takes a place for it.
func (c *calls) begin(id directory.SessionID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.tries[id]
	if !ok {
		t = &try{}
		c.tries[id] = t
	}
	if t.calling || now.Before(t.next) || c.busy >= callsAtOnce {
		return false
	}
	t.calling = true
	c.busy++
	return true
}

// end gives the place back; what was told is forgotten.
func (c *calls) end(id directory.SessionID, told bool, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if told {
		delete(c.tries, id)
		return
	}
	t := c.tries[id]
	t.calling, t.next = false, next
	t.retries++
}

// forget lets go of what another leader does now; tries that are under way end.
func (c *calls) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, t := range c.tries {
		if !t.calling {
			delete(c.tries, id)
		}
	}
}

func (c *calls) retries(id directory.SessionID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries[id].retries
}

// call begins to tell whoever is due.
func (s *Streams) call(ctx context.Context, c *calls) {
	now := time.Now()
	s.Gate.Root().EachOrg(directory.OrgID{}, func(org *state.Org) bool {
		org.EachUntold(func(session *directory.Session) bool {
			if c.begin(session.ID, now) {
				c.ended.Go(func() { s.tellOne(ctx, c, org, session) })
			}
			return true
		})
		return ctx.Err() == nil
	})
}

// tellOne tells one client once. It is done when the client has heard, has refused to
// hear it, or was out of reach for too long.
func (s *Streams) tellOne(ctx context.Context, c *calls, org *state.Org, session *directory.Session) {
	failure, done := s.tellLogout(ctx, org, session)
	over := directory.TimeOf(time.Now()) >= session.Ended.Add(directory.LogoutWait)
	if failure != "" {
		s.Log.WarnContext(ctx, "a client was not told of the end of a session", "organization", org.ID(), "client", session.Client, "because", failure, "given_up", done || over)
	}
	if done = done || over; done {
		_, err := s.Gate.ProposeAsNode(ctx, org.ID(), &fsm.ToldLogout{ID: session.ID})
		done = err == nil || directory.KindOf(err) == directory.KindNotFound
	}
	c.end(session.ID, done, time.Now().Add(s.bounds.backoff(c.retries(session.ID))))
}

// tellLogout says why the client has not heard, and whether there is no use in telling
// it again.
func (s *Streams) tellLogout(ctx context.Context, org *state.Org, session *directory.Session) (failure string, done bool) {
	logout, wanted, err := s.Tokens.LogoutOf(org, session)
	if err != nil {
		return "the token could not be signed", false
	}
	if !wanted {
		return "", true
	}
	body := url.Values{"logout_token": {logout.Token}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, logout.URL, strings.NewReader(body))
	if err != nil {
		return "the URL cannot be called", true
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.client.Do(r)
	if err != nil {
		return unreachable(err), false
	}
	res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		return "", true
	case http.StatusBadRequest: // the client has read it, and will not do it (section 2.8)
		return "the client has refused", true
	}
	return "the client answers " + http.StatusText(res.StatusCode), false
}
