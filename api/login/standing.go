package login

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// standingMax are the standing sessions that a node remembers. One that is forgotten is
// found again in the state, at the price of a walk over the account's sessions.
const standingMax = 10_000

// standingLevel is the feature level that has standing sessions.
const standingLevel directory.Level = 2

// standing are the sessions of client credentials that a node knows to mint tokens in. It
// is a memory of where to look and nothing more: what is found is looked at in the state
// that the request was answered from.
type standing struct {
	mu    sync.Mutex
	known map[standingKey]*stand // guarded by mu
}

// standingKey is what the tokens of one session have in common.
type standingKey struct {
	org    directory.OrgID
	client directory.ClientID
	wish   [32]byte // SHA-256 of what the tokens may do
}

// stand is the place of one session.
type stand struct {
	turn chan struct{} // holds one token: who has it may begin a session
	id   atomic.Pointer[directory.SessionID]
}

func (s *standing) place(key standingKey) *stand {
	s.mu.Lock()
	defer s.mu.Unlock()
	place, ok := s.known[key]
	if ok {
		return place
	}
	if s.known == nil {
		s.known = map[standingKey]*stand{}
	}
	for other := range s.known {
		if len(s.known) < standingMax {
			break
		}
		delete(s.known, other)
	}
	place = &stand{turn: make(chan struct{}, 1)}
	s.known[key] = place
	return place
}

// wanted is what a standing session must be for a request.
type wanted struct {
	client *directory.Client
	wish   wish
	now    time.Time
}

func (w *wanted) placeIn(org directory.OrgID) standingKey {
	sum := sha256.New()
	if w.wish.bounded {
		sum.Write([]byte{1})
	}
	for _, p := range w.wish.permissions {
		sum.Write([]byte(p))
		sum.Write([]byte{0}) // no name has it
	}
	return standingKey{org, w.client.ID, [32]byte(sum.Sum(nil))}
}

// fits reports whether tokens for the request may be minted in a session, for their whole
// life.
func (w *wanted) fits(org *state.Org, s *directory.Session) bool {
	end := s.Expires(org.Record().SignIn).Std()
	return s.Standing() && s.Ended == 0 && end.Sub(w.now) >= directory.AccessTokenLife &&
		s.Client == w.client.ID && s.User == w.client.Account &&
		s.Bounded == w.wish.bounded && slices.Equal(s.Permissions, w.wish.permissions)
}

// remembered is the session of a place, if it still fits.
func (w *wanted) remembered(org *state.Org, place *stand) (*directory.Session, bool) {
	id := place.id.Load()
	if id == nil {
		return nil, false
	}
	s, ok := org.Session(*id)
	return s, ok && w.fits(org, s)
}

// stands finds a session in which tokens for a request may be minted, or begins one; those
// who come meanwhile wait for it. The organization is the one that the session was found
// in, which is no older than the one that was asked about.
func (s *Sessions) stands(ctx context.Context, org *state.Org, w *wanted) (*state.Org, *directory.Session, error) {
	place := s.standing.place(w.placeIn(org.ID()))
	if session, ok := w.remembered(org, place); ok {
		return org, session, nil
	}
	select {
	case place.turn <- struct{}{}:
		defer func() { <-place.turn }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	org, ok := s.gate.Root().Org(org.ID())
	if !ok {
		return nil, nil, errClient()
	}
	if session, ok := w.remembered(org, place); ok {
		return org, session, nil
	}
	id, err := s.stand(ctx, org, w)
	if err != nil {
		return nil, nil, err
	}
	place.id.Store(&id)
	if org, ok = s.gate.Root().Org(org.ID()); !ok {
		return nil, nil, errClient()
	}
	session, ok := w.remembered(org, place)
	if !ok { // it has ended again
		return nil, nil, errClient()
	}
	return org, session, nil
}

// stand is a session that another node has begun, or a new one.
func (s *Sessions) stand(ctx context.Context, org *state.Org, w *wanted) (id directory.SessionID, err error) {
	org.EachUserSession(w.client.Account, func(one *directory.Session) bool {
		if w.fits(org, one) {
			id = one.ID
		}
		return id.IsZero()
	})
	if !id.IsZero() {
		return id, nil
	}
	id = access.NewID[directory.SessionID](w.now)
	_, err = s.gate.ProposeAsNode(ctx, org.ID(), &fsm.StartSession{
		ID: id, User: w.client.Account, Client: w.client.ID, Bounded: w.wish.bounded, Permissions: w.wish.permissions, Standing: true,
	})
	return id, err
}
