package authfi

import (
	"context"
	"errors"
	"time"
)

// Limits of what stays open.
const (
	// watchEvery is how long a connection may stay open without another look at its
	// token, while the feed says nothing.
	watchEvery = time.Second
	// questionsMax bounds the nodes' work for connections that stay open: so many
	// questions at once, and the next ones wait.
	questionsMax = 16
)

// Call is what an adapter knows of a request.
type Call struct {
	Authorization []string // the values of the header, all of them
	Mutating      bool     // while nobody can be asked, reading goes on longer
	Permissions   []string // all of them are needed
}

// Enter is below every adapter. It says who calls, or the Refusal; the context holds
// the user, and ends with the Refusal as its cause when the same call would not be
// let in any more. Who has entered calls leave at the end.
func (a *Auth) Enter(ctx context.Context, c Call) (inside context.Context, leave context.CancelFunc, err error) {
	token, refusal := bearer(c.Authorization)
	if refusal != nil {
		return nil, nil, refusal
	}
	u, err := a.Verify(ctx, token, c.Mutating)
	if err != nil {
		return nil, nil, err
	}
	if missing := u.Permissions.missing(c.Permissions); len(missing) > 0 {
		return nil, nil, &Refusal{Code: InsufficientPermission, Required: c.Permissions, Missing: missing}
	}
	inside, leave = a.Watch(context.WithValue(ctx, userKey{}, u), u, c.Mutating)
	return inside, leave, nil
}

// Watch gives a context that ends when the user's token would be refused: at once
// when the feed says so, and within a second when it runs out or the posture wants
// it. The cause is the Refusal. It is for connections that outlive the handler that
// was entered; release frees it.
func (a *Auth) Watch(ctx context.Context, u *User, mutating bool) (watched context.Context, release context.CancelFunc) {
	watched, end := context.WithCancelCause(ctx)
	w := &watch{user: u, mutating: mutating, end: end}
	a.mu.Lock()
	a.watches[w] = struct{}{}
	a.glanceAt(w) // what has changed since the token was verified
	a.mu.Unlock()
	return watched, func() {
		a.mu.Lock()
		delete(a.watches, w)
		a.mu.Unlock()
		end(context.Canceled)
	}
}

// watch is a call under way.
type watch struct {
	user     *User // guarded by Auth.mu, but for its token
	mutating bool
	end      context.CancelCauseFunc
	asking   bool // guarded by Auth.mu
}

// look has every watch looked at soon: one look for all the changes of a moment. It
// is called with the lock held.
func (a *Auth) look() {
	a.toLook = true
	select {
	case a.looking <- struct{}{}:
	default:
	}
}

// keepWatches looks at what stays open when something has changed, and every second.
func (a *Auth) keepWatches(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	questions := make(chan struct{}, questionsMax)
	for {
		select {
		case <-a.looking:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, w := range a.glance() {
			a.done.Go(func() { a.question(ctx, w, questions) })
		}
	}
}

// glance ends what is refused without asking anybody, and gives what has to be asked
// about.
func (a *Auth) glance() (asking []*watch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.toLook = false
	for w := range a.watches {
		if a.glanceAt(w) == ask && !w.asking {
			w.asking = true
			asking = append(asking, w)
		}
	}
	return asking
}

// glanceAt is called with the lock held, as endWatch is.
func (a *Auth) glanceAt(w *watch) Code {
	code := a.judgeAtOnce(w)
	if code != "" && code != ask {
		a.endWatch(w, &Refusal{Code: code})
	}
	return code
}

func (a *Auth) judgeAtOnce(w *watch) Code {
	now := a.now()
	if !w.user.current(now, a.config.Skew) {
		return InvalidToken
	}
	h := a.seen.get(w.user.Token)
	if h == nil || now.Sub(a.keys.fetched) > staleMax {
		return ask // other keys than those that it was verified with
	}
	return a.config.Posture.decide(a.beatAge(), a.feed.judge(w.user, h.confirmed), w.mutating, replyNone)
}

func (a *Auth) endWatch(w *watch, refusal error) {
	delete(a.watches, w)
	w.end(refusal)
}

// question verifies a token anew, as a request with it would. What was let in by rights
// that are others now begins anew: nobody knows here which of them it needs.
func (a *Auth) question(ctx context.Context, w *watch, questions chan struct{}) {
	select {
	case questions <- struct{}{}:
		defer func() { <-questions }()
	case <-ctx.Done():
		return
	}
	u, err := a.Verify(ctx, w.user.Token, w.mutating)
	a.mu.Lock()
	defer a.mu.Unlock()
	w.asking = false
	refusal := new(Refusal)
	switch {
	case errors.As(err, &refusal):
		a.endWatch(w, refusal)
	case err == nil && !u.Permissions.equal(w.user.Permissions):
		a.endWatch(w, &Refusal{Code: TokenStale})
	case err == nil:
		w.user = u
	}
}
