package enforce

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// splice copies between clients and an upstream in the kernel, where the gate
// cannot see it all.
func splice(t *testing.T, l net.Listener, upstream string) {
	t.Helper()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("tcp", upstream)
				if err != nil {
					return
				}
				defer server.Close()
				go io.Copy(client, server)
				io.Copy(server, client)
			}()
		}
	}()
}

// stands asserts how the site's address is guarded.
func (s *site) stands(mode string) {
	s.t.Helper()
	if all := s.kernel.Standings(); len(all) != 1 || all[0].Listen != s.address || all[0].Mode != mode || (all[0].Why == "") != (mode == "kernel") {
		s.t.Errorf("standings %+v, want %s", all, mode)
	}
}

// A service whose application the kernel cannot guard is shut, with one line that
// says why; when the application has gone to its upstream, the user-space gate takes
// the address, knows the tokens of before, and says so.
func TestUnsafeServiceGoesToTheUserSpaceGate(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	s := newSite(t)
	upstream := s.address
	l := plain(t, "127.0.0.1:0")
	splice(t, l, upstream)
	s.address = l.Addr().String()
	s.upstream = upstream
	s.populate()
	s.open(lone{s.machine}, time.Minute, 50*time.Millisecond)
	s.enforced()
	if text := s.log.String(); strings.Count(text, "a service is shut") != 1 || !strings.Contains(text, "splice") || !strings.Contains(text, upstream) {
		t.Fatalf("logged: %s", text)
	}
	s.stands("shut")
	s.besieged("shut", func() {
		for range 3 {
			if got := s.ask("/open", ""); !strings.Contains(got, "timeout") {
				t.Errorf("a shut service answers %s", got)
			}
		}
	})
	l.Close()
	s.besieged("relayed", func() {
		s.becomes("/read", ownToken, "200")
		s.becomes("/open", "", "200")
		s.becomes("/read", clientToken, "200")
		s.becomes("/write", clientToken, "403 insufficient_permission")
	})
	s.stands("gate")
	if text := s.log.String(); strings.Count(text, "guarded by the user-space gate") != 1 {
		t.Errorf("logged: %s", text)
	}
}

// An ordinary application is guarded by the kernel, and a client's token may do less
// than its account's.
func TestKernelKnowsBoundedTokens(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	s := newSite(t)
	s.populate()
	s.open(lone{s.machine}, time.Minute, 50*time.Millisecond)
	s.enforced()
	s.besieged("ordinary", func() {
		s.becomes("/read", ownToken, "200")
		s.becomes("/write", ownToken, "200")
		s.becomes("/read", clientToken, "200")
		s.becomes("/write", clientToken, "403 insufficient_permission")
	})
	s.stands("kernel")
	if text := s.log.String(); !strings.Contains(text, "a service is guarded by the kernel") {
		t.Errorf("logged: %s", text)
	}
}

// Every user who loses access is swept, after the grace and not before it, and many
// of them in one look.
func TestSweepsAreGathered(t *testing.T) {
	swept := make(chan []policy.Subject, 100)
	s := &sweeper{sweep: func(all []policy.Subject) { swept <- all }}
	began := time.Now()
	const users = 100
	for i := range users {
		s.add(policy.Subject{15: byte(i)})
	}
	seen, looks := map[policy.Subject]bool{}, 0
	for len(seen) < users {
		for _, subject := range <-swept {
			seen[subject] = true
		}
		if looks++; time.Since(began) < sweepGrace {
			t.Fatal("swept before the grace was over")
		}
	}
	if looks > 3 {
		t.Errorf("%d looks", looks)
	}
}
