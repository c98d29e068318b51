package bpf

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
	"golang.org/x/sys/unix"
)

// inspect gives the findings of the rig's address as text.
func (r *rig) inspect(t *testing.T) string {
	t.Helper()
	var all []string
	for _, f := range r.findings(t) {
		switch {
		case f.Unsafe != "":
			all = append(all, f.Unsafe)
		case f.Unread:
			all = append(all, "unread")
		default:
			all = append(all, "safe")
		}
	}
	return strings.Join(all, ", ")
}

func (r *rig) findings(t *testing.T) (all []Finding) {
	t.Helper()
	listeners, err := Listeners()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		if l.Serves(r.address) {
			f, err := r.Inspect(r.address, l)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, f)
		}
	}
	return all
}

func TestOrdinaryApplicationsAreSafe(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0", "0.0.0.0:0"} {
		r := newRig(t, listen)
		if got := r.inspect(t); got != "safe" {
			t.Errorf("%s: %s", listen, got)
		}
		if r.served.Load() != 0 {
			t.Errorf("%s: %d probes were served", listen, r.served.Load())
		}
		if got := exchange(t, dial(t, dialable(r.address)), get("/health", "")); got != "200 GET /health 0" {
			t.Errorf("%s, after the test: %s", listen, got)
		}
	}
}

// relay copies between a client and an upstream, in the kernel where it can.
func relay(t *testing.T, l net.Listener, upstream string) {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go splice(client, upstream)
		}
	}()
}

func splice(client net.Conn, upstream string) {
	defer client.Close()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(client, server) // TCPConn to TCPConn is a splice
	io.Copy(server, client)
}

// A relay that splices reads what came before it had accepted, and the gate sees
// nothing of it.
func TestSplicingRelayIsFoundAndShut(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	behind := serve(t, "127.0.0.1:0")
	l := listenPlain(t, "127.0.0.1:0")
	relay(t, l, behind.address.String())
	r.address = netip.MustParseAddrPort(l.Addr().String())
	r.fill(t)
	if got := r.inspect(t); !strings.Contains(got, "splice") {
		t.Fatalf("found %q", got)
	}
	open := r.dial(t)
	behind.served.Store(0)
	if err := r.Shut(r.address, true); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(open); len(b) > 0 || isTimeout(err) {
		t.Errorf("an open connection of a shut address: %q, %v", b, err)
	}
	for range 50 {
		c := r.dial(t)
		io.WriteString(c, get("/health", ""))
		defer c.Close()
	}
	c := r.dial(t)
	c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if got := exchange(t, c, get("/health", "")); !strings.Contains(got, "timeout") || behind.served.Load() != 0 {
		t.Errorf("a shut address: %s, %d served", got, behind.served.Load())
	}
	if err := r.Shut(r.address, false); err != nil {
		t.Fatal(err)
	}
	l.Close()
	ordinary := &rig{}
	ordinary.serveOn(t, listenPlain(t, r.address.String()))
	if got := exchange(t, r.dial(t), get("/health", "")); got != "200 GET /health 0" {
		t.Errorf("another application on the address: %s", got)
	}
}

// A relay that is always there already has accepted before a request can arrive, unless
// the request comes with what makes the connection. A client may send it so, and then
// the relay reads around the gate as well as a slow one.
func TestSplicingRelayIsFoundHoweverFastItAccepts(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	behind := serve(t, "127.0.0.1:0")
	l := listenPlain(t, "127.0.0.1:0")
	relayAtOnce(t, l, behind.address.String())
	r.address = netip.MustParseAddrPort(l.Addr().String())
	r.fill(t)
	for range 10 {
		if got := r.inspect(t); !strings.Contains(got, "splice") {
			t.Fatalf("found %q", got)
		}
	}
}

