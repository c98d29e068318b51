package authfi

import "time"

const typeHeartbeat = "heartbeat+jwt"

// proofLife bounds that of a heartbeat's proof: three heartbeats.
const proofLife = 15 * time.Second

// proves reports whether a key has signed, a moment ago, that everything of the
// organization up to an index was told. Without that, whoever stands between could keep
// a follower in the past by telling it old heartbeats.
func (r rules) proves(e envelope, k *key, index uint64, now time.Time) bool {
	payload, ok := decode(e.payload)
	if !ok || !e.verifies(k) {
		return false
	}
	o, err := parseObject(payload)
	if err != nil {
		return false
	}
	issuer, _ := text(o["iss"])
	org, _ := text(o["org_id"])
	told, ok := indexOf(o["index"])
	issued, okIssued := number(o["iat"])
	expires, okExpires := number(o["exp"])
	return issuer == r.issuer && org == r.org && ok && told == index && okIssued && okExpires &&
		expires-issued <= proofLife.Seconds() && float64(now.UnixNano())/1e9 < expires+r.skew.Seconds()
}

// beat is a heartbeat and when it was heard.
type beat struct {
	message
	heard time.Time
}

// heartbeat takes one in, if it is proven. One that is not changes nothing: neither how
// fresh the feed is nor the place to go on from. One whose key is not known waits until
// the keys have been fetched.
func (a *Auth) heartbeat(b beat) (proven bool) {
	e, ok := open(b.Proof, typeHeartbeat)
	if !ok {
		return a.unproven(b)
	}
	a.mu.Lock()
	k, found := a.keys.find(e.kid, a.now())
	if found != keyKnown {
		a.waiting = &b
	}
	a.mu.Unlock()
	if found == keyFetch {
		a.fetch()
	}
	if found != keyKnown {
		return false
	}
	if !a.config.rules().proves(e, k, b.Index, a.now()) {
		return a.unproven(b)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.feed.hear(b.message, b.heard)
	a.markReady()
	a.look()
	return true
}

func (a *Auth) unproven(b beat) bool {
	a.config.Log.Warn("authfi: a heartbeat without a good proof", "node", a.nodes.base(), "index", b.Index)
	return false
}

// heartbeatAgain looks after a fetch at the heartbeat that has waited for it. One that
// has failed is waited for no longer than the proof is good.
func (a *Auth) heartbeatAgain() {
	a.mu.Lock()
	b, found := a.waiting, keyUnknown
	if b != nil {
		e, _ := open(b.Proof, typeHeartbeat) // it could be opened before
		_, found = a.keys.settle(e.kid, a.now())
	}
	if found != keyUnavailable {
		a.waiting = nil
	}
	a.mu.Unlock()
	if found == keyKnown {
		a.heartbeat(*b)
	}
}
