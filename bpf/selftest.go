package bpf

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of the self-test of one listener.
const (
	// ProbesMax is how many connections a test makes: an application may serve each in
	// another way, and several processes may share a listener.
	ProbesMax = 24
	probeWait = 300 * time.Millisecond
)

// probeRequest is refused by every policy, for its form. An application that reads
// it nevertheless is asked for nothing.
const probeRequest = "OPTIONS * HTTP/1.1\r\nHost: authfi-self-test\r\n\r\n"

// Finding is what the self-test says about one listener of an enforced address.
type Finding struct {
	// Unsafe says why the kernel gate must not stand before it; empty: it may.
	Unsafe string
	// Refused is how many probes the gate refused.
	Refused int
	// Unread is true when no probe was read: nothing is known yet.
	Unread bool
	// Multipath: the listener takes MPTCP, whose clients fall back to TCP after
	// three seconds.
	Multipath bool
	// Abrupt: the application reads with calls that wait, is woken by a refused
	// request with an error, and closes. Some refused clients then see the end of
	// the connection before the answer.
	Abrupt bool
}

// Inspect tests a listener of an enforced address. Every probe is a connection of
// this process with a request that cannot pass: the gate must refuse it before the
// application reads it.
func (e *Enforcer) Inspect(listen netip.AddrPort, l Listener) (f Finding, err error) {
	f.Multipath = l.multipath
	inside, err := e.guards(l.cgroup)
	if err != nil {
		return f, err
	}
	if !inside {
		f.Unsafe = "its listener was made outside the gate's cgroup " + e.cfg.Cgroup + ", so the gate does not see its connections"
		return f, nil
	}
	return f, e.probeListener(reachable(l, listen), &f)
}

// Listener is a listening socket of this network namespace.
type Listener struct {
	Cookie    uint64 // no other socket has it: another one is another application
	local     netip.AddrPort
	cgroup    uint64
	multipath bool
}

// Listeners are all of them.
func Listeners() (found []Listener, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	defer unix.Close(fd)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := dump(fd, family, listening)
		if err != nil {
			return nil, fmt.Errorf("list listeners: %w", err)
		}
		for _, s := range sockets {
			found = append(found, Listener{s.cookie, s.local, s.cgroup, s.multipath})
		}
	}
	return found, nil
}

// Serves reports whether a connection to an address, in any spelling, may reach the
// listener.
func (l Listener) Serves(address netip.AddrPort) bool {
	own, asked := l.local.Addr(), address.Addr().Unmap().WithZone("")
	return l.local.Port() == address.Port() && (own == asked || own.IsUnspecified() || asked.IsUnspecified())
}

// reachable is an address under which this machine reaches the listener.
func reachable(l Listener, listen netip.AddrPort) netip.AddrPort {
	address := listen.Addr().Unmap()
	if address.IsUnspecified() {
		address = l.local.Addr()
	}
	if address.IsUnspecified() {
		if address.Is4() {
			address = netip.MustParseAddr("127.0.0.1")
		} else {
			address = netip.IPv6Loopback()
		}
	}
	return netip.AddrPortFrom(address, l.local.Port())
}

var errFound = errors.New("found")

