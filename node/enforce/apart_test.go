package enforce

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// pair is a kernel gate with two addresses, of which one has settings of the
// user-space gate.
type pair struct {
	*Kernel
	t            *testing.T
	log          lines
	plain, apart string
	upstream     string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") })
	server := &http.Server{Handler: handler}
	t.Cleanup(func() { server.Close() })
	own, upstream := plain(t, "127.0.0.1:0"), plain(t, "127.0.0.1:0")
	go server.Serve(own)
	go server.Serve(upstream)
	p.plain, p.upstream = own.Addr().String(), upstream.Addr().String()
	free := plain(t, "127.0.0.1:0")
	p.apart = free.Addr().String()
	free.Close()
	dir := filepath.Join("/sys/fs/bpf", "authfi-test-"+t.Name())
	var err error
	p.Kernel, err = OpenKernel(bpf.Config{PinDir: dir, Logger: slog.New(slog.NewTextHandler(&p.log, nil))}, map[string]Settings{
		p.apart: {H2C: true}, p.plain: {Upstream: p.upstream},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), bpf.Detach(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := p.SetKey(1, 2); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) set(listen string) {
	p.t.Helper()
	upstream := ""
	if listen == p.apart {
		upstream = p.upstream
	}
	if err := p.SetService(listen, upstream, 1, program(p.t, protected)); err != nil {
		p.t.Fatal(err)
	}
}

// expect asks both addresses.
func (p *pair) expect(why string, status int) {
	p.t.Helper()
	for _, listen := range []string{p.plain, p.apart} {
		got, err := ask(listen)
		if err != nil {
			p.t.Fatalf("%s: %s: %v", why, listen, err)
		}
		if got != status {
			p.t.Errorf("%s: %s answers %d, want %d", why, listen, got, status)
		}
	}
}

// ask sends a request and reads a served answer to the end of its connection: until
// then the gate has the request under way, and a right that is taken away meanwhile
// ends that, and is counted.
func ask(listen string) (status int, err error) {
	conn, err := net.DialTimeout("tcp", listen, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET /data/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", goodToken); err != nil {
		return 0, err
	}
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.StatusCode, nil
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, reader)
	return answer.StatusCode, err
}

func (p *pair) standing(listen string) string {
	for _, s := range p.Standings() {
		if s.Listen == listen {
			return s.Mode
		}
	}
	return "none"
}

// The two gates decide alike, each about its own addresses, and what both have seen is
// one.
func TestSettingsGiveAnAddressToTheUserSpaceGate(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	p := newPair(t)
	p.set(p.plain)
	p.set(p.apart)
	if kernel, gate := p.standing(p.plain), p.standing(p.apart); kernel != "kernel" || gate != "gate" {
		t.Fatalf("the one is guarded by %s, the other by %s", kernel, gate)
	}
	entry := policy.TokenEntry{ExpiresNs: ^uint64(0), Subject: holder, Org: 1, Length: uint32(len(goodToken))}
	key, good := rowKey(goodToken), policy.SubjectEntry{Org: 1}
	step := func(why string, status int, errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		p.expect(why, status)
	}
	step("no lease", 503, p.PutSubject(holder, good), p.PutToken(key, entry))
	step("a lease", 200, p.ExtendLease(p.BootNow()+uint64(time.Minute)))
	step("deactivated", 401, p.PutSubject(holder, policy.SubjectEntry{Org: 1, Disabled: 1}))
	step("without the token", 401, p.PutSubject(holder, good), p.DeleteToken(key))
	step("without the user", 401, p.PutToken(key, entry), p.DeleteSubject(holder))
	for listen, tally := range p.Seen().Tallies() {
		if tally.LetThrough != 1 || tally.Refused != 4 || tally.Reasons[policy.ReasonLease] != 1 {
			t.Errorf("%s has seen %+v", listen, tally)
		}
	}
	if n := len(p.Seen().Tallies()); n != 2 {
		t.Errorf("%d addresses have seen something", n)
	}
	counters, _, lease, err := p.Report()
	if err != nil || counters["allowed"] != 2 || lease <= p.BootNow() {
		t.Errorf("report %v, lease %d, %v", counters, lease, err)
	}
	step("tables that are filled anew", 503, p.Reset())
	if err := p.Settled(); err != nil || len(p.Standings()) != 0 {
		t.Errorf("addresses that nobody confirmed are still there: %+v, %v", p.Standings(), err)
	}
}

// While the user-space gate cannot have its address, nothing comes in to whoever
// listens there.
func TestAddressWithSettingsIsShutUntilItsGateHasIt(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	p := newPair(t)
	l := plain(t, p.apart)
	var came atomic.Int64 // bytes
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				n, _ := c.Read(make([]byte, 100))
				came.Add(int64(n))
			}()
		}
	}()
	p.set(p.apart)
	if got := p.standing(p.apart); got != "shut" || !strings.Contains(p.log.String(), "not served by the gate") {
		t.Fatalf("it is %s: %s", got, p.log.String())
	}
	c, err := net.Dial("tcp", p.apart)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET /data/a HTTP/1.1\r\nHost: x\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 {
		t.Errorf("a shut address answers: %v", err)
	}
	c.Close()
	l.Close()
	for range 1 << testPauseMax {
		if err := p.Reap(); err != nil {
			t.Fatal(err)
		}
		if p.standing(p.apart) == "gate" {
			if n := came.Load(); n > 0 {
				t.Errorf("%d bytes came in to a shut address", n)
			}
			p.set(p.plain)
			p.expect("the gate has it", 503)
			return
		}
	}
	t.Errorf("the gate does not take the address: %s", p.log.String())
}

// An address for which the kernel has no place is shut, and guarded when there is one.
func TestAddressWithoutAPlaceIsShut(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	p := newPair(t)
	other := func(n int) string { return fmt.Sprint("127.9.9.9:", 1000+n) }
	n := 0
	for p.set(other(n)); p.standing(other(n)) != "shut"; p.set(other(n)) {
		n++
	}
	p.set(p.plain)
	if got := p.standing(p.plain); got != "shut" || strings.Count(p.log.String(), "a service is shut") != 2 {
		t.Fatalf("after %d addresses it is %s: %s", n, got, p.log.String())
	}
	for gone := n; gone >= n-1; gone-- { // the other one without a place, too
		if err := p.RemoveService(other(gone)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Reap(); err != nil {
		t.Fatal(err)
	}
	if got := p.standing(p.plain); got != "kernel" {
		t.Errorf("with a place it is %s", got)
	}
}
