// Package clustertest is a network and a log in memory with the faults of real ones,
// for clusters that live inside a test: delays, cuts in one direction, broken
// connections, machines that are gone, disks that hang. Everything waits on channels
// and timers alone, so that in a bubble of testing/synctest minutes pass in moments.
package clustertest

import (
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

// Network connects hosts by name.
type Network struct {
	mu        sync.Mutex
	random    *rand.Rand // guarded by mu
	delayMax  time.Duration
	cut       map[[2]string]bool   // from, to
	listeners map[string]*listener // by address
	conns     map[*conn]struct{}   // both ends
	changed   chan struct{}        // closed when a cut begins or ends
}

// NewNetwork delays what is sent by up to delayMax, each piece by itself.
func NewNetwork(seed uint64, delayMax time.Duration) *Network {
	return &Network{
		random: rand.New(rand.NewPCG(seed, 7)), delayMax: delayMax, cut: map[[2]string]bool{},
		listeners: map[string]*listener{}, conns: map[*conn]struct{}{}, changed: make(chan struct{}),
	}
}

// Host is the network as one process of a machine sees it; its address is NAME:PORT.
func (n *Network) Host(name string) *Host { return &Host{network: n, name: name} }

// Cut holds back what one host sends to another, until Heal. Nothing is lost but time,
// as with TCP, unless a connection gives up meanwhile.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = true
	n.announce()
}

// Heal ends all cuts.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	n.announce()
}

// announce wakes who waits for a cut to end; the lock is held.
func (n *Network) announce() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// Break ends every connection of a host, as when its process is gone. Who listens
// there, listens on.
func (n *Network) Break(host string) {
	n.mu.Lock()
	var broken []*conn
	for c := range n.conns { // order-free: all are broken
		if c.from == host || c.to == host {
			broken = append(broken, c)
		}
	}
	n.mu.Unlock()
	for _, c := range broken {
		c.in.fail(syscall.ECONNRESET)
		c.out.fail(syscall.ECONNRESET)
	}
}

func (n *Network) delay() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.random.Int64N(int64(n.delayMax) + 1))
}

// blocked is whether the way is cut, and a channel that is closed when that changes.
func (n *Network) blocked(from, to string) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[[2]string{from, to}], n.changed
}

// Host is a cluster.Network.
type Host struct {
	network *Network
	name    string
	gone    bool // guarded by the network's mu
}

// Kill ends the process: its connections are reset and new ones refused. The machine
// goes on, and can have another process.
func (h *Host) Kill() {
	h.network.mu.Lock()
	h.gone = true
	for address, l := range h.network.listeners { // order-free: all of its own go
		if l.host == h.name {
			delete(h.network.listeners, address)
			l.gone = true
		}
	}
	h.network.mu.Unlock()
	h.network.Break(h.name)
}

// Listen takes connections to an address of this host.
func (h *Host) Listen(address string) (net.Listener, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	if _, taken := h.network.listeners[address]; taken {
		return nil, &net.OpError{Op: "listen", Net: "memory", Err: syscall.EADDRINUSE}
	}
	l := &listener{network: h.network, host: h.name, address: place(address), accepted: make(chan net.Conn), done: make(chan struct{})}
	h.network.listeners[address] = l
	return l, nil
}

// Dial takes a way there and back, and waits while one of them is cut.
func (h *Host) Dial(address string, timeout time.Duration) (net.Conn, error) {
	failed := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: place(address), Err: err}
	}
	to, _, err := net.SplitHostPort(address)
	if err != nil {
		return failed(err)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for _, way := range [][2]string{{h.name, to}, {to, h.name}} {
		for {
			cut, changed := h.network.blocked(way[0], way[1])
			if !cut {
				break
			}
			select {
			case <-changed:
			case <-timer.C:
				return failed(syscall.ETIMEDOUT)
			}
		}
	}
	select {
	case <-time.After(h.network.delay()):
	case <-timer.C:
		return failed(syscall.ETIMEDOUT)
	}
	h.network.mu.Lock()
	l, listening := h.network.listeners[address]
	gone := h.gone
	h.network.mu.Unlock()
	if gone {
		return failed(syscall.ENETDOWN)
	}
	if !listening {
		return failed(syscall.ECONNREFUSED)
	}
	here, there := h.network.connect(h.name, to, address)
	select {
	case l.accepted <- there:
		return here, nil
	case <-l.done:
		return failed(syscall.ECONNREFUSED)
	case <-timer.C:
		return failed(syscall.ETIMEDOUT)
	}
}

func (n *Network) connect(from, to, address string) (here, there *conn) {
	out, back := newStream(n, from, to), newStream(n, to, from)
	here = &conn{network: n, from: from, to: to, local: place(from), remote: place(address), in: back, out: out}
	there = &conn{network: n, from: to, to: from, local: place(address), remote: place(from), in: out, out: back}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[here], n.conns[there] = struct{}{}, struct{}{}
	return here, there
}

type place string

func (place) Network() string  { return "memory" }
func (p place) String() string { return string(p) }

type listener struct {
	network  *Network
	host     string
	address  place
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once
	gone     bool // its process was killed; guarded by the network's mu
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		if !l.gone { // the address may be another's by now
			delete(l.network.listeners, string(l.address))
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.address }
