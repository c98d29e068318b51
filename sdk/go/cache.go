package authfi

import (
	"sync"
	"time"
)

// seenMax bounds the verified tokens that are remembered: two generations of so
// many, some 2 KiB each.
const seenMax = 5_000

// held is a token that was verified, and what a node has said of it.
type held struct {
	user *User

	asking sync.Mutex // one question at a time; guards asked and reply
	asked  time.Time
	reply  reply

	confirmed uint64 // index at which a node vouched for it; guarded by Auth.mu
	told      *User  // of a token by reference, with what a node has told last; likewise
}

// cache remembers verified tokens by their whole text. When a generation is full
// the one before it is forgotten.
type cache struct{ young, old map[string]*held }

func (c *cache) get(token string) *held {
	if h := c.young[token]; h != nil {
		return h
	}
	h := c.old[token]
	if h != nil {
		c.put(token, h) // used again: it stays
	}
	return h
}

func (c *cache) put(token string, h *held) {
	if c.young == nil || len(c.young) >= seenMax {
		c.old, c.young = c.young, make(map[string]*held)
	}
	c.young[token] = h
}
