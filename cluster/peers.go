package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The peer port speaks four protocols, told apart by ALPN before a byte of
// them is read. Only a join comes without a certificate.
const (
	protocolRaft  = "authfi-raft"
	protocolRPC   = "authfi-rpc"
	protocolState = "authfi-state"
	protocolJoin  = "authfi-join"
)

// Bounds of the peer port: whoever has no certificate can hold a connection
// only for as long as a handshake takes.
const (
	handshakeTimeout = 5 * time.Second
	peerConnsMax     = 1024
)

// Network carries what nodes say to each other.
type Network interface {
	Listen(address string) (net.Listener, error)
	Dial(address string, timeout time.Duration) (net.Conn, error)
}

// TCP is the network of the product.
type TCP struct{}

// Listen implements Network.
func (TCP) Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// Dial implements Network.
func (TCP) Dial(address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, timeout)
}

// peers is the peer port of a node.
type peers struct {
	network  Network
	identity *Identity
	log      *slog.Logger
	listener net.Listener
	stream   *stream
	slots    chan struct{}

	mu     sync.Mutex
	open   map[net.Conn]string // and whose those are that are no calls; guarded by mu
	closed bool                // guarded by mu
	rpc    func(from string, conn *tls.Conn)
	join   func(conn net.Conn)
	state  func(conn net.Conn)
	gone   func(nodeID string) bool // it was removed
	ended  func(nodeID string)      // it has closed a connection of raft
}

func listen(cfg Config, log *slog.Logger) (*peers, error) {
	listener, err := cfg.Network.Listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for peers: %w", err)
	}
	p := &peers{
		network: cfg.Network, identity: cfg.Identity, log: log, listener: listener,
		slots: make(chan struct{}, peerConnsMax), open: map[net.Conn]string{},
	}
	p.stream = &stream{peers: p, address: advertised(cfg.Advertise), accepted: make(chan net.Conn), done: make(chan struct{})}
	return p, nil
}

// serve accepts until the port is closed.
func (p *peers) serve() {
	config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := p.identity.peerTLS(protocolRaft, protocolRPC, protocolState, protocolJoin)
		config.ClientAuth = tls.VerifyClientCertIfGiven // join has none; the others are checked below
		return config, nil
	}}
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		select {
		case p.slots <- struct{}{}:
			go func() {
				defer func() { <-p.slots }()
				p.admit(tls.Server(conn, config))
			}()
		default:
			conn.Close()
		}
	}
}

// admit finishes the handshake and hands the connection to its protocol.
func (p *peers) admit(conn *tls.Conn) {
	if !p.track(conn) {
		return
	}
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if err := conn.Handshake(); err != nil {
		p.forget(conn)
		return
	}
	conn.SetDeadline(time.Time{})
	state := conn.ConnectionState()
	from, err := peerName(state)
	switch {
	case state.NegotiatedProtocol == protocolJoin:
		conn.SetDeadline(time.Now().Add(joinTimeout))
		p.join(conn)
		p.forget(conn)
	case err != nil:
		p.log.Warn("peer connection refused", "from", conn.RemoteAddr(), "error", err)
		p.forget(conn)
	case state.NegotiatedProtocol != protocolRPC && p.gone(from): // calls are looked at one by one
		p.log.Warn("peer connection refused", "from", conn.RemoteAddr(), "error", errGone(from))
		p.forget(conn)
	case state.NegotiatedProtocol != protocolRPC && !p.name(conn, from):
	case state.NegotiatedProtocol == protocolRaft:
		p.stream.offer(&watched{dialed: dialed{conn, p}, from: from})
	case state.NegotiatedProtocol == protocolRPC:
		p.rpc(from, conn)
		p.forget(conn)
	case state.NegotiatedProtocol == protocolState:
		p.state(conn)
		p.forget(conn)
	default:
		p.forget(conn)
	}
}

// peerName is the node that the verified certificate belongs to.
func peerName(state tls.ConnectionState) (string, error) {
	if len(state.VerifiedChains) == 0 {
		return "", errors.New("no certificate of this cluster")
	}
	leaf := state.PeerCertificates[0]
	if !usableBy(leaf, x509.ExtKeyUsageClientAuth) {
		return "", errors.New("the certificate is not a node's")
	}
	return leaf.Subject.CommonName, nil
}

func usableBy(leaf *x509.Certificate, usage x509.ExtKeyUsage) bool {
	for _, u := range leaf.ExtKeyUsage {
		if u == usage {
			return true
		}
	}
	return false
}

