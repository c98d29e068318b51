package enforce

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// TestKernelTellsWhatItDecided: counts in the mode in which they were made, and whom
// it refused.
func TestKernelTellsWhatItDecided(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") })}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	dir := filepath.Join("/sys/fs/bpf", "authfi-test-"+t.Name())
	k, err := OpenKernel(bpf.Config{PinDir: dir, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if err := bpf.Detach(dir); err != nil {
			t.Error(err)
		}
	})
	listen := listener.Addr().String()
	version := uint64(3)
	ask := func(dry bool) string {
		s := policy.Service{Version: version, Routes: []policy.Route{{Path: "/b"}, {Path: "/a"}, {Path: "/c", Public: true}}, DryRun: dry}
		if err := k.SetService(listen, "", 1, compiledFor(t, s)); err != nil {
			t.Fatal(err)
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + listen + "/a")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return fmt.Sprint(res.StatusCode, " ", res.Header.Get("X-Authfi-Verdict"))
	}
	if first, second := ask(true), ask(false); first != "200 " || second != "401 no_token" {
		t.Errorf("in a dry run %s, after it %s", first, second)
	}
	if got := k.Seen().Tallies()[listen]; got.LetThrough != 1 || got.WouldRefuse != 1 || got.Refused != 1 || got.Reasons[policy.ReasonNoToken] != 2 {
		t.Errorf("tally %+v", got)
	}
	for range 2 { // reading them twice counts nothing twice
		if got := k.Seen().Tallies()[listen].Routes; !slices.Equal(got, []RouteTally{{}, {Refused: 2}, {}}) {
			t.Errorf("the routes have decided %+v", got)
		}
	}
	version = 4
	ask(false)
	for _, path := range []string{"/c", "/c", "/nowhere"} {
		res, err := http.Get("http://" + listen + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	if got := k.Seen().Tallies()[listen].Routes; !slices.Equal(got, []RouteTally{{}, {Refused: 1}, {LetThrough: 2}}) {
		t.Errorf("the routes of the new policies have decided %+v", got)
	}
	if err := k.RemoveService(listen); err != nil {
		t.Fatal(err)
	}
	if len(k.Seen().Tallies()) != 0 {
		t.Error("an address that is let go is still counted")
	}
}

// TestDryRunIsNotTested: a probe would reach the application. An application that the
// kernel cannot guard is shut when its dry run ends, and open when one begins.
func TestDryRunIsNotTested(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	l := plain(t, "127.0.0.1:0")
	splice(t, l, plain(t, "127.0.0.1:0").Addr().String())
	var log lines
	dir := filepath.Join("/sys/fs/bpf", "authfi-test-"+t.Name())
	k, err := OpenKernel(bpf.Config{PinDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(k.Close(), bpf.Detach(dir)); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		dry          bool
		shut, warned int
	}{{true, 0, 1}, {false, 1, 1}, {true, 1, 2}, {false, 2, 2}} {
		s := policy.Service{Routes: []policy.Route{{Path: "/a"}}, DryRun: c.dry}
		if err := k.SetService(l.Addr().String(), "", 1, compiledFor(t, s)); err != nil {
			t.Fatal(err)
		}
		if err := k.Reap(); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "a service is shut"); n != c.shut {
			t.Fatalf("dry run %t: shut %d times, want %d: %s", c.dry, n, c.shut, log.String())
		}
		if n := strings.Count(log.String(), "a service in a dry run may hang"); n != c.warned {
			t.Errorf("dry run %t: warned %d times, want %d", c.dry, n, c.warned)
		}
		if why := k.Standings()[0].Why; (why == untested) != c.dry {
			t.Errorf("dry run %t: it stands there because %q", c.dry, why)
		}
		if got := len(k.services[l.Addr().String()].refused) > 0; got == c.dry {
			t.Errorf("dry run %t: shut %t", c.dry, got)
		}
	}
	if got := k.Seen().Tallies()[l.Addr().String()]; got.Refused != 0 || got.LetThrough != 0 || len(k.Seen().Refusals()) != 0 {
		t.Errorf("the probes are counted: %+v", got)
	}
}
