package gate

import (
	"strings"
	"testing"
)

func TestFollowerFindsTheEnds(t *testing.T) {
	for _, c := range []struct {
		why, sent string
		done      int
		between   bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 1, true},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", 1, true},
		{"empty", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 1, true},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;x=y\r\nab\r\nc\r\n0\r\nT: v\r\n\r\n", 1, true},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nL: x\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 1, true},
		{"two, the second HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 2, true},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nab", 1, true},
		{"half", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", 0, false},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, false},
		{"switched", "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, false},
		{"nobody asked", strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 4), 2, false},
		{"not HTTP", "SSH-2.0-x\r\n\r\n", 0, false},
		{"nonsense chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n0\r\n\r\n", 0, false},
	} {
		for _, split := range []int{1, 2, 7, len(c.sent)} {
			var f follower
			done := 0
			asked := func(n int) (head, known bool) { return done+n == 1, done+n < 2 }
			for rest := c.sent; len(rest) > 0; {
				n := min(split, len(rest))
				done += f.feed([]byte(rest[:n]), asked)
				rest = rest[n:]
			}
			if done != c.done || f.between() != c.between {
				t.Errorf("%s, %d bytes at a time: %d answers, between %v, want %d, %v", c.why, split, done, f.between(), c.done, c.between)
			}
		}
	}
}

func TestFollowerBoundsALine(t *testing.T) {
	for size, ends := range map[int]bool{followLineMax: true, followLineMax + 1: false} {
		var f follower
		for range size - len("X: ") {
			if f.state == atStatus {
				f.feed([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: "), nil)
			}
			f.feed([]byte("a"), nil)
		}
		if done := f.feed([]byte("\r\n\r\n"), func(int) (bool, bool) { return false, true }); (done == 1) != ends {
			t.Errorf("a line of %d bytes: %d answers", size, done)
		}
	}
}
