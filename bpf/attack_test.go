package bpf

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// lines is a request of the lines, with the empty line at its end.
func lines(ls ...string) string { return strings.Join(ls, "\r\n") + "\r\n\r\n" }

// Whatever two parsers could read differently is refused and wakes nobody. All
// of these go to a public route or carry a good token, so that nothing but the
// reading can refuse them.
var ambiguous = []struct{ why, stream, want string }{
	{"a method in lower case", lines("get /health HTTP/1.1", "Host: x"), "400 malformed_request"},
	{"a method of nine letters", lines("GETGETGET /health HTTP/1.1", "Host: x"), "400 malformed_request"},
	{"an empty line first", "\r\n" + lines("GET /health HTTP/1.1", "Host: x"), "400 malformed_request"},
	{"CONNECT", lines("CONNECT x:80 HTTP/1.1", "Host: x"), "501 not_implemented"},
	{"TRACE", lines("TRACE /health HTTP/1.1", "Host: x"), "501 not_implemented"},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 version"},
	{"HTTP/1.2", lines("GET /health HTTP/1.2", "Host: x"), "505 version"},
	{"HTTP/0.9", "GET /health\r\n", "400 malformed_request"},
	{"an absolute target", lines("GET http://x/health HTTP/1.1", "Host: x"), "400 malformed_request"},
	{"a target of one star", lines("OPTIONS * HTTP/1.1", "Host: x"), "400 malformed_request"},
	{"two spaces before the target", lines("GET  /health HTTP/1.1", "Host: x"), "400 malformed_request"},
	{"two spaces before the version", lines("GET /health  HTTP/1.1", "Host: x"), "505 version"},
	{"a space after the version", lines("GET /health HTTP/1.1 ", "Host: x"), "400 malformed_request"},

	{"an empty segment", get("/health//", ""), "400 malformed_request"},
	{"two slashes first", get("//health", ""), "400 malformed_request"},
	{"one dot", get("/./health", ""), "400 malformed_request"},
	{"two dots", get("/api/../health", ""), "400 malformed_request"},
	{"two dots last", get("/health/..", ""), "400 malformed_request"},
	{"two dots before a query", get("/health/..?a", ""), "400 malformed_request"},
	{"an encoded dot", get("/%2e%2e/health", ""), "400 malformed_request"},
	{"half of the dots encoded", get("/.%2e/health", ""), "400 malformed_request"},
	{"an encoded backslash", get("/health%5c", ""), "400 malformed_request"},
	{"an encoded percent", get("/he%2561lth", ""), "400 malformed_request"},
	{"an encoded semicolon", get("/health%3bx", ""), "400 malformed_request"},
	{"an encoded NUL", get("/health%00", ""), "400 malformed_request"},
	{"an encoded line end", get("/health%0d%0a", ""), "400 malformed_request"},
	{"an encoded question mark", get("/health%3fx", ""), "400 malformed_request"},
	{"an encoded hash", get("/health%23x", ""), "400 malformed_request"},
	{"a percent without digits", get("/health%zz", ""), "400 malformed_request"},
	{"a percent with one digit", get("/health%6", ""), "400 malformed_request"},
	{"a path parameter", get("/health;admin", ""), "400 malformed_request"},
	{"a backslash", get(`/health\..\admin`, ""), "400 malformed_request"},
	{"a fragment", get("/health#admin", ""), "400 malformed_request"},
	{"a fragment in the query", get("/health?a#b", ""), "400 malformed_request"},
	{"a raw byte of UTF-8", get("/health\xc3", ""), "400 malformed_request"},
	{"a raw byte of UTF-8 in the query", get("/health?\xc3", ""), "400 malformed_request"},
	{"a bracket", get("/health[0]", ""), "400 malformed_request"},
	{"a path in capitals", get("/HEALTH", ""), "403 no_route"},
	{"a slash too many", get("/health/", ""), "403 no_route"},
	{"another path in the query", get("/admin?/health", ""), "403 no_route"},

	{"a bare line feed", "GET /health HTTP/1.1\nHost: x\n\n", "400 malformed_request"},
	{"a bare line feed in a value", "GET /health HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "400 malformed_request"},
	{"a bare carriage return", "GET /health HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", "400 malformed_request"},
	{"a folded line", lines("GET /health HTTP/1.1", "Host: x", "A: b", " c"), "400 malformed_request"},
	{"a folded line with a tab", lines("GET /health HTTP/1.1", "Host: x", "A: b", "\tc"), "400 malformed_request"},
	{"a space before the colon", lines("POST /health HTTP/1.1", "Host: x", "Content-Length : 3"), "400 malformed_request"},
	{"a header without a name", lines("GET /health HTTP/1.1", "Host: x", ": b"), "400 malformed_request"},
	{"a header without a colon", lines("GET /health HTTP/1.1", "Host: x", "b"), "400 malformed_request"},
	{"a NUL in a value", lines("GET /health HTTP/1.1", "Host: x", "A: b\x00"), "400 malformed_request"},
	{"a NUL in a name", lines("GET /health HTTP/1.1", "Host: x", "A\x00: b"), "400 malformed_request"},
	{"no Host", lines("GET /health HTTP/1.1", "A: b"), "400 malformed_request"},
	{"an empty Host", lines("GET /health HTTP/1.1", "Host: "), "400 malformed_request"},
	{"two Hosts", lines("GET /health HTTP/1.1", "Host: x", "Host: y"), "400 malformed_request"},

	{"two equal lengths", lines("POST /health HTTP/1.1", "Host: x", "Content-Length: 0", "Content-Length: 0"), "400 malformed_request"},
	{"a list of lengths", lines("POST /health HTTP/1.1", "Host: x", "Content-Length: 0, 0"), "400 malformed_request"},
	{"a signed length", lines("POST /health HTTP/1.1", "Host: x", "Content-Length: +0"), "400 malformed_request"},
	{"a negative length", lines("POST /health HTTP/1.1", "Host: x", "Content-Length: -1"), "400 malformed_request"},
	{"a hexadecimal length", lines("POST /health HTTP/1.1", "Host: x", "Content-Length: 0x0"), "400 malformed_request"},
	{"a length of 16 digits", lines("POST /health HTTP/1.1", "Host: x", "Content-Length: 0000000000000000"), "400 malformed_request"},
	{"an empty length", lines("POST /health HTTP/1.1", "Host: x", "Content-Length:"), "400 malformed_request"},
	{"length before coding", lines("POST /health HTTP/1.1", "Host: x", "Content-Length: 0", "Transfer-Encoding: chunked"), "400 malformed_request"},
	{"coding before length", lines("POST /health HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Content-Length: 0"), "400 malformed_request"},
	{"two codings", lines("POST /health HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), "400 malformed_request"},
	{"a list of codings", lines("POST /health HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked"), "501 not_implemented"},
	{"chunked and more", lines("POST /health HTTP/1.1", "Host: x", "Transfer-Encoding: chunkedx"), "501 not_implemented"},
	{"identity", lines("POST /health HTTP/1.1", "Host: x", "Transfer-Encoding: identity"), "501 not_implemented"},
	{"a vertical tab before the coding", lines("POST /health HTTP/1.1", "Host: x", "Transfer-Encoding: \x0bchunked"), "501 not_implemented"},
	{"a coding in HTTP/1.0", lines("POST /health HTTP/1.0", "Transfer-Encoding: chunked"), "400 malformed_request"},
	{"a length with an underscore", lines("POST /health HTTP/1.1", "Host: x", "Content_Length: 0"), "400 malformed_request"},
	{"a coding with an underscore", lines("POST /health HTTP/1.1", "Host: x", "Transfer_Encoding: chunked"), "400 malformed_request"},
	{"a method override with underscores", lines("POST /health HTTP/1.1", "Host: x", "X_HTTP_Method_Override: PUT"), "400 malformed_request"},
	{"chunked GET", lines("GET /health HTTP/1.1", "Host: x", "Transfer-Encoding: chunked") + "0\r\n\r\n", "400 body_not_allowed"},

	{"X-HTTP-Method", lines("GET /health HTTP/1.1", "Host: x", "X-HTTP-Method: PUT"), "400 malformed_request"},
	{"X-Method-Override", lines("GET /health HTTP/1.1", "Host: x", "X-Method-Override: PUT"), "400 malformed_request"},
	{"X-Original-URL", lines("GET /health HTTP/1.1", "Host: x", "X-Original-URL: /admin"), "400 malformed_request"},
	{"X-Rewrite-URL", lines("GET /health HTTP/1.1", "Host: x", "x-rewrite-url: /admin"), "400 malformed_request"},
	{"HTTP2-Settings", lines("GET /health HTTP/1.1", "Host: x", "Upgrade: h2c", "HTTP2-Settings: AA"), "400 malformed_request"},
	{"two upgrades", lines("GET /health HTTP/1.1", "Host: x", "Upgrade: h2c", "Upgrade: websocket"), "400 malformed_request"},

	{"two tokens in one header", lines("GET /api/patients/7 HTTP/1.1", "Host: x", "Authorization: Bearer "+tokenDoctor+","+tokenNurse), "401 not_bearer"},
	{"two tokens with a space", lines("GET /api/patients/7 HTTP/1.1", "Host: x", "Authorization: Bearer "+tokenDoctor+" "+tokenNurse), "400 malformed_request"},
	{"two spaces after Bearer", lines("GET /api/patients/7 HTTP/1.1", "Host: x", "Authorization: Bearer  "+tokenDoctor), "401 not_bearer"},
	{"no token after Bearer", lines("GET /api/patients/7 HTTP/1.1", "Host: x", "Authorization: Bearer "), "401 not_bearer"},
	{"Authorization with an underscore is another header", lines("GET /api/patients/7 HTTP/1.1", "Host: x", "Authorization_: Bearer "+tokenDoctor), "401 no_token"},
	{"a part of a token", get("/api/patients/7", tokenDoctor[:len(tokenDoctor)-1]), "401 unknown_token"},
	{"a token and a byte", get("/api/patients/7", tokenDoctor+"0"), "401 unknown_token"},
}

func TestAmbiguousRequestsWakeNobody(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	program, err := policy.Compile(theOrg, append([]policy.Route{{Methods: []string{"POST"}, Path: "/health", Public: true}}, theRoutes...), r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(r.address, program); err != nil {
		t.Fatal(err)
	}
	for _, c := range ambiguous {
		if got := strings.Join(r.send(t, 1, c.stream), ", "); got != c.want || r.served.Load() != 0 {
			t.Errorf("%s: %q and %d served, want %q and none", c.why, got, r.served.Swap(0), c.want)
		}
	}
}

// One segment is refused as a whole, so that a header block that was good wakes
// nobody when the chunks behind it are not.
func TestChunksThatTwoParsersReadDifferently(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	head := lines("POST /api/patients/7 HTTP/1.1", "Host: x", "Authorization: Bearer "+tokenDoctor, "Transfer-Encoding: chunked")
	for why, body := range map[string]string{
		"an extension":                "3;a=b\r\nabc\r\n0\r\n\r\n",
		"a trailer":                   "3\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"nine digits":                 "000000003\r\nabc\r\n0\r\n\r\n",
		"no digit":                    "\r\nabc\r\n0\r\n\r\n",
		"a bare line feed":            "3\nabc\r\n0\r\n\r\n",
		"more data than it says":      "3\r\nabcd\r\n0\r\n\r\n",
		"a space before the size":     " 3\r\nabc\r\n0\r\n\r\n",
		"a prefix of the size":        "0x3\r\nabc\r\n0\r\n\r\n",
		"a request after its last":    "0\r\n\r\n" + get("/admin", tokenDoctor),
		"a smuggled one in a trailer": "0\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		want := "[400 malformed_request]"
		if why == "a request after its last" {
			want = "[403 no_route]"
		}
		if got := fmt.Sprint(r.send(t, 1, head+body)); got != want || r.served.Load() != 0 {
			t.Errorf("%s: %s and %d served, want %s and none", why, got, r.served.Swap(0), want)
		}
	}
}

func TestRefusedUpgradeTunnelsNothing(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	upgrade := lines("GET /api/patients/7 HTTP/1.1", "Host: x", "Authorization: Bearer "+tokenDoctor, "Connection: Upgrade", "Upgrade: websocket")
	for why, parts := range map[string][]string{
		"the request after it":           {upgrade, get("/health", "")},
		"the request in the same bytes":  {upgrade + get("/health", "")},
		"an upgrade with a token in two": {upgrade[:40], upgrade[40:], get("/api/patients/7", tokenDoctor)},
	} {
		// A second answer would be the tunnel; the deadline ends the wait for it.
		c := r.dial(t)
		for _, p := range parts {
			io.WriteString(c, p)
		}
		answers := readAnswers(c, 1)
		c.SetDeadline(time.Now().Add(200 * time.Millisecond))
		answers = append(answers, readAnswers(c, 1)...)
		if fmt.Sprint(answers) != "[501 not_implemented]" || r.served.Load() != 0 {
			t.Errorf("%s: %v and %d served", why, answers, r.served.Load())
		}
	}
}

func TestRefusedAfterAllowedOnOneConnection(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	c := r.dial(t)
	if got := exchange(t, c, get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
		t.Fatalf("first: %s", got)
	}
	if got := exchange(t, c, get("/api/patients/7", "")); got != "401 no_token" {
		t.Fatalf("second: %s", got)
	}
	io.WriteString(c, get("/api/patients/7", tokenDoctor)) // poisoned: dropped
	c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if got := readAnswers(c, 1); len(got) > 0 || r.served.Load() != 1 {
		t.Fatalf("after a refusal: %v, %d served", got, r.served.Load())
	}
}

func TestSecondFactor(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	if err := r.token(tokenDoctor, func(e *policy.TokenEntry) { e.MFA = 0 }); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.send(t, 1, post("/api/patients/7", tokenDoctor, "x"))); got != "[403 mfa_required]" || r.served.Load() != 0 {
		t.Errorf("without a second factor: %s, %d served", got, r.served.Load())
	}
	if got := fmt.Sprint(r.send(t, 1, get("/api/patients/7", tokenDoctor))); got != "[200 GET /api/patients/7 0]" {
		t.Errorf("where none is asked for: %s", got)
	}
}

// dial opens a connection that lasts as long as the test.
func (r *rig) dial(t testing.TB) net.Conn {
	t.Helper()
	return dial(t, r.address.String())
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return c
}

// exchange writes a request and reads its answer; nothing may follow it.
func exchange(t testing.TB, c net.Conn, request string) string {
	t.Helper()
	io.WriteString(c, request)
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err.Error()
	}
	body, _ := io.ReadAll(res.Body)
	if in.Buffered() > 0 {
		t.Errorf("%d bytes after the answer", in.Buffered())
	}
	if v := res.Header.Get("X-Authfi-Verdict"); v != "" {
		return fmt.Sprintf("%d %s", res.StatusCode, v)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}
