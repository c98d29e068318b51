package policy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"strings"
	"testing"
)

func TestSipHashReferenceVectors(t *testing.T) {
	for n, want := range []string{
		"a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45",
		"8177228da4a45dc7fca38bdef60affe4", "9c70b60c5267a94e5f33b6b02985ed51",
	} {
		input := make([]byte, n)
		for i := range input {
			input[i] = byte(i)
		}
		key := SipHash128(0x0706050403020100, 0x0f0e0d0c0b0a0908, input)
		got := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, key.H0), key.H1)
		if hex.EncodeToString(got) != want {
			t.Errorf("%d bytes: %x, the reference says %s", n, got, want)
		}
	}
}

const k0, k1 = 1, 2

// everything is a program that lets every path through to the decision.
func everything(t testing.TB) *Program {
	p, err := Compile(1, []Route{{Path: "/**", Public: true, GetBody: true}}, new(Numbering))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// seen is one request as the machine reads it; end is where its body ends, 0
// while it is not over.
type seen struct {
	flow        Flow
	header, end int
	chunked     bool
	length      uint64
}

// readAll feeds the stream in pieces of the given sizes, in turn.
func readAll(p *Program, stream []byte, pieces []int) (all []seen, refusal Reason) {
	m := NewMachine()
	at, turn := 0, 0
	for at < len(stream) {
		size := min(pieces[turn%len(pieces)], len(stream)-at)
		turn++
		for piece := stream[at : at+size]; len(piece) > 0; {
			if m.Idle() {
				m.Begin(p, k0, k1)
			}
			n, complete, refusal := m.Feed(piece)
			at, piece = at+n, piece[n:]
			if refusal != ReasonAllowed {
				return all, refusal
			}
			if complete {
				all = append(all, seen{flow: m.Flow(), header: at, chunked: m.flags&hasCoding != 0, length: m.body})
				m.Allow()
			}
			if m.Idle() && len(all) > 0 && all[len(all)-1].end == 0 {
				all[len(all)-1].end = at
			}
		}
	}
	return all, ReasonAllowed
}

// counted counts what a reader has handed out.
type counted struct {
	r *bytes.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// agree demands that net/http reads what the machine accepted in the same way.
func agree(t *testing.T, p *Program, stream []byte) {
	t.Helper()
	all, _ := readAll(p, stream, []int{len(stream) + 1})
	source := &counted{r: bytes.NewReader(stream)}
	in := bufio.NewReaderSize(source, 64<<10)
	for i, s := range all {
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("request %d is accepted, net/http says %v\n%q", i, err, stream)
		}
		if at := source.n - in.Buffered(); at != s.header {
			t.Fatalf("request %d: header ends at %d, for net/http at %d\n%q", i, s.header, at, stream)
		}
		if r.Method != methodNames[s.flow.Method] || r.URL.Host != "" {
			t.Fatalf("request %d: %s %q\n%q", i, r.Method, r.URL.Host, stream)
		}
		agreeToken(t, s, r.Header["Authorization"])
		if s.chunked != (len(r.TransferEncoding) > 0) || !s.chunked && r.ContentLength != int64(s.length) {
			t.Fatalf("request %d: framing %v %d, net/http %v %d\n%q", i, s.chunked, s.length, r.TransferEncoding, r.ContentLength, stream)
		}
		_, err = io.Copy(io.Discard, r.Body)
		if s.end == 0 {
			return
		}
		if at := source.n - in.Buffered(); err != nil || at != s.end {
			t.Fatalf("request %d: ends at %d, for net/http at %d, %v\n%q", i, s.end, at, err, stream)
		}
	}
}

func agreeToken(t *testing.T, s seen, values []string) {
	t.Helper()
	if !s.flow.HasToken {
		if len(values) != 0 {
			t.Fatalf("net/http sees Authorization %q", values)
		}
		return
	}
	if len(values) != 1 || len(values[0]) < 7 || !strings.EqualFold(values[0][:7], "bearer ") {
		t.Fatalf("net/http sees Authorization %q", values)
	}
	token := values[0][7:]
	if s.flow.Token != SipHash128(k0, k1, []byte(token)) || int(s.flow.Length) != len(token) {
		t.Fatalf("token %q has another key", token)
	}
}

const host = "Host: x\r\n"

var accepted = []string{
	"GET / HTTP/1.1\r\n" + host + "\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET /a/p%61tients/7?x=/../%zz HTTP/1.1\r\n" + host + "AUTHORIZATION:\tbeaReR abc.def \r\n\r\n",
	"POST /a HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n" + host + "\r\n",
	"POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0a\r\n0123456789\r\n0\r\n\r\nGET /b HTTP/1.1\r\n" + host + "\r\n",
	"GET /.well/a..b HTTP/1.1\r\n" + host + "X-Long: " + strings.Repeat("v", 2000) + "\r\n\r\n",
	"HEAD /x HTTP/1.1\r\n" + host + "Authorization: Bearer " + strings.Repeat("t", 1027) + "\r\n\r\n",
	"PATCH /x/ HTTP/1.1\r\nhost:x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
}

// refused is what two parsers could read differently, with the reason.
var refused = []struct {
	why, stream string
	reason      Reason
}{
	{"a lower-case method", "get / HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"CONNECT", "CONNECT a:1 HTTP/1.1\r\n" + host + "\r\n", ReasonNotImplemented},
	{"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ReasonVersion},
	{"absolute form", "GET http://x/a HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"asterisk form", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"an empty segment", "GET //a HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"dot segments", "GET /a/../b HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"a dot segment at the end", "GET /a/. HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"encoded dots", "GET /%2e%2e/b HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"an encoded slash", "GET /a%2fb HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"an encoded percent", "GET /a%252e HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"an encoded NUL", "GET /a%00 HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"a backslash", "GET /a\\b HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"a path parameter", "GET /a;x/b HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"a fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"a raw byte above ASCII", "GET /\xc3\xa9 HTTP/1.1\r\n" + host + "\r\n", ReasonMalformed},
	{"bare LF", "GET / HTTP/1.1\n" + host + "\r\n", ReasonMalformed},
	{"bare CR", "GET / HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n", ReasonMalformed},
	{"a folded line", "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", ReasonMalformed},
	{"a space before the colon", "GET / HTTP/1.1\r\n" + host + "Authorization : Bearer a\r\n\r\n", ReasonMalformed},
	{"a NUL in a value", "GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", ReasonMalformed},
	{"two Authorization headers", "GET / HTTP/1.1\r\n" + host + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", ReasonMalformed},
	{"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", ReasonMalformed},
	{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", ReasonMalformed},
	{"an underscore look-alike", "POST / HTTP/1.1\r\n" + host + "Content_Length: 3\r\n\r\nabc", ReasonMalformed},
	{"a method override", "POST / HTTP/1.1\r\n" + host + "X-HTTP-Method-Override: DELETE\r\n\r\n", ReasonMalformed},
	{"a rewritten URL", "GET / HTTP/1.1\r\n" + host + "X-Original-URL: /admin\r\n\r\n", ReasonMalformed},
	{"length and coding", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ReasonMalformed},
	{"a coding that is not chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n", ReasonNotImplemented},
	{"chunked and more", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, gzip\r\n\r\n", ReasonNotImplemented},
	{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ReasonMalformed},
	{"a chunk extension", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", ReasonMalformed},
	{"a trailer", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", ReasonMalformed},
	{"a signed length", "POST / HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc", ReasonMalformed},
	{"a length of 16 digits", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1000000000000000\r\n\r\n", ReasonMalformed},
	{"no host", "GET / HTTP/1.1\r\n\r\n", ReasonMalformed},
	{"an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", ReasonMalformed},
	{"Basic", "GET / HTTP/1.1\r\n" + host + "Authorization: Basic YTpi\r\n\r\n", ReasonScheme},
	{"a comma in the token", "GET / HTTP/1.1\r\n" + host + "Authorization: Bearer a,b\r\n\r\n", ReasonScheme},
	{"HTTP/1.2", "GET / HTTP/1.2\r\n" + host + "\r\n", ReasonVersion},
	{"40 KB of headers", "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 40000) + "\r\n\r\n", ReasonTooLarge},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ReasonMalformed},
}

func TestAcceptedRequestsAreReadAsNetHTTPReadsThem(t *testing.T) {
	p := everything(t)
	for _, s := range accepted {
		if all, refusal := readAll(p, []byte(s), []int{len(s)}); refusal != ReasonAllowed || len(all) == 0 {
			t.Errorf("refused with %s: %.80q", refusal, s)
		}
		agree(t, p, []byte(s))
	}
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	p := everything(t)
	for _, r := range refused {
		if _, refusal := readAll(p, []byte(r.stream), []int{len(r.stream)}); refusal != r.reason {
			t.Errorf("%s: %s, want %s", r.why, refusal, r.reason)
		}
	}
}

func TestResultDoesNotDependOnHowTheStreamIsSplit(t *testing.T) {
	p := everything(t)
	rng := rand.New(rand.NewSource(1))
	var streams []string
	streams = append(streams, accepted...)
	for _, r := range refused {
		streams = append(streams, r.stream)
	}
	for _, s := range streams {
		whole, reason := readAll(p, []byte(s), []int{len(s)})
		for _, pieces := range [][]int{{1}, {2, 3}, {37}, {1 + rng.Intn(20), 1 + rng.Intn(20)}} {
			split, other := readAll(p, []byte(s), pieces)
			if other != reason || fmt.Sprint(split) != fmt.Sprint(whole) {
				t.Errorf("pieces %v: %v %s, whole %v %s\n%.80q", pieces, split, other, whole, reason, s)
			}
		}
	}
}

// FuzzMachine: what the machine accepts, net/http reads in the same way, and the
// result does not depend on the split.
func FuzzMachine(f *testing.F) {
	for _, s := range accepted {
		f.Add([]byte(s))
	}
	for _, r := range refused {
		f.Add([]byte(r.stream))
	}
	p := everything(f)
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) == 0 {
			return
		}
		whole, reason := readAll(p, stream, []int{len(stream)})
		split, other := readAll(p, stream, []int{1, 7})
		if reason != other || fmt.Sprint(whole) != fmt.Sprint(split) {
			t.Fatalf("whole %v %s, split %v %s", whole, reason, split, other)
		}
		agree(t, p, stream)
	})
}
