package journal

import (
	"container/list"
	"sync"
	"time"

	"github.com/authfi/authfi/api/scim/redact"
	"github.com/authfi/authfi/directory"
)

// Bounds of what a node remembers. In all they are some 45 MB, which a node has to
// spare, and only one whose every connection is busy comes near.
const (
	// ConnectionsMax bounds the connections that have counts, of about 1.5 KB each.
	// The one that was silent for longest is forgotten first.
	ConnectionsMax = 8192
	// BodyMax bounds a body that is kept, in bytes: a user and a change of some hundred
	// members fit. Of a larger one only the size is kept.
	BodyMax = 32 << 10
	// RequestsMax bounds the requests kept of one connection: an hour of one that is
	// not in its initial cycle.
	RequestsMax = 1000
	// ConnectionBytesMax bounds the bytes of them, so that one organization cannot
	// push out what is remembered of the others.
	ConnectionBytesMax = 1 << 20
	// BytesMax bounds the bytes of all requests.
	BytesMax = 32 << 20
)

// Journal is one node's memory. It is safe for concurrent use; its lock is held for
// the change of a few counts or to list what is wanted, and never while anything is
// redacted.
type Journal struct {
	node   string
	derive func(purpose string) [32]byte
	began  time.Time

	mu    sync.Mutex
	of    map[directory.ConnectionID]*connection // guarded by mu, as all that follows
	quiet list.List                              // of *connection, silent for longest at the front
	kept  list.List                              // of *kept, oldest at the front
	bytes int
	last  uint64 // number of the last request
	// forgot is true once a connection was forgotten: of one that is new since then
	// nobody knows whether it is.
	forgot bool
}

// New takes the name of the node and what makes a key for a purpose, the same on
// every node of a cluster, so that what they remember of a conversation fits together.
func New(node string, derive func(purpose string) [32]byte, now time.Time) *Journal {
	return &Journal{node: node, derive: derive, began: now, of: map[directory.ConnectionID]*connection{}}
}

// connection is what is remembered of one.
type connection struct {
	org      directory.OrgID
	id       directory.ConnectionID
	redactor *redact.Redactor
	place    *list.Element // in quiet
	state    State
	window   window
	kept     []*kept // oldest first
	bytes    int
}

// kept is a request with its places, by which it is forgotten.
type kept struct {
	log
	of    *connection
	place *list.Element // in kept
}

// connected finds a connection or begins to remember it. The caller holds the lock.
func (j *Journal) connected(org directory.OrgID, id directory.ConnectionID, now time.Time) *connection {
	c, ok := j.of[id]
	if ok {
		j.quiet.MoveToBack(c.place)
		return c
	}
	for len(j.of) >= ConnectionsMax {
		j.forget(j.quiet.Front().Value.(*connection))
	}
	since := j.began
	if j.forgot {
		since = now
	}
	c = &connection{
		org:      org,
		id:       id,
		redactor: redact.New(j.derive("scim request log " + org.String() + " " + id.String())),
		state:    State{Since: since, Tokens: map[string]time.Time{}},
	}
	c.place = j.quiet.PushBack(c)
	j.of[id] = c
	return c
}

func (j *Journal) forget(c *connection) {
	for len(c.kept) > 0 {
		j.drop(c.kept[0])
	}
	j.quiet.Remove(c.place)
	delete(j.of, c.id)
	j.forgot = true
}

// drop forgets a request, the oldest of its connection.
func (j *Journal) drop(k *kept) {
	k.of.kept[0] = nil
	k.of.kept = k.of.kept[1:]
	k.of.bytes -= k.size()
	j.bytes -= k.size()
	j.kept.Remove(k.place)
}

// Record remembers a request of a connection that was answered.
func (j *Journal) Record(s *Seen) {
	j.mu.Lock()
	c := j.connected(s.Org, s.Connection, s.Answered)
	c.count(s)
	redactor := c.redactor
	j.mu.Unlock()

	l := logged(s, redactor)
	l.node = j.node

	j.mu.Lock()
	defer j.mu.Unlock()
	if j.of[s.Connection] != c {
		return // forgotten meanwhile
	}
	j.last++
	l.number = j.last
	j.keep(c, l)
}

// keep takes a request in and forgets the oldest ones for it: of the connection, and
// then of all, which are the oldest of their connections, too.
func (j *Journal) keep(c *connection, l log) {
	k := &kept{log: l, of: c}
	k.place = j.kept.PushBack(k)
	c.kept = append(c.kept, k)
	c.bytes += k.size()
	j.bytes += k.size()
	for len(c.kept) > RequestsMax || c.bytes > ConnectionBytesMax {
		j.drop(c.kept[0])
	}
	for j.bytes > BytesMax {
		j.drop(j.kept.Front().Value.(*kept))
	}
}

// Refused remembers that somebody showed a token that named a connection and is not
// one of its tokens. Nothing else of such a request is kept: anybody may have sent it.
func (j *Journal) Refused(org directory.OrgID, id directory.ConnectionID, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.connected(org, id, now)
	c.state.LastRefused = now
	c.window.at(now).refused++
}

// Question is what is asked of the journals of all nodes.
type Question struct {
	Org        directory.OrgID
	Connection directory.ConnectionID
	// Requests is how many requests are wanted; zero: the state.
	Requests int
	// Before is the place of the oldest request already seen; zero: from the newest on.
	Before Place
}

// Answer is one node's. Of a node that does not answer only the name is known.
type Answer struct {
	Node      string
	Reachable bool
	State     State
	Requests  []Request // newest first
}

// Answer answers for this node. A connection that it does not know has no counts,
// since the node began or, if it may have been forgotten, since now.
func (j *Journal) Answer(q Question, now time.Time) Answer {
	a, wanted, redactor := j.find(q, now)
	for _, l := range wanted {
		a.Requests = append(a.Requests, l.request(redactor))
	}
	return a
}

func (j *Journal) find(q Question, now time.Time) (a Answer, wanted []log, r *redact.Redactor) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a = Answer{Node: j.node, Reachable: true, State: State{Since: j.began}}
	if j.forgot {
		a.State.Since = now
	}
	c, ok := j.of[q.Connection]
	switch {
	case !ok || c.org != q.Org:
	case q.Requests > 0:
		return a, c.before(q.Before, q.Requests), c.redactor
	default:
		a.State = c.report(now)
	}
	return a, nil, nil
}
