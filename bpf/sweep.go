package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"golang.org/x/sys/unix"
)

// Connections are ended from outside, because a verdict cannot: by SOCK_DESTROY
// of the sock_diag family, for sockets of another place than their address, whose
// subject lost access, that were refused, or that never finish a header.
const (
	sockDestroy   = 21 // SOCK_DESTROY of linux/sock_diag.h
	poisonedGrace = time.Second
	headerGrace   = 30 * time.Second // from a header's first byte to its last
	diagIDSize    = 48               // struct inet_diag_sockid
	diagMsgHead   = 4                // family, state, timer, retrans
	diagMsgSize   = 72               // struct inet_diag_msg
	diagInfo      = 2                // the extension INET_DIAG_INFO, without which a listener's protocol is not told
	diagULP       = 19               // INET_DIAG_ULP_INFO
	diagCgroup    = 21               // INET_DIAG_CGROUP_ID
)

// modes of a connection, as in src/maps.h.
const (
	modeActive uint32 = iota
	modePoisoned
	modeLeaked
	modeUnread
)

// stateInBody is the first state that is past the header block, as in src/http.h.
const stateInBody = 20

// socket is a TCP socket of this network namespace.
type socket struct {
	family    uint8
	state     uint8
	id        [diagIDSize]byte // as the kernel gave it, for the way back
	local     netip.AddrPort
	remote    netip.AddrPort
	cookie    uint64
	unread    uint32 // bytes that the application has not taken; of a listener, connections
	cgroup    uint64 // the cgroup of whoever made the socket, 0: not told
	multipath bool   // of a listener: it takes MPTCP
}

// Sets of TCP states.
const (
	tcpListen = 10
	listening = 1 << tcpListen
	connected = 1<<32 - 1 - listening
)

// endStale ends the connections of these ports that are not enrolled under the
// place which their address has: those from before it was guarded, whose clients
// would otherwise hang, and those of an address that is guarded no longer. The
// caller holds the lock.
func (e *Enforcer) endStale(ports map[uint16]bool) error {
	return e.destroy(ports, func(s socket) bool {
		place, guarded := e.placeOf(s.local)
		c, enrolled := e.conn(s.cookie)
		return (guarded || enrolled) && c.Place != place
	})
}

// End ends all connections of an enforced address. What a guard holds back would
// come in when the address is let go, on those that were never enrolled too.
func (e *Enforcer) End(listen netip.AddrPort) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := e.key(listen)
	s, known := e.services[key]
	if !known {
		return nil
	}
	return e.destroy(map[uint16]bool{key.Port: true}, func(socket socket) bool {
		place, guarded := e.placeOf(socket.local)
		return guarded && place == s.row()
	})
}

// placeOf finds the place of an address as the programs do.
func (e *Enforcer) placeOf(address netip.AddrPort) (place uint64, guarded bool) {
	key := e.key(address)
	s, ok := e.services[key]
	if !ok {
		key.Address = [16]byte{}
		s, ok = e.services[key]
	}
	if !ok {
		return 0, false
	}
	return s.row(), true
}

// Sweep ends the open connections on which a request of one of these subjects was
// let through, streams included. One that was refused meanwhile is left to read
// its answer; Reap ends it. A connection carries a bit for each user, of 256: now
// and then somebody else's is ended too, and must be opened again.
func (e *Enforcer) Sweep(subjects ...policy.Subject) error {
	var gone carried
	for _, s := range subjects {
		gone.add(s)
	}
	return e.destroy(e.guardedPorts(), func(s socket) bool {
		c, ok := e.conn(s.cookie)
		return ok && c.Mode == modeActive && gone.meets(c.Carried)
	})
}

// carried is a set of subjects as a connection keeps it: a bit for the last byte
// of an id.
type carried [4]uint64

func (c *carried) add(s policy.Subject) {
	bit := s[len(s)-1]
	c[bit/64] |= 1 << (bit % 64)
}

func (c *carried) meets(other [4]uint64) bool {
	var both uint64
	for i := range c {
		both |= c[i] & other[i]
	}
	return both != 0
}

func (e *Enforcer) guardedPorts() map[uint16]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ports()
}

func (e *Enforcer) ports() map[uint16]bool {
	ports := map[uint16]bool{}
	for key := range e.services {
		ports[key.Port] = true
	}
	return ports
}

// Reap ends refused connections after a grace for the answer, and those that
// have been in a header for too long, however often they send another byte, and in
// what is no dry run any more those that could not be read.
func (e *Enforcer) Reap() error {
	now, dry := BootNow(), e.dryPlaces()
	return e.destroy(e.guardedPorts(), func(s socket) bool {
		c, ok := e.conn(s.cookie)
		switch {
		case !ok:
			return false
		case c.Mode == modeUnread:
			return !dry[c.Place]
		case c.Mode == modeLeaked:
			e.noteLeak(s.local)
		}
		return overdue(&c, now)
	})
}

func (e *Enforcer) dryPlaces() map[uint64]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	dry := map[uint64]bool{}
	for _, s := range e.services {
		dry[s.place] = s.program.DryRun()
	}
	return dry
}