// A client may send its request so too, with a mark of its own. It is not let in until the
// connection stands, which its machine is told anew after a second, and judged as any.
func TestRequestWithTheHandshakeWaitsForTheGate(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	for _, mark := range []uint32{0, 1, r.mark ^ 2} {
		before := r.count(t, "guard_dropped")
		dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
			failed := raw.Control(func(fd uintptr) {
				err = errors.Join(
					unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)),
					unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0),
				)
			})
			return errors.Join(failed, err)
		}}
		c, err := dialer.Dial("tcp", r.address.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if got := exchange(t, c, get("/api/patients/7", "")); got != "401 no_token" {
			t.Errorf("mark %d: %s", mark, got)
		}
		if r.count(t, "guard_dropped") == before {
			t.Errorf("mark %d: nothing was kept from the listener", mark)
		}
	}
	if n := r.served.Load(); n != 0 {
		t.Errorf("%d requests were served", n)
	}
}

func (r *rig) count(t *testing.T, what string) uint64 {
	t.Helper()
	stats, err := r.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats.Counts[what]
}

// relayAtOnce is relay with an acceptor that never sleeps.
func relayAtOnce(t *testing.T, l net.Listener, upstream string) {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var listener int
	if err := raw.Control(func(fd uintptr) { listener = int(fd) }); err != nil { // open for as long as l is
		t.Fatal(err)
	}
	accepted, done, ended := make(chan int, 10*ProbesMax), make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(done)
		<-ended
		l.Close()
	})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		for {
			select {
			case <-done:
				close(accepted)
				return
			default:
			}
			if fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); err == nil {
				accepted <- fd
			}
		}
	}()
	go func() {
		for fd := range accepted {
			file := os.NewFile(uintptr(fd), "client")
			client, err := net.FileConn(file)
			file.Close()
			if err != nil {
				continue
			}
			go splice(client, upstream)
		}
	}()
}

func listenPlain(t *testing.T, listen string) net.Listener {
	t.Helper()
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// An address that was shut stays so in the next process, until it says otherwise.
func TestShutAddressStaysShut(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	other := serve(t, "127.0.0.1:0")
	other.Enforcer, other.numbers = r.Enforcer, r.numbers
	other.fill(t)
	if err := r.Shut(r.address, true); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"reset", "reopened", "as another build"} {
		switch how {
		case "reset":
			if err := r.Reset(); err != nil {
				t.Fatal(err)
			}
		case "as another build":
			current, err := r.versionDir()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(current, r.cfg.PinDir+"/v0"); err != nil {
				t.Fatal(err)
			}
			fallthrough
		default:
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := Open(r.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { again.Close() })
			r.Enforcer, other.Enforcer = again, again
		}
		r.fill(t)
		other.fill(t)
		c := r.dial(t)
		c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if got := exchange(t, c, get("/health", "")); !strings.Contains(got, "timeout") {
			t.Errorf("%s: %s", how, got)
		}
		if got := exchange(t, other.dial(t), get("/health", "")); got != "200 GET /health 0" {
			t.Errorf("%s, the other address: %s", how, got)
		}
	}
	if r.served.Load() != 0 {
		t.Errorf("%d served", r.served.Load())
	}
	if err := r.Shut(r.address, false); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, r.dial(t), get("/health", "")); got != "200 GET /health 0" {
		t.Errorf("not shut any more: %s", got)
	}
}

// A listener that was made outside the gate's cgroup is not seen at all.
func TestListenerOutsideTheCgroupIsUnsafe(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	inside, outside := group(t, "selftest"), group(t, "elsewhere")
	r := &rig{numbers: policy.NewNumbering(theRoutes)}
	r.serveOn(t, listenIn(t, outside, "127.0.0.1:0", nil))
	gate, err := Open(Config{Cgroup: inside, PinDir: pins(t, ""), Logger: configAt("").Logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gate.Close() })
	r.Enforcer = gate
	r.fill(t)
	if got := r.inspect(t); !strings.Contains(got, "outside the gate's cgroup") {
		t.Errorf("outside: %s", got)
	}
	r.serveOn(t, listenIn(t, inside, "127.0.0.1:0", nil))
	r.fill(t)
	if got := r.inspect(t); got != "safe" {
		t.Errorf("inside: %s", got)
	}
}