// guards reports whether a cgroup is the gate's or below it. One whose directory is
// gone is not: programs that were attached since do not count for it.
func (e *Enforcer) guards(cgroup uint64) (inside bool, err error) {
	err = filepath.WalkDir(e.cfg.Cgroup, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // ended meanwhile
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			return nil
		}
		if stat.Ino == cgroup {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// markProbes has the programs know the self-test of this process.
func (e *Enforcer) markProbes() error {
	var b [4]byte
	rand.Read(b[:])
	e.mark = binary.NativeEndian.Uint32(b[:]) | 1 // not 0, which is none
	return e.objects.Probing.Put(uint32(0), e.mark)
}

// probeListener fills in what its probes have found.
func (e *Enforcer) probeListener(address netip.AddrPort, f *Finding) error {
	var probes [ProbesMax]net.Conn
	for i := range probes {
		var err error
		if probes[i], err = e.launch(address); err != nil {
			return fmt.Errorf("self-test of %s: %w", address, err)
		}
	}
	var results [ProbesMax]probeResult
	var all sync.WaitGroup
	for i, conn := range probes {
		if conn != nil {
			all.Go(func() { results[i] = e.resultOf(conn, address) })
		}
	}
	all.Wait()
	f.Unread = true
	for _, r := range results {
		if r.err != nil {
			return fmt.Errorf("self-test of %s: %w", address, r.err)
		}
		if r.refused || r.ended {
			f.Refused++
		}
		f.Unread = f.Unread && !r.refused && !r.ended
		f.Abrupt = f.Abrupt || r.ended
		if r.unsafe != "" {
			f.Unsafe = r.unsafe
		}
	}
	return nil
}

type probeResult struct {
	refused bool // by the gate, with its answer
	ended   bool // without an answer
	unsafe  string
	err     error
}

// launch connects and sends a probe, which comes with the last segment of the handshake:
// reading around the gate shows in what arrives before the application has accepted, and
// however fast it accepts, this does. Without quick acknowledgements Linux keeps that
// segment back until there is something to send, for 200 ms at most; the mark is what
// guard_in lets it in for. On the loopback a connection stands when connect returns, and
// no thread has to be woken. It is nil when nobody is there any more.
func (e *Enforcer) launch(address netip.AddrPort) (net.Conn, error) {
	family, to := sockaddr(address)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(e.mark)),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0),
	)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	failed := unix.Connect(fd, to)
	sent := 0
	if failed == nil || errors.Is(failed, unix.EINPROGRESS) {
		sent, _ = unix.Write(fd, []byte(probeRequest))
	}
	file := os.NewFile(uintptr(fd), "probe")
	defer file.Close()
	if sent != len(probeRequest) {
		return nil, nil
	}
	return net.FileConn(file)
}

func sockaddr(address netip.AddrPort) (family int, to unix.Sockaddr) {
	if address.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()}
}

// resultOf waits for the answer to a probe.
func (e *Enforcer) resultOf(conn net.Conn, address netip.AddrPort) (r probeResult) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(probeWait))
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if strings.Contains(string(answer[:n]), "\r\nx-authfi-verdict: ") {
		return probeResult{refused: true}
	}
	if n > 0 {
		return probeResult{unsafe: "it answered a request that the gate had not seen"}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return probeResult{ended: true}
	}
	local := netip.MustParseAddrPort(conn.LocalAddr().String())
	r.unsafe, r.err = e.whyUnanswered(local, address)
	return r
}

// whyUnanswered looks at the application's end of a probe that nobody answered.
func (e *Enforcer) whyUnanswered(client, server netip.AddrPort) (unsafe string, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := dump(fd, family, connected)
		if err != nil {
			return "", err
		}
		i := slices.IndexFunc(sockets, func(s socket) bool { return s.remote == client && s.local == server })
		if i < 0 {
			continue
		}
		c, enrolled := e.conn(sockets[i].cookie)
		switch {
		case !enrolled:
			return "its connections cannot be enrolled; another program may have its sockets already", nil
		case sockets[i].unread == 0 && c.Http.HeaderBytes == 0:
			return "it reads its clients' sockets by splice or in another way that the gate does not see", nil
		}
		return "", nil // it has not read yet
	}
	return "", nil
}

func (e *Enforcer) noteLeak(local netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leaks[local] = true
}

// TakeLeaks are the local addresses on which an application has answered, since the
// last call, a request that the gate had not seen. The answer did not leave.
func (e *Enforcer) TakeLeaks() (leaks []netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for address := range e.leaks {
		leaks = append(leaks, address)
	}
	clear(e.leaks)
	return leaks
}
