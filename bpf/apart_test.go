package bpf

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
	"golang.org/x/sys/unix"
)

// apart is a thread of its own, which has no part in what the others have: what
// change gives it ends with the thread.
func apart(t *testing.T, change func() error, then func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if err := change(); err != nil {
			done <- err
			return
		}
		done <- then()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// The same address in another network namespace is another service, or none.
func TestOtherNetworkNamespaceIsNotGuarded(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		r := newRig(t, listen)
		apart(t, func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
			if err := loopbackUp(); err != nil {
				return err
			}
			l, err := net.Listen("tcp", r.address.String())
			if err != nil {
				return err
			}
			defer l.Close()
			return echoed(l, dialable(r.address))
		})
		if got := exchange(t, dial(t, dialable(r.address)), get("/admin", "")); got != "403 no_route" {
			t.Errorf("%s in the gate's own: %s", listen, got)
		}
	}
}

// dialable is an address of a listener that a client can name.
func dialable(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port()).String()
	}
	return a.String()
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// echoed fails unless a request without a token comes through unchanged. Both sides
// are on this thread: a goroutine of its own would be in another namespace, but an
// accepted connection is where its listener is.
func echoed(l net.Listener, address string) error {
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	server := <-accepted
	defer server.Close()
	request := get("/admin", "")
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	server.SetDeadline(time.Now().Add(5 * time.Second))
	read := make([]byte, len(request))
	if _, err := io.ReadFull(server, read); err != nil || string(read) != request {
		return fmt.Errorf("the other namespace's service read %q, %v", read, err)
	}
	return nil
}

// group is a cgroup of the test's own.
func group(t *testing.T, name string) string {
	t.Helper()
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "authfi-test-"+name)
	os.Remove(dir) // of a run that was killed
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A socket keeps its cgroup alive, not its directory.
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// listenIn makes a listener whose sockets belong to a cgroup: a socket has that of
// the thread which made it, for ever.
func listenIn(t *testing.T, dir, listen string, control func(fd int) error) net.Listener {
	t.Helper()
	var l net.Listener
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	move := func(to string) error {
		return os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte("0"), 0)
	}
	if err := move(dir); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := move(root); err != nil {
			t.Fatal(err)
		}
	}()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if control == nil {
			return nil
		}
		if failed := c.Control(func(fd uintptr) { err = control(int(fd)) }); failed != nil {
			return failed
		}
		return err
	}}
	config.SetMultipathTCP(false)
	if l, err = config.Listen(context.Background(), "tcp", listen); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A gate guards the services of its cgroup, and nobody else's on the same port.
func TestOtherCgroupIsNotGuarded(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	inside, outside := group(t, "inside"), group(t, "outside")
	r := &rig{numbers: policy.NewNumbering(theRoutes)}
	mine := listenIn(t, inside, "127.0.0.1:0", nil)
	r.serveOn(t, mine)
	gate, err := Open(Config{Cgroup: inside, PinDir: pins(t, ""), Logger: configAt("").Logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gate.Close() })
	r.Enforcer = gate
	wide := netip.AddrPortFrom(netip.IPv4Unspecified(), r.address.Port())
	program, err := policy.Compile(theOrg, theRoutes, r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(wide, program); err != nil {
		t.Fatal(err)
	}
	other := &rig{}
	other.serveOn(t, listenIn(t, outside, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), r.address.Port()).String(), nil))
	if got := exchange(t, r.dial(t), get("/admin", "")); got != "403 no_route" {
		t.Errorf("inside: %s", got)
	}
	if got := exchange(t, other.dial(t), get("/admin", "")); got != "200 GET /admin 0" {
		t.Errorf("outside: %s", got)
	}
}

// Several listeners share an address: whichever of them the kernel chooses, the
// connection is the service's.
func TestListenersThatShareAnAddressAreAllGuarded(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"127.0.0.1:0", "[::]:0"} {
		share := func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
		first := listenIn(t, root, listen, share)
		r := &rig{numbers: policy.NewNumbering(theRoutes)}
		r.serveOn(t, first)
		var seen [4]atomic.Int64
		for i := range seen {
			l := listenIn(t, root, r.address.String(), share)
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { seen[i].Add(1) })}
			go server.Serve(l)
			t.Cleanup(func() { server.Close() })
		}
		r.open(t, pins(t, fmt.Sprint("-", strings.Contains(listen, "::"))))
		for range 200 {
			c := dial(t, dialable(r.address))
			if got := exchange(t, c, get("/admin", tokenDoctor)); got != "403 no_route" {
				t.Fatalf("%s: %s", listen, got)
			}
			c.Close()
		}
		for range 200 {
			c := dial(t, dialable(r.address))
			if got := exchange(t, c, get("/health", "")); !strings.HasPrefix(got, "200") {
				t.Fatalf("%s: %s", listen, got)
			}
			c.Close()
		}
		for i := range seen {
			if n := seen[i].Load(); n == 0 || n > 200 {
				t.Errorf("%s: listener %d served %d of 200", listen, i, n)
			}
		}
	}
}