// An application that is too busy to read has told nothing.
func TestUnreadProbesTellNothing(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	idle := listenPlain(t, "127.0.0.1:0")
	defer idle.Close()
	r.address = netip.MustParseAddrPort(idle.Addr().String())
	r.fill(t)
	if got := r.inspect(t); got != "unread" {
		t.Errorf("nobody accepts: %s", got)
	}
}

// An application that reads with blocking calls, as most old ones do, is served, and
// nothing that is refused reaches it. It closes when the kernel wakes it with an
// error, which may overtake the answer to the refused client.
func TestBlockingReaderIsSafe(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	var read atomic.Int64
	fd, address := blockingServer(t, &read)
	r.address = address
	r.fill(t)
	if got := r.inspect(t); got != "safe" {
		t.Errorf("found %s", got)
	}
	const rounds = 50
	for range rounds {
		if got := exchange(t, r.dial(t), get("/health", "")); got != "200 ok" {
			t.Fatalf("served: %s", got)
		}
		if got := exchange(t, r.dial(t), get("/admin", "")); got != "403 no_route" && got != "unexpected EOF" && !strings.Contains(got, "reset") {
			t.Fatalf("refused: %s", got)
		}
	}
	if read.Load() != rounds {
		t.Errorf("%d requests reached it, want %d", read.Load(), rounds)
	}
	unix.Shutdown(fd, unix.SHUT_RDWR)
}

// blockingServer accepts and reads by system calls that wait, one thread for each
// connection.
func blockingServer(t *testing.T, read *atomic.Int64) (fd int, address netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, _, err := unix.Accept(fd)
			if err != nil {
				return
			}
			go answerBlocking(c, read)
		}
	}()
	return fd, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port))
}

func answerBlocking(fd int, read *atomic.Int64) {
	defer unix.Close(fd)
	buffer := make([]byte, 4096)
	n, err := unix.Read(fd, buffer)
	if err != nil || n == 0 {
		return
	}
	read.Add(1)
	unix.Write(fd, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
}

// A client that asks for MPTCP hung for ever: its connection cannot be enrolled.
func TestMultipathClientFallsBackToTCP(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		r := newRig(t, "127.0.0.1:0")
		config := net.ListenConfig{}
		config.SetMultipathTCP(true)
		l, err := config.Listen(context.Background(), "tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		r.serveOn(t, l)
		r.fill(t)
		if found := r.findings(t); len(found) != 1 || found[0].Unsafe != "" || !found[0].Multipath {
			t.Errorf("%s: %+v", listen, found)
		}
		dialer := net.Dialer{Timeout: 20 * time.Second}
		dialer.SetMultipathTCP(true)
		c, err := dialer.Dial("tcp", r.address.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if got := exchange(t, c, get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
			t.Errorf("%s: %s", listen, got)
		}
	}
}

// An application that answers what the gate has not seen is told of.
func TestLeakIsTold(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	eager := listenPlain(t, "127.0.0.1:0")
	defer eager.Close()
	go func() {
		for {
			c, err := eager.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}()
	r.address = netip.MustParseAddrPort(eager.Addr().String())
	r.fill(t)
	c := r.dial(t)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if err := r.Reap(); err != nil {
			t.Fatal(err)
		}
		if leaks := r.TakeLeaks(); len(leaks) > 0 {
			if leaks[0] != r.address {
				t.Errorf("told of %v", leaks)
			}
			c.SetDeadline(time.Now().Add(100 * time.Millisecond))
			if b, _ := io.ReadAll(c); len(b) > 0 {
				t.Errorf("%q left", b)
			}
			return
		}
	}
	t.Error("nothing was told")
}
