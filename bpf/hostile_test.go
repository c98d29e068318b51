package bpf

import (
	"fmt"
	"math/rand"
	"strings"

	"github.com/authfi/authfi/bpf/policy"
)

// writer makes streams that are meant to be read differently by two readers: most
// are legal, all but a few are odd in one place, some in several.
type writer struct {
	*rand.Rand
	tokens, paths []string
}

func (w *writer) pick(from ...string) string { return from[w.Intn(len(from))] }

// seldom is true once in n times.
func (w *writer) seldom(n int) bool { return w.Intn(n) == 0 }

// stream is one to four pipelined requests.
func (w *writer) stream() string {
	var b strings.Builder
	for range 1 + w.Intn(4) {
		b.WriteString(w.request())
	}
	stream := []byte(b.String())
	if w.seldom(10) {
		damage(w.Rand, stream)
	}
	if w.seldom(10) {
		stream = stream[:1+w.Intn(len(stream))]
	}
	return string(stream)
}

func (w *writer) request() string {
	end := "\r\n"
	if w.seldom(60) {
		end = w.pick("\n", "\r", "\r\r\n", "\x00\r\n", " \r\n")
	}
	lines := []string{w.method() + w.space() + w.target() + w.space() + w.version()}
	if !w.seldom(30) {
		lines = append(lines, w.name("Host")+": "+w.pick("x", "x:80", "[::1]", "x"))
	}
	lines = append(lines, w.authorization()...)
	for range w.Intn(3) {
		lines = append(lines, w.header())
	}
	framing, body := w.body()
	lines = append(lines, framing...)
	if w.seldom(12) {
		fields := lines[1:]
		w.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	return strings.Join(lines, end) + end + end + body
}

func (w *writer) space() string {
	if w.seldom(60) {
		return w.pick("  ", "\t", "", "\x0b")
	}
	return " "
}

func (w *writer) method() string {
	if w.seldom(25) {
		return w.pick("TRACE", "CONNECT", "PRI", "get", "Get", "GE\x00T", "GETGETGET", "PROPFIND", "")
	}
	return w.pick("GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
}

func (w *writer) version() string {
	if w.seldom(40) {
		return w.pick("HTTP/1.2", "HTTP/0.9", "HTTP/2.0", "http/1.1", "HTTP/1.1x", "HTTP/1.", "")
	}
	return w.pick("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0")
}

// target is a path of the policy, spelt so that a router might take it for another.
func (w *writer) target() string {
	path := w.paths[w.Intn(len(w.paths))]
	switch w.Intn(40) {
	case 0:
		path = w.encode(path)
	case 1:
		path = strings.ToUpper(path)
	case 2:
		path += w.pick("/", "//", "/.", "/..", "/../admin", "/./", "/%2e%2e", "/%2E", "%2f", "%5c..", ";x=y", "%3b", "%00", "%", "%4", "%zz")
	case 3:
		path = w.pick("//", "/./", "/../", "/x/../", "/%2e%2e/", "/%2f", "http://x", "http://x:80", "*", "?", "#", "") + path
	case 4:
		path = strings.Replace(path, "/", w.pick("//", "/./", "\\", "/x/../", "%2f", "/%2e/"), 1+w.Intn(2))
	case 5:
		path += w.pick("?q=1", "?/../admin", "?a=%00", "?a#b", "?\x80", "#x", "?", "?"+strings.Repeat("q", 300))
	case 6:
		path += w.pick("\x80", "\xc3\xa9", "%c3%a9", "%C0%AE", "{}", "|", "<", "\x7f", "'", "~", "@:!$&()*+,=")
	}
	return path
}

// encode writes some of the letters in percent.
func (w *writer) encode(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case w.seldom(3):
			fmt.Fprintf(&b, w.pick("%%%02x", "%%%02X"), c)
		case w.seldom(20):
			fmt.Fprintf(&b, "%%25%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (w *writer) name(name string) string {
	switch w.Intn(8) {
	case 0:
		return strings.ToLower(name)
	case 1:
		return strings.ToUpper(name)
	}
	return name
}

func (w *writer) authorization() (lines []string) {
	if w.seldom(8) {
		return nil
	}
	token := w.tokens[w.Intn(len(w.tokens))]
	value := w.pick("Bearer ", "Bearer ", "bearer ", "BEARER ") + token
	name := w.name("Authorization") + ": "
	switch w.Intn(60) {
	case 0: // a second header, equal or another
		lines = append(lines, name+w.pick(value, "Bearer "+w.tokens[w.Intn(len(w.tokens))]))
	case 1:
		value = w.pick("Basic ", "Bearer", "Bearer  ", "Bearer\t", "Bear ", "Token ", "") + token
	case 2:
		value += w.pick(" ", "\t", " \t ", ",x", " x", "\x00", "\x7f", "\x80", "\x0b")
	case 3:
		name = w.pick("Authorization : ", "Authorization", "Authorization_: ", "_Authorization: ", "X-Authorization: ", " Authorization: ", "Author\x00ization: ", "Proxy-Authorization: ")
	case 4:
		value = value[:len(value)/2] + w.pick("\r\n ", "\r\n\t", "\n ", "\r ") + value[len(value)/2:]
	case 5: // the token of another header must be nobody's
		lines = append(lines, "X-Token: "+value)
		value = "Bearer stranger"
	}
	return append(lines, name+value)
}

func (w *writer) header() string {
	if w.seldom(30) {
		return w.pick(
			"X-HTTP-Method-Override: DELETE", "X_Http_Method: PUT", "X-Method-Override: PUT", "X-Original-URL: /open", "x-rewrite-url: /open",
			"HTTP2-Settings: AA", ": empty", "no colon", "A: b\r\n c", "A: b\x00c", "A\x00: b", "Host: y", "host_: y", "A: \x7f", "\x80: a",
		)
	}
	return w.pick(
		"Accept: */*", "X-Empty:", "Connection: keep-alive", "Connection: close", "Connection: Upgrade", w.pick("Upgrade: websocket", "Upgrade: h2c", "A: b", "A: c", "A:d"),
		"X_Under: \xc3\xa9\t.", "Cookie: "+strings.Repeat("c", w.Intn(200)), strings.Repeat("N", 1+w.Intn(40))+": v", "Expect: 100-continue",
	)
}

// body is the framing of a request and what it announces, or does not.
func (w *writer) body() (framing []string, body string) {
	text := w.pick("hello", "x", "", "GET /open HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("b", w.Intn(400)))
	length := fmt.Sprintf("%s: %d", w.name("Content-Length"), len(text))
	coding := w.name("Transfer-Encoding") + ": " + w.pick("chunked", "chunked", "Chunked", "CHUNKED")
	switch w.Intn(36) {
	case 0, 1, 2, 12, 13, 14:
		return []string{length}, text
	case 3, 4, 5, 15, 16:
		return []string{coding}, w.chunks(text)
	case 6: // both, in both orders
		lines := []string{length, coding}
		w.Shuffle(2, func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		return lines, w.chunks(text)
	case 7:
		return []string{length, length}, text
	case 8:
		return []string{"Content-Length: " + w.pick("+5", "-1", "0x5", "5, 5", "5 ", "05", "", " ", "5x", "9999999999999999", "999999999999999", "\x0b5")}, text
	case 9:
		return []string{"Transfer-Encoding: " + w.pick("xchunked", "chunked, gzip", "gzip, chunked", "identity", "chunkedx", "\x0bchunked", "chun\x00ked", "", "chunked ")}, w.chunks(text)
	case 10:
		return []string{w.pick("Content_Length: 5", "Content-Length : 5", "Transfer_Encoding: chunked", "Transfer-Encoding : chunked", "Content-Length\x00: 5")}, text
	case 11:
		return nil, text // not announced: it is the next request
	}
	return nil, ""
}

func (w *writer) chunks(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		n := 1 + w.Intn(len(text))
		fmt.Fprintf(&b, w.pick("%x\r\n", "%X\r\n", "%04x\r\n")+"%s\r\n", n, text[:n])
		text = text[n:]
	}
	switch w.Intn(12) {
	case 0:
		return b.String() + w.pick("0;a=b\r\n\r\n", "0\r\nA: b\r\n\r\n", "0\n\n", "000000000\r\n\r\n", "\r\n", "0x0\r\n\r\n", "-1\r\n\r\n", "ffffffff\r\n", "0\r\n\r")
	case 1:
		return strings.Replace(b.String(), "\r\n", w.pick("\n", ";a\r\n", "\r\r\n", " \r\n"), 1) + "0\r\n\r\n"
	}
	return b.String() + "0\r\n\r\n"
}

// manyPolicies are random routes that compile, with paths that meet them.
func (w *writer) manyPolicies() (routes []policy.Route, paths []string) {
	words := []string{"a", "b", "ab", "*", "*", "**", "caf\xc3\xa9", "A", "a-b_c.d~e"}
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
	for range 1 + w.Intn(30) {
		route := policy.Route{MFA: w.seldom(4), GetBody: w.seldom(3), Upgrade: w.seldom(4)}
		depth := 1 + w.Intn(4)
		for i := range depth {
			word := w.pick(words...)
			if word == "**" && i < depth-1 {
				word = "*"
			}
			route.Path += "/" + word
		}
		for range w.Intn(3) {
			route.Methods = append(route.Methods, w.pick(methods...))
		}
		switch w.Intn(5) {
		case 0:
			route.Public, route.MFA = true, false
		case 1:
			route.Roles = []string{fmt.Sprint("role", w.Intn(6)), fmt.Sprint("role", w.Intn(6))}
		case 2:
			route.Permissions = []string{fmt.Sprint("read:thing", w.Intn(300)), fmt.Sprint("write:thing", w.Intn(4))}
		case 3:
			route.Roles, route.Permissions = []string{fmt.Sprint("role", w.Intn(6))}, []string{fmt.Sprint("read:thing", w.Intn(300))}
		}
		if policy.Validate(append(routes, route)) != nil {
			continue // two routes with one pattern and method
		}
		routes = append(routes, route)
		met := strings.NewReplacer("**", "x/y/z", "*", w.pick("x", "a", "caf\xc3\xa9", ".well", "a..b")).Replace(route.Path)
		paths = append(paths, strings.ReplaceAll(met, "\xc3\xa9", "%C3%A9"))
	}
	return routes, append(paths, "/", "/nowhere", "/a", "/b/ab")
}
