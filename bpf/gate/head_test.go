package gate_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/bpf/gate"
)

// showHeaders answers with the header fields that the service got.
func showHeaders(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%s %s host=%s\n", r.Method, r.RequestURI, r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s=%s\n", name, strings.Join(r.Header[name], "|"))
	}
}

// forged are header fields by which a client would claim to be another one.
var forged = []string{
	"X-Authfi-User", "x-authfi-org", "X_Authfi_User", "X-AUTHFI_user", "X-Forwarded-For", "x_forwarded_for", "X-Forwarded-User",
	"X-Forwarded-Proto", "X-Forwarded-Anything", "Forwarded", "X-Real-IP", "X_Real_Ip", "True-Client-IP", "X-Client-Ip",
	"Remote-User", "X-Remote-User", "Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "X-Authfi-" + "Longer-Than-Any-Name-That-Is-Compared",
}

func TestClientsCannotSayWhoTheyAre(t *testing.T) {
	f := startWith(t, gate.Settings{}, showHeaders)
	var headers strings.Builder
	for _, name := range forged {
		headers.WriteString(name + ": forged\r\n")
	}
	for _, connection := range []string{"", "Connection: X-Forwarded-For, X-Authfi-User, X-Hop\r\nX-Hop: forged\r\n", "connection: keep-alive\r\n"} {
		c := f.dial()
		c.send(request("GET", "/data/%61?q=%2e&r", headers.String()+connection+"X-Mine: kept\r\n", ""))
		got := c.body(200)
		if strings.Contains(got, "forged") {
			t.Errorf("the service got %s", got)
		}
		for _, want := range []string{
			"GET /data/%61?q=%2e&r host=s\n", "X-Mine=kept\n", "X-Forwarded-For=127.0.0.1\n", "X-Real-Ip=127.0.0.1\n",
			"X-Forwarded-Proto=http\n", "X-Forwarded-Host=s\n", "X-Authfi-User=user-5\n", "Authorization=Bearer " + token,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("without %q the service got %s", want, got)
			}
		}
	}
	c := f.dial()
	c.send("GET /open HTTP/1.1\r\nHost: s\r\nX-Authfi-User: forged\r\n\r\n")
	if got := c.body(200); strings.Contains(got, "X-Authfi-User") {
		t.Errorf("a public route says who asks: %s", got)
	}
}

func TestConnectionCannotTakeAwayWhatDecides(t *testing.T) {
	f := start(t)
	for _, name := range []string{"Authorization", "content-length", "Transfer-Encoding", "Host"} {
		c := f.dial()
		c.send(request("GET", "/data/a", "Connection: close, "+name+"\r\n", ""))
		c.expect(400, "malformed_request", "")
		c.ends()
	}
	f.reached(0)
}

func TestFieldsAreCounted(t *testing.T) {
	f := start(t)
	fields := func(n int) string { return strings.Repeat("X-A: b\r\n", n-2) } // beside host and token
	c := f.dial()
	c.send(request("GET", "/data/a", fields(128), ""))
	c.expect(200, "", "")
	c.send(request("GET", "/data/a", fields(129), ""))
	c.expect(431, "too_large", "")
	f.reached(1)
}

func TestCloseIsPassedOn(t *testing.T) {
	c := start(t).dial()
	c.send(request("GET", "/data/a", "Connection: close\r\n", ""))
	c.expect(200, "", "")
	c.ends()
}

// body reads one answer and returns its body.
func (c *client) body(status int) string {
	c.t.Helper()
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		c.t.Fatalf("answer %d %q, %v, want %d", answer.StatusCode, got, err, status)
	}
	return string(got)
}
