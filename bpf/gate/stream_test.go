package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
)

// drip sends a line, and another whenever it is told to.
func drip(next <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; ; i++ {
			fmt.Fprintf(w, "line %d\n", i)
			http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// An answer that streams reaches the client line by line, and ends when its
// user loses access.
func TestLongAnswersStreamAndEnd(t *testing.T) {
	next := make(chan struct{})
	f := startWith(t, gate.Settings{}, drip(next))
	c := f.dial()
	c.send(request("GET", "/data/a", "", ""))
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 7)
	for i := range 3 {
		if _, err := io.ReadFull(answer.Body, line); err != nil || string(line) != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
		next <- struct{}{}
	}
	io.ReadFull(answer.Body, line)
	began := time.Now()
	f.revoked.Store(true)
	f.gate.Review(subject)
	if _, err := io.ReadFull(answer.Body, line); err == nil {
		t.Fatalf("%q after the revocation", line)
	}
	t.Logf("ended after %v", time.Since(began))
}

// An answer that is under way when its user is swept, and still allowed, is whole, and
// the last of its connection.
func TestSweepDuringAnAnswer(t *testing.T) {
	held := make(chan struct{})
	f := startWith(t, gate.Settings{}, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "first ")
		http.NewResponseController(w).Flush()
		<-held
		io.WriteString(w, "second")
	})
	c := f.dial()
	c.send(request("GET", "/data/a", "", ""))
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.gate.Sweep(subject)
	close(held)
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "first second" {
		t.Errorf("%q, %v", body, err)
	}
	c.ends()
}

// A request whose answer is over is not ended by a review: the next request of
// the connection is told why.
func TestReviewLeavesIdleConnections(t *testing.T) {
	c := start(t).dial()
	c.send(request("GET", "/data/a", "", ""))
	c.expect(200, "", "")
	c.send(request("HEAD", "/data/a", "", ""))
	if answer, err := http.ReadResponse(c.reader, &http.Request{Method: "HEAD"}); err != nil || answer.StatusCode != 200 {
		t.Fatal(answer, err)
	}
	for c.gate.UnderWay() > 0 {
		runtime.Gosched()
	}
	c.revoked.Store(true)
	c.gate.ReviewAll()
	c.send(request("GET", "/data/a", "", ""))
	c.expect(401, "token_revoked", "")
	c.ends()
}

func TestServiceThatIsDownIsABadGateway(t *testing.T) {
	for _, pending := range []string{"", "Content-Length: 3\r\n"} {
		f := startWith(t, gate.Settings{Upstream: "127.0.0.1:1"}, nil)
		c := f.dial()
		c.send(request("POST", "/data/a", pending, ""))
		c.expect(502, "service_unreachable", "")
		c.ends()
	}
}

// A service that takes the request and ends without a word, too.
func TestServiceThatSaysNothingIsABadGateway(t *testing.T) {
	f := startWith(t, gate.Settings{}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	c := f.dial()
	c.send(request("GET", "/data/a", "", ""))
	c.expect(502, "service_unreachable", "")
	c.ends()
}
