package api

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
)

// TestReceivedIsTheFirstByte: of a request whose body comes late, and of the next
// one on the same connection.
func TestReceivedIsTheFirstByte(t *testing.T) {
	seen := make(chan *access.Origin, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = originated(w, r)
		io.Copy(io.Discard, r.Body)
		seen <- access.OriginOf(r.Context())
	}))
	server.Config = NewHTTPServer(server.Config.Handler, slog.New(slog.DiscardHandler))
	server.Listener = Arrivals(server.Listener)
	server.Start()
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	var last access.Origin
	for n := range 3 {
		began := time.Now()
		fmt.Fprint(c, "P")
		<-time.After(20 * time.Millisecond) // ample for the server to read the first byte
		rest := time.Now()
		fmt.Fprint(c, "OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
		o := <-seen
		res, err := http.ReadResponse(answers, nil)
		if err != nil || res.Header.Get(headerTrace) != o.Trace.String() || o.Trace == last.Trace || o.Address != "127.0.0.1" {
			t.Fatalf("%v %v %+v", err, res, o)
		}
		if o.Received.Before(began) || !o.Received.Before(rest) {
			t.Errorf("request %d came in %v after its first byte, before the rest: %v", n, o.Received.Sub(began), o.Received.Before(rest))
		}
		last.Trace = o.Trace
	}
}
