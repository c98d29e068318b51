package enforce

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// TestKernelTellsWhatItDecided: counts in the mode in which they were made, and whom
// it refused.
func TestKernelTellsWhatItDecided(t *testing.T) {
	if os.Getenv("AUTHFI_TEST_NO_KERNEL") == "1" {
		return // as make test says where it is not root
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
	k, err := OpenKernel(bpf.Config{PinDir: dir, Logger: slog.New(slog.DiscardHandler)})
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
	ask := func(dry bool) string {
		s := policy.Service{Version: 3, Routes: []policy.Route{{Path: "/a"}}, DryRun: dry}
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
	if err := k.RemoveService(listen); err != nil {
		t.Fatal(err)
	}
	if len(k.Seen().Tallies()) != 0 {
		t.Error("an address that is let go is still counted")
	}
}
