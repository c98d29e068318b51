package gate

import (
	"errors"
	"net"
	"sync"
	"time"
)

// framed is a client's connection of HTTP/2. It counts the frames that cost the
// gate work and carry nothing, since net/http bounds what a client may make it
// hold but not what it may make it do.
type framed struct {
	net.Conn
	from  *origin
	first []byte // read before
	done  chan struct{}
	once  sync.Once
	guard frameGuard
}

func newFramed(client net.Conn, first []byte, from *origin) *framed {
	return &framed{Conn: client, from: from, first: first, done: make(chan struct{})}
}

func (f *framed) origin() *origin { return f.from }

// Read implements net.Conn; it has one caller at a time.
func (f *framed) Read(p []byte) (n int, err error) {
	if len(f.first) > 0 {
		n = copy(p, f.first)
		f.first = f.first[n:]
	} else {
		n, err = f.Conn.Read(p)
	}
	if !f.guard.allows(p[:n], time.Now()) {
		return 0, errFlood
	}
	return n, err
}

// Close implements net.Conn.
func (f *framed) Close() error {
	defer f.once.Do(func() { close(f.done) })
	return f.Conn.Close()
}

var errFlood = errors.New("too many control frames")

// Costs of frames. A client may spend frameBudget at once and gets frameRefill a
// second back: 5,000 resets, settings or priorities and then 1,000 a second,
// far above what a client does that cancels calls, and some two percent of a
// core. A ping costs little, and gRPC sends one for every round trip of a busy
// stream.
const (
	frameBudget = 25_000
	frameRefill = 5_000
	costReset   = 5
	costPing    = 1
)

// Frame types of RFC 9113.
const (
	frameData         = 0
	frameHeaders      = 1
	framePing         = 6
	frameWindowUpdate = 8
	flagEndStream     = 1
	frameHeaderSize   = 9
)

// frameGuard follows the frames of one direction.
type frameGuard struct {
	started bool
	left    int // bytes of the preface or of a frame's payload
	header  [frameHeaderSize]byte
	have    int
	spent   int
	since   time.Time
}

// allows reads what was received and reports false once the budget is spent.
func (g *frameGuard) allows(p []byte, now time.Time) bool {
	if !g.started {
		g.started, g.left, g.since = true, len(preface), now
	}
	for len(p) > 0 {
		if g.left > 0 {
			n := min(g.left, len(p))
			g.left -= n
			p = p[n:]
			continue
		}
		n := copy(g.header[g.have:], p)
		g.have += n
		p = p[n:]
		if g.have < frameHeaderSize {
			break
		}
		g.have = 0
		g.left = int(g.header[0])<<16 | int(g.header[1])<<8 | int(g.header[2])
		g.spent += cost(g.header[3], g.header[4], g.left)
	}
	if g.spent > frameBudget {
		g.spent -= int(min(now.Sub(g.since), time.Hour) * frameRefill / time.Second)
		g.spent = max(g.spent, 0)
		g.since = now
	}
	return g.spent <= frameBudget
}

func cost(kind, flags byte, length int) int {
	switch kind {
	case frameHeaders, frameWindowUpdate:
		return 0 // bounded by the streams that they open and the bytes that they allow
	case framePing:
		return costPing
	case frameData:
		if length > 0 || flags&flagEndStream != 0 {
			return 0
		}
	}
	return costReset
}