func overdue(c *obj.EnforceConn, now uint64) bool {
	since := func(then uint64) time.Duration { return time.Duration(now - min(now, then)) }
	if c.Mode != modeActive {
		return since(c.Touched) > poisonedGrace
	}
	return c.Http.HeaderBytes > 0 && c.Http.State < stateInBody && since(c.Began) > headerGrace
}

func (e *Enforcer) conn(cookie uint64) (c obj.EnforceConn, ok bool) {
	err := e.objects.Conns.Lookup(cookie, &c)
	return c, err == nil
}

// destroy ends the sockets on these ports that doomed names.
func (e *Enforcer) destroy(ports map[uint16]bool, doomed func(socket) bool) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	defer unix.Close(fd)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := dump(fd, family, connected)
		if err != nil {
			return fmt.Errorf("list sockets: %w", err)
		}
		for _, s := range sockets {
			if ports[s.local.Port()] && doomed(s) {
				if err := kill(fd, s); err != nil {
					return fmt.Errorf("end connection of %s: %w", s.local, err)
				}
			}
		}
	}
	return nil
}

// request is an inet_diag_req_v2 inside a netlink message.
func request(kind uint16, flags uint16, family uint8, states uint32, id [diagIDSize]byte) []byte {
	b := make([]byte, 16, 16+8+diagIDSize)
	b = append(b, family, unix.IPPROTO_TCP, diagInfo, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	b = append(b, id[:]...)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	return b
}

const sockDiagByFamily = 20

func dump(fd int, family uint8, states uint32) ([]socket, error) {
	all := request(sockDiagByFamily, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, family, states, [diagIDSize]byte{})
	if err := unix.Sendto(fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var sockets []socket
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return nil, err
		}
		done, err := eachMessage(buffer[:n], func(kind uint16, body []byte) error {
			if kind == unix.NLMSG_ERROR {
				return netlinkError(body)
			}
			if s, ok := parseSocket(body); ok {
				sockets = append(sockets, s)
			}
			return nil
		})
		if done || err != nil {
			return sockets, err
		}
	}
}

func eachMessage(b []byte, visit func(kind uint16, body []byte) error) (done bool, err error) {
	for len(b) >= 16 {
		size := int(binary.NativeEndian.Uint32(b))
		if size < 16 || size > len(b) {
			return true, errors.New("malformed netlink message")
		}
		kind := binary.NativeEndian.Uint16(b[4:])
		if kind == unix.NLMSG_DONE {
			return true, nil
		}
		if err := visit(kind, b[16:size]); err != nil {
			return true, err
		}
		if kind == unix.NLMSG_ERROR {
			return true, nil
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return false, nil
}

func netlinkError(body []byte) error {
	if len(body) < 4 {
		return errors.New("malformed netlink error")
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

func parseSocket(b []byte) (s socket, ok bool) {
	if len(b) < diagMsgSize {
		return s, false
	}
	s.family, s.state = b[0], b[1]
	copy(s.id[:], b[diagMsgHead:])
	s.local = netip.AddrPortFrom(s.address(4), binary.BigEndian.Uint16(s.id[0:]))
	s.remote = netip.AddrPortFrom(s.address(20), binary.BigEndian.Uint16(s.id[2:]))
	low, high := binary.NativeEndian.Uint32(s.id[40:]), binary.NativeEndian.Uint32(s.id[44:])
	s.cookie = uint64(high)<<32 | uint64(low)
	s.unread = binary.NativeEndian.Uint32(b[diagMsgHead+diagIDSize+4:])
	eachAttribute(b[diagMsgSize:], func(kind uint16, value []byte) {
		switch {
		case kind == diagCgroup && len(value) >= 8:
			s.cgroup = binary.NativeEndian.Uint64(value)
		case kind == diagULP:
			s.multipath = bytes.Contains(value, []byte("mptcp"))
		}
	})
	return s, true
}

// address reads the address at this offset of the id.
func (s *socket) address(at int) netip.Addr {
	if s.family == unix.AF_INET6 {
		return netip.AddrFrom16([16]byte(s.id[at : at+16])).Unmap()
	}
	return netip.AddrFrom4([4]byte(s.id[at : at+4]))
}

// eachAttribute visits netlink attributes; nested ones are a value.
func eachAttribute(b []byte, visit func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		visit(binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED, b[4:size])
		b = b[min(len(b), (size+3)&^3):]
	}
}

// kill ends one socket: the application reads ECONNABORTED, the client a reset.
// One that has gone meanwhile is as good.
func kill(fd int, s socket) error {
	message := request(sockDestroy, unix.NLM_F_REQUEST|unix.NLM_F_ACK, s.family, 1<<32-1, s.id)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buffer := make([]byte, 1<<12)
	n, _, err := unix.Recvfrom(fd, buffer, 0)
	if err != nil {
		return err
	}
	_, err = eachMessage(buffer[:n], func(_ uint16, body []byte) error { return netlinkError(body) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
