package gate_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
)

// A dry run refuses nothing that comes by HTTP/2 and TLS either, tells the service no
// name of a refused request, and ends nothing until it is over.
func TestDryRunOfHTTP2(t *testing.T) {
	a := newAuthority(t)
	f := startWith(t, a.settings(), showHeaders)
	f.program.Store(dryProgram(t, routes))
	client := a.client(http2)
	for _, c := range []struct {
		path, token string
		named       bool // the service is told whose it is
		reason      policy.Reason
	}{
		{"/data/a", token, true, policy.ReasonAllowed},
		{"/data/a", "", false, policy.ReasonNoToken},
		{"/nowhere", token, false, policy.ReasonNoRoute},
		{"/data//a", token, false, policy.ReasonMalformed},
	} {
		before := f.gate.Counts()[c.reason]
		answer, got := f.fetch(client, "https", c.path, c.token, nil)
		if answer.StatusCode != 200 || f.gate.Counts()[c.reason] != before+1 {
			t.Errorf("%s: %v, %s counted %d times", c.path, answer, c.reason, f.gate.Counts()[c.reason]-before)
		}
		if named := strings.Contains(got, "X-Authfi-User=user-5\n"); named != c.named {
			t.Errorf("%s: the service is told the user: %t", c.path, named)
		}
	}
	f.reached(4)
	f.enforce(routes)
	if answer, _ := f.fetch(client, "https", "/data/a", "", nil); answer.StatusCode != 401 {
		t.Errorf("after the dry run: %v", answer)
	}
}

// A stream that was let through in a dry run lasts until it is over, whoever lost
// what meanwhile.
func TestEndOfADryRunReachesStreams(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	f := startWith(t, gate.Settings{H2C: true}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	f.program.Store(dryProgram(t, routes))
	r, err := http.NewRequest("GET", "http://"+f.gate.Addr().String()+"/data/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := newAuthority(t).client(h2c).Do(r)
	if err != nil || answer.StatusCode != 200 {
		t.Fatal(answer, err)
	}
	defer answer.Body.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, answer.Body)
		ended <- err
	}()
	f.revoked.Store(true)
	f.gate.Sweep(subject)
	f.gate.ReviewAll()
	if counts := f.gate.Counts(); counts[policy.ReasonNoToken] != 1 {
		t.Errorf("counts %v", counts)
	}
	select {
	case err := <-ended:
		t.Fatalf("the stream ended in the dry run: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	f.enforce(routes)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the stream ended as if it were whole")
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream lives on after the dry run")
	}
}