func (p *peers) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		conn.Close()
		return false
	}
	p.open[conn] = ""
	return true
}

// name notes whose a connection is; false when it was closed meanwhile.
func (p *peers) name(conn net.Conn, id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, open := p.open[conn]; !open {
		return false
	}
	p.open[conn] = id
	return true
}

func (p *peers) forget(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}

func (p *peers) close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	open := p.open
	p.open = map[net.Conn]string{}
	p.mu.Unlock()
	p.stream.Close()
	err := p.listener.Close()
	for conn := range open {
		conn.Close()
	}
	return err
}

// dial connects to the node with this id and to no other.
func (p *peers) dial(address, nodeID, protocol string, timeout time.Duration) (*tls.Conn, error) {
	config := p.identity.peerTLS(protocol)
	config.ServerName = nodeID
	if nodeID == "" { // raft knows addresses only; any node of the cluster will do
		config.InsecureSkipVerify = true
		config.VerifyConnection = p.verifyNode
	}
	return dialTLS(p.network, address, timeout, config)
}

// dialTLS bounds connection and handshake together.
func dialTLS(network Network, address string, timeout time.Duration, config *tls.Config) (*tls.Conn, error) {
	deadline := time.Now().Add(timeout)
	raw, err := network.Dial(address, timeout)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, config)
	raw.SetDeadline(deadline)
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	raw.SetDeadline(time.Time{})
	return conn, nil
}

// verifyNode accepts any node of this cluster, and nobody else.
func (p *peers) verifyNode(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: p.identity.authorities.Load().pool, Intermediates: intermediates(state),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err == nil && !usableBy(leaf, x509.ExtKeyUsageClientAuth) {
		err = errors.New("the certificate is not a node's")
	}
	return err
}

// intermediates are what came along with a certificate: a node that does not know the next
// CA yet finds the way from it to its own.
func intermediates(state tls.ConnectionState) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		pool.AddCert(cert)
	}
	return pool
}

// distrustedRest is how long a call may have been on its way over a connection that has
// just lost the trust.
const distrustedRest = 2 * rpcTimeout

// dropDistrusted closes the connections of peers whose certificates are of a CA that is
// trusted no more. Those of nodes are taken up anew, with the certificates of now. One of
// calls is not cut off, for what became of the call would not be known: that which is
// under way is answered, one that comes is refused, and then it ends.
func (p *peers) dropDistrusted() (dropped int) {
	p.mu.Lock()
	open := make([]net.Conn, 0, len(p.open))
	for conn := range p.open {
		open = append(open, conn)
	}
	p.mu.Unlock()
	now := p.identity.authorities.Load()
	for _, conn := range open {
		secured, ok := conn.(*tls.Conn)
		if !ok || vouched(secured, now) {
			continue
		}
		dropped++
		if secured.ConnectionState().NegotiatedProtocol == protocolRPC {
			conn.SetReadDeadline(time.Now().Add(distrustedRest))
			continue
		}
		conn.Close()
	}
	return dropped
}

// vouched is true of a connection whose other side showed a certificate of a CA that is
// trusted, and of one that showed none, which is a join and short.
func vouched(conn *tls.Conn, by *authorities) bool {
	state := conn.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return true
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: by.pool, Intermediates: intermediates(state), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

// link is a connection of calls. It is looked at anew only when the CAs have changed, and
// is of one goroutine at a time.
type link struct {
	*tls.Conn
	peers *peers
	under *authorities // by which it was looked at last; nil: not yet
}

// trusted is asked before each call, at either end.
func (l *link) trusted() bool {
	now := l.peers.identity.authorities.Load()
	if l.under != now && !vouched(l.Conn, now) {
		return false
	}
	l.under = now
	return true
}

// stream is the part of the peer port that raft uses.
type stream struct {
	peers    *peers
	address  advertised
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once
}

type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

func (s *stream) offer(conn *watched) {
	select {
	case s.accepted <- conn:
	case <-s.done:
		conn.Close()
	}
}

// Accept implements net.Listener.
func (s *stream) Accept() (net.Conn, error) {
	select {
	case conn := <-s.accepted:
		return conn, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *stream) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// Addr implements net.Listener.
func (s *stream) Addr() net.Addr { return s.address }

// Dial implements raft.StreamLayer.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := s.peers.dial(string(address), "", protocolRaft, timeout)
	if err != nil {
		return nil, err
	}
	if !s.peers.track(conn) {
		return nil, ErrClosed
	}
	return dialed{conn, s.peers}, nil
}

var _ raft.StreamLayer = (*stream)(nil)
