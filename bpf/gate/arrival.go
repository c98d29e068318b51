package gate

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// arrival is an accepted connection, whatever it turns out to speak.
type arrival struct {
	raw     net.Conn
	address netip.Addr // counted against PerAddress; invalid before it is known
	greeted bool       // guarded by the gate's mu: what it speaks is known
}

func (g *Gate) start(ctx context.Context, raw net.Conn) {
	a := &arrival{raw: raw}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.leaving || len(g.arrivals) >= g.limits.Connections {
		raw.Close()
		return
	}
	g.arrivals[a] = struct{}{}
	g.relays.Go(func() {
		defer g.forget(a)
		g.serve(ctx, a)
	})
}

func (g *Gate) forget(a *arrival) {
	a.raw.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.arrivals, a)
	if a.address.IsValid() {
		if g.addresses[a.address]--; g.addresses[a.address] == 0 {
			delete(g.addresses, a.address)
		}
	}
}

// seat counts a connection for its client's address, if there is room.
func (g *Gate) seat(a *arrival, address netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.addresses[address] >= g.limits.PerAddress {
		return false
	}
	a.address = address
	g.addresses[address]++
	return true
}

// greet ends the time in which a drain ends a connection that has said nothing.
func (g *Gate) greet(a *arrival) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a.greeted = true
	return !g.leaving
}

// serve finds out whose connection it is and what it speaks.
func (g *Gate) serve(ctx context.Context, a *arrival) {
	a.raw.SetDeadline(time.Now().Add(time.Duration(g.limits.Header)))
	from, err := g.originOf(a.raw)
	if err != nil || !g.seat(a, from.client.Addr().Unmap()) {
		return
	}
	client, http2 := a.raw, false
	if g.tls != nil {
		secure := tls.Server(a.raw, g.tls)
		if secure.HandshakeContext(ctx) != nil {
			return
		}
		client, http2 = secure, secure.ConnectionState().NegotiatedProtocol == "h2"
	}
	var first []byte
	if g.config.H2C {
		if first, http2, err = readPreface(client); err != nil {
			return
		}
	}
	if !g.greet(a) {
		return
	}
	a.raw.SetDeadline(time.Time{})
	if http2 {
		g.front.serve(client, first, from)
		return
	}
	c := newConn(g, client, from)
	if !g.hold(c) {
		return
	}
	defer g.release(c)
	c.serve(ctx, first)
}

// originOf is the connection's own addresses, or what a proxy that may says.
func (g *Gate) originOf(raw net.Conn) (*origin, error) {
	client, local := addressOf(raw.RemoteAddr()), addressOf(raw.LocalAddr())
	for _, prefix := range g.proxies {
		if !prefix.Contains(client.Addr().Unmap().WithZone("")) {
			continue
		}
		named, err := readProxy(raw)
		if err != nil {
			return nil, err
		}
		if named.IsValid() {
			client = named
		}
		break
	}
	return newOrigin(client, local, g.tls != nil), nil
}

func addressOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}

var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// readPreface reads until it is plain whether a client speaks HTTP/2, and
// returns what it has read.
func readPreface(client net.Conn) (first []byte, http2 bool, err error) {
	buffer := make([]byte, readSize)
	n := 0
	for n < len(preface) && bytes.HasPrefix(preface, buffer[:n]) {
		more, err := client.Read(buffer[n:])
		if n += more; err != nil && more == 0 {
			return nil, false, err
		}
	}
	return buffer[:n], bytes.HasPrefix(buffer[:n], preface), nil
}
