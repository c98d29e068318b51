package gate

import (
	"bytes"
	"strconv"
)

// follower finds the ends of the answers in what the service sends, so that the
// gate knows which requests are under way. It changes nothing and decides
// nothing: an answer that it cannot follow lasts until the connection ends.
type follower struct {
	state   followState
	line    []byte // of a line that is not whole yet
	left    int64  // of a body or a chunk
	status  int
	length  int64 // announced; -1 if none
	chunked bool
}

type followState uint8

const (
	atStatus followState = iota
	atField
	inAnswer
	atChunk
	inAnswerChunk
	atChunkEnd
	atTrailer
	untilClose
)

const followLineMax = 64 << 10 // of one line; a longer one is not followed

// between reports that no byte of a further answer has been seen.
func (f *follower) between() bool { return f.state == atStatus && len(f.line) == 0 }

// feed reads what was sent and returns how many answers ended with it. bodyless
// says of the n-th of these whether it answers a HEAD request; known is false if
// nothing was asked.
func (f *follower) feed(p []byte, bodyless func(n int) (head, known bool)) (done int) {
	for len(p) > 0 && f.state != untilClose {
		if f.state == inAnswer || f.state == inAnswerChunk {
			n := min(int64(len(p)), f.left)
			p = p[n:]
			if f.left -= n; f.left > 0 {
				continue
			}
			if f.state == inAnswerChunk {
				f.state = atChunkEnd
				continue
			}
			f.state = atStatus
			done++
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			if f.line = append(f.line, p...); len(f.line) > followLineMax {
				f.state = untilClose
			}
			return done
		}
		line := p[:end]
		if len(f.line) > 0 {
			line = append(f.line, line...)
			f.line = f.line[:0]
		}
		p = p[end+1:]
		if f.take(bytes.TrimSuffix(line, []byte("\r")), done, bodyless) {
			f.state = atStatus
			done++
		}
	}
	return done
}

// take reads one line and reports whether it ends an answer.
func (f *follower) take(line []byte, n int, bodyless func(int) (head, known bool)) (ends bool) {
	switch f.state {
	case atStatus:
		status, ok := statusOf(line)
		if !ok {
			f.state = untilClose
			return false
		}
		f.status, f.length, f.chunked, f.state = status, -1, false, atField
	case atField:
		if len(line) == 0 {
			return f.endOfHead(bodyless(n))
		}
		f.field(line)
	case atChunk:
		size, _, _ := bytes.Cut(line, []byte(";"))
		left, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 63)
		switch {
		case err != nil || left < 0:
			f.state = untilClose
		case left == 0:
			f.state = atTrailer
		default:
			f.left, f.state = left, inAnswerChunk
		}
	case atChunkEnd:
		f.state = atChunk
	case atTrailer:
		return len(line) == 0
	}
	return false
}

// endOfHead chooses how the body ends, RFC 9112 section 6.3.
func (f *follower) endOfHead(head, known bool) (ends bool) {
	switch {
	case !known || f.status == 101:
		f.state = untilClose
	case f.status < 200:
		f.state = atStatus // the answer itself follows
	case head || f.status == 204 || f.status == 304 || f.length == 0 && !f.chunked:
		return true
	case f.chunked:
		f.state = atChunk
	case f.length > 0:
		f.left, f.state = f.length, inAnswer
	default:
		f.state = untilClose
	}
	return false
}

func (f *follower) field(line []byte) {
	if c := line[0] | 0x20; c != 'c' && c != 't' {
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		if n, err := strconv.ParseInt(string(value), 10, 63); err == nil && n >= 0 {
			f.length = n
		}
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		f.chunked = len(value) >= 7 && bytes.EqualFold(value[len(value)-7:], []byte("chunked"))
	}
}

// statusOf reads "HTTP/1.1 200 OK".
func statusOf(line []byte) (status int, ok bool) {
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return 0, false
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, false
		}
		status = status*10 + int(c-'0')
	}
	return status, status >= 100
}
