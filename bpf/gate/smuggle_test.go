package gate_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/authfi/authfi/bpf/gate"
	frames "golang.org/x/net/http2"
)

// What HTTP/2 carries and HTTP/1.1 would read as something else never reaches a
// service of HTTP/1.1.
func TestHTTP2CannotSmuggle(t *testing.T) {
	f := startWith(t, gate.Settings{H2C: true}, nil)
	only := func(name, value string) []string { return asking(map[string]string{name: value}) }
	cases := map[string][]string{
		"a request in the path":       only(":path", "/data/a HTTP/1.1\r\nHost: s\r\n\r\nGET /secret"),
		"a version in the path":       only(":path", "/data/a HTTP/1.1"),
		"a line end in the path":      only(":path", "/data/a\r\nX: y"),
		"a bare line feed":            only(":path", "/data/a\nX: y"),
		"a tab in the path":           only(":path", "/data/a\tb"),
		"a NUL in the path":           only(":path", "/data/a\x00"),
		"a high byte in the path":     only(":path", "/data/\xff"),
		"a fragment":                  only(":path", "/data/a#b"),
		"absolute form":               only(":path", "http://other/data/a"),
		"asterisk form":               only(":path", "*"),
		"no path":                     only(":path", ""),
		"dots":                        only(":path", "/data/../secret"),
		"encoded dots":                only(":path", "/data/%2e%2e/secret"),
		"an encoded slash":            only(":path", "/data%2fa"),
		"two slashes":                 only(":path", "/data//a"),
		"a backslash":                 only(":path", "/data\\a"),
		"a path parameter":            only(":path", "/data/a;b"),
		"a request in the method":     only(":method", "GET /secret HTTP/1.1\r\nHost: s\r\n\r\nGET"),
		"a small method":              only(":method", "get"),
		"CONNECT":                     only(":method", "CONNECT"),
		"CONNECT alone":               asking(map[string]string{":method": "CONNECT", ":path": "", ":scheme": ""}),
		"extended CONNECT":            asking(map[string]string{":method": "CONNECT"}, ":protocol: websocket"),
		"TRACE":                       only(":method", "TRACE"),
		"another scheme":              only(":scheme", "file"),
		"a line end in the authority": only(":authority", "s\r\nX: y"),
		"a space in the authority":    only(":authority", "s t"),
		"a user in the authority":     only(":authority", "u@s"),
		"no authority":                only(":authority", ""),
		"another host":                asking(nil, "host: other"),
		"two hosts":                   asking(nil, "host: s", "host: other"),
		"a coding":                    asking(nil, "transfer-encoding: chunked"),
		"a folded coding":             asking(nil, "transfer_encoding: chunked"),
		"connection":                  asking(nil, "connection: close"),
		"keep-alive":                  asking(nil, "keep-alive: 5"),
		"proxy-connection":            asking(nil, "proxy-connection: close"),
		"upgrade":                     asking(nil, "upgrade: websocket"),
		"settings":                    asking(nil, "http2-settings: AAMAAABkAAQAAP__"),
		"a length and no body":        asking(nil, "content-length: 5"),
		"two lengths":                 asking(nil, "content-length: 0", "content-length: 5"),
		"a list of lengths":           asking(nil, "content-length: 0, 0"),
		"a signed length":             asking(nil, "content-length: +0"),
		"a folded length":             asking(nil, "content_length: 5"),
		"two tokens":                  asking(nil, "authorization: Bearer other"),
		"a folded token":              asking(nil, "Authorization: Bearer other"),
		"a line end in a value":       asking(nil, "x: a\r\ny: b"),
		"a bare CR in a value":        asking(nil, "x: a\rb"),
		"a NUL in a value":            asking(nil, "x: a\x00b"),
		"a line end in a name":        asking(nil, "x\r\ny: b"),
		"a colon in a name":           asking(nil, "x:y: b"),
		"a space in a name":           asking(nil, "x y: b"),
		"a large letter":              asking(nil, "X-A: b"),
		"another method":              asking(nil, "x-http-method-override: DELETE"),
		"another path":                asking(nil, "x-original-url: /secret"),
		"a late pseudo-field":         asking(nil, ":path: /secret"),
		"two paths":                   append([]string{":path: /secret"}, asking(nil)...),
		"an unknown pseudo-field":     append([]string{":other: x"}, asking(nil)...),
	}
	for why, fields := range cases {
		r := f.framer()
		if err := r.headers(1, true, fields); err != nil {
			t.Fatal(err)
		}
		switch status := r.status(1); status {
		case "400", "501", "reset", "ended":
		default:
			t.Errorf("%s: %s", why, status)
		}
		r.conn.Close()
	}
	f.reached(0)
	for why, fields := range map[string][]string{"honest": asking(nil), "the same host": asking(nil, "host: s"), "host alone": asking(map[string]string{":authority": ""}, "host: s")} {
		r := f.framer()
		r.headers(1, true, fields)
		if status := r.status(1); status != "200" {
			t.Errorf("%s: %s", why, status)
		}
	}
	f.reached(3)
}

// A body that is longer or shorter than announced is never read as the next
// request of the connection that the gate shares.
func TestHTTP2BodiesAreFramedAnew(t *testing.T) {
	bodies := make(chan string, 10)
	f := startWith(t, gate.Settings{H2C: true}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			bodies <- r.URL.Path + " " + string(body)
		}
	})
	const inner = "GET /secret HTTP/1.1\r\nHost: s\r\n\r\n"
	post := map[string]string{":method": "POST"}
	for _, c := range []struct{ length, want string }{{"", "200"}, {strconv.Itoa(len(inner)), "200"}, {"3", "reset"}, {"3000", "reset"}} {
		fields := asking(post)
		if c.length != "" {
			fields = append(fields, "content-length: "+c.length)
		}
		r := f.framer()
		if err := r.headers(1, false, fields); err != nil {
			t.Fatal(err)
		}
		r.frames.WriteData(1, true, []byte(inner))
		if status := r.status(1); status != c.want && !(c.want == "reset" && (status == "ended" || status == "400" || status == "502")) {
			t.Errorf("length %q: %s, want %s", c.length, status, c.want)
		}
		// The connection to the service is used again, if it is kept.
		next := f.framer()
		next.headers(1, true, asking(nil))
		if status := next.status(1); status != "200" {
			t.Errorf("after length %q: %s", c.length, status)
		}
	}
	close(bodies)
	for got := range bodies {
		if got != "/data/a " && got != "/data/a "+inner {
			t.Errorf("the service got %q", got)
		}
	}
}

// Fields behind a body were read by nobody.
func TestTrailersOfRequestsAreNotPassedOn(t *testing.T) {
	got := make(chan http.Header, 1)
	f := startWith(t, gate.Settings{H2C: true}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got <- r.Trailer
	})
	r := f.framer()
	r.headers(1, false, asking(map[string]string{":method": "POST"}, "trailer: x-authfi-user"))
	r.frames.WriteData(1, false, []byte("body"))
	r.frames.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode([]string{"x-authfi-user: forged"}), EndStream: true, EndHeaders: true})
	if status := r.status(1); status != "200" {
		t.Fatal(status)
	}
	if trailer := <-got; len(trailer) != 0 {
		t.Errorf("the service got %v", trailer)
	}
}
