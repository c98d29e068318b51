package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// front serves HTTP/2, and translates HTTP/1.1 for a service that speaks HTTP/2.
// The protocol itself is net/http's; what is read of a request is rendered as a
// header block of HTTP/1.1 and read by the same strict machine as one.
type front struct {
	gate    *Gate
	streams *http.Server // requests that are still to be decided
	bridge  *http.Server // requests that conn has let through
	arrived *queue
	bridged *queue
	serving sync.WaitGroup
	closing context.CancelFunc
	base    context.Context // ends the requests under way
}

const (
	idlePerService = 128 // kept connections to a service of HTTP/1.1 behind HTTP/2
	servicePing    = 30 * time.Second
	clientPing     = 30 * time.Second
	frameMax       = 16 << 10
	windowStream   = 256 << 10
	windowClient   = 1 << 20 // of all streams of a connection
)

func newFront(g *Gate) *front {
	f := &front{gate: g, arrived: newQueue(), bridged: newQueue()}
	f.base, f.closing = context.WithCancel(context.Background())
	transport := f.transport()
	silent := slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) // what hostile clients make it say
	f.streams = &http.Server{
		Handler:        &decider{f, f.proxy(transport, f.rewrite)},
		Protocols:      only(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }), // TLS has ended before
		MaxHeaderBytes: policy.HeaderMax,
		IdleTimeout:    time.Duration(g.limits.Idle),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: g.limits.Streams, MaxReadFrameSize: frameMax,
			MaxReceiveBufferPerConnection: windowClient, MaxReceiveBufferPerStream: windowStream,
			SendPingTimeout: clientPing, WriteByteTimeout: time.Duration(g.limits.Write),
		},
		ErrorLog: silent, ConnContext: withOrigin, BaseContext: f.context,
	}
	f.bridge = &http.Server{
		Handler:        f.proxy(transport, f.carryOver),
		Protocols:      only(func(p *http.Protocols) { p.SetHTTP1(true) }),
		MaxHeaderBytes: 2 * policy.HeaderMax, // with what the gate adds
		ErrorLog:       silent, ConnContext: withOrigin, BaseContext: f.context,
	}
	return f
}

func only(set func(*http.Protocols)) *http.Protocols {
	p := new(http.Protocols)
	set(p)
	return p
}

func (f *front) context(net.Listener) context.Context { return f.base }

// transport is the way of translated requests to the service.
func (f *front) transport() *http.Transport {
	b := f.gate.backend
	dialer := net.Dialer{Timeout: dialTimeout}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: idlePerService, IdleConnTimeout: time.Duration(f.gate.limits.Idle),
		MaxResponseHeaderBytes: 1 << 20,
		DisableCompression:     true, // a body passes as it is
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: servicePing},
	}
	switch {
	case !f.gate.config.Backend.HTTP2:
		t.Protocols = only(func(p *http.Protocols) { p.SetHTTP1(true) })
	case b.tls == nil:
		t.Protocols = only(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	default:
		t.Protocols = only(func(p *http.Protocols) { p.SetHTTP2(true) })
	}
	if b.tls != nil {
		t.TLSClientConfig = b.tls.Clone()
		t.TLSClientConfig.NextProtos = nil // chosen by Protocols
	}
	return t
}

func (f *front) proxy(t http.RoundTripper, rewrite func(*httputil.ProxyRequest)) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: t, ErrorHandler: f.failed,
		FlushInterval: -1, // an answer that streams does so here, too
		ModifyResponse: func(res *http.Response) error {
			if s, ok := res.Request.Context().Value(streamKey{}).(*stream); ok {
				s.empty.Store(res.ContentLength == 0)
			}
			return nil
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
}

// run serves until close.
func (f *front) run() {
	f.serving.Go(func() { f.streams.Serve(f.arrived) })
	f.serving.Go(func() { f.bridge.Serve(f.bridged) })
}

// shutdown tells clients of HTTP/2 to go elsewhere and waits for their streams.
func (f *front) shutdown(ctx context.Context) { f.streams.Shutdown(ctx) }

func (f *front) close() {
	f.closing()
	f.streams.Close()
	f.bridge.Close()
	f.serving.Wait()
}

// serve hands a connection of HTTP/2 over and returns when it is closed.
func (f *front) serve(client net.Conn, first []byte, from *origin) {
	c := newFramed(client, first, from)
	if !f.arrived.put(c) {
		return
	}
	<-c.done
}

// pair is a connection of HTTP/1.1 whose other end is the bridge.
func (f *front) pair(from *origin) (net.Conn, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var conns [2]net.Conn
	for i, fd := range ends {
		file := os.NewFile(uintptr(fd), "bridge")
		conn, failed := net.FileConn(file)
		file.Close()
		conns[i], err = conn, errors.Join(err, failed)
	}
	if err == nil && f.bridged.put(&bridgeEnd{conns[1], from}) {
		return conns[0], nil
	}
	for _, conn := range conns {
		if conn != nil {
			conn.Close()
		}
	}
	return nil, errors.Join(err, net.ErrClosed)
}

// bridgeEnd is the translator's end of a pair.
type bridgeEnd struct {
	net.Conn
	from *origin
}

func (b *bridgeEnd) origin() *origin { return b.from }

type originKey struct{}

func withOrigin(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, originKey{}, conn.(interface{ origin() *origin }).origin())
}

// decider decides about each request of HTTP/2 by itself.
type decider struct {
	*front
	next http.Handler
}

func (d *decider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k0, k1 := d.gate.config.Keys()
	program := d.gate.config.Program()
	e := exchange{program: program}
	var reason policy.Reason
	if e.line, e.flow, reason = readRequest(r, program, k0, k1); reason == policy.ReasonAllowed {
		reason, e.grant = d.gate.config.Decide(program, e.flow)
	}
	if reason.Allows() && e.flow.Upgrade {
		reason = policy.ReasonNotImplemented
	}
	if !reason.Allows() && !d.gate.dryRun() {
		d.refuse(w, r, &e, reason)
		return
	}
	s := newStream(d.gate, w, r, e)
	if reason.Allows() { // in a dry run a refused request is nobody's
		s.user = d.gate.userOf(e.grant)
	}
	if !d.gate.hold(s) {
		panic(http.ErrAbortHandler)
	}
	defer d.gate.release(s)
	// A review between the first verdict and hold did not see this stream.
	if !d.gate.dryRun() {
		if reason.Allows() {
			reason, _ = d.gate.config.Decide(program, e.flow)
		}
		if !reason.Allows() {
			d.refuse(w, r, &e, reason)
			return
		}
	}
	d.gate.told(&e, reason)
	d.next.ServeHTTP(s, s.request)
}

// readRequest renders what HTTP/2 carries as a block of HTTP/1.1 and reads that:
// whatever would be another request there is refused here.
func readRequest(r *http.Request, program *policy.Program, k0, k1 uint64) (line []byte, flow policy.Flow, refusal policy.Reason) {
	block, refusal := render(r)
	if refusal != policy.ReasonAllowed {
		return nil, flow, refusal
	}
	m := policy.NewMachine()
	m.Begin(program, k0, k1)
	n, complete, refusal := m.Feed(block)
	switch {
	case refusal != policy.ReasonAllowed:
		return nil, flow, refusal
	case !complete || n != len(block):
		return nil, flow, policy.ReasonMalformed
	}
	return []byte(r.Method + " " + r.RequestURI), m.Flow(), policy.ReasonAllowed
}

func render(r *http.Request) (block []byte, refusal policy.Reason) {
	if !isVisible(r.Method) || !isVisible(r.RequestURI) || !isVisible(r.Host) {
		return nil, policy.ReasonMalformed
	}
	for _, host := range r.Header["Host"] { // beside :authority, or instead of it
		if host != r.Host {
			return nil, policy.ReasonMalformed
		}
	}
	var b bytes.Buffer
	b.WriteString(r.Method + " " + r.RequestURI + " HTTP/1.1\r\nhost: " + r.Host + "\r\n")
	if r.ContentLength < 0 {
		b.WriteString("transfer-encoding: chunked\r\n")
	}
	count := 0
	for name, values := range r.Header {
		if name == "Host" {
			continue
		}
		for _, value := range values {
			if count++; count > fieldsMax {
				return nil, policy.ReasonTooLarge
			}
			if strings.ContainsAny(name, ": \r\n") || strings.ContainsAny(value, "\r\n\x00") {
				return nil, policy.ReasonMalformed
			}
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes(), policy.ReasonAllowed
}

// isVisible reports that a text has no space, control or other byte that would
// end it in a request line.
func isVisible(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return text != ""
}

// rewrite makes the request that the service gets of one that came by HTTP/2.
func (f *front) rewrite(p *httputil.ProxyRequest) {
	f.aim(p)
	for name := range p.Out.Header {
		switch kindOf(name) {
		case fieldIdentity, fieldConnection, fieldUpgrade, fieldHost:
			delete(p.Out.Header, name)
		case fieldHop:
			if name != "Te" { // ReverseProxy has left "trailers", which gRPC asks for
				delete(p.Out.Header, name)
			}
		}
	}
	ctx := p.In.Context()
	from := ctx.Value(originKey{}).(*origin)
	p.Out.Header.Set("X-Forwarded-For", from.address())
	p.Out.Header.Set("X-Real-Ip", from.address())
	p.Out.Header.Set("X-Forwarded-Proto", from.scheme())
	p.Out.Header.Set("X-Forwarded-Host", p.In.Host)
	if user := ctx.Value(streamKey{}).(*stream).user; user != "" {
		p.Out.Header.Set("X-Authfi-User", user)
	}
}

// carryOver makes the request that the service gets of one that conn has
// rewritten already; ReverseProxy has taken those fields for a client's.
func (f *front) carryOver(p *httputil.ProxyRequest) {
	f.aim(p)
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		p.Out.Header[name] = p.In.Header[name]
	}
}

// aim sends a request to the service with its target byte for byte.
func (f *front) aim(p *httputil.ProxyRequest) {
	path, query, found := strings.Cut(p.In.RequestURI, "?")
	p.Out.URL.Scheme, p.Out.URL.Host = "http", f.gate.backend.address
	if f.gate.backend.tls != nil {
		p.Out.URL.Scheme = "https"
	}
	p.Out.URL.Opaque, p.Out.URL.RawQuery, p.Out.URL.ForceQuery = path, query, found && query == ""
	p.Out.Host = p.In.Host
	p.Out.Trailer = nil // a field behind the body would be one that nobody has read
}

// failed answers for a service that did not, or ends a stream that was cut.
func (f *front) failed(w http.ResponseWriter, r *http.Request, err error) {
	e := &exchange{program: f.gate.config.Program()} // of the bridge, whose requests conn has told
	if s, ok := r.Context().Value(streamKey{}).(*stream); ok {
		e = &s.exchange
	}
	var cut cutError
	switch cause := context.Cause(r.Context()); {
	case errors.As(cause, &cut):
		f.refuse(w, r, e, cut.reason)
	case r.Context().Err() != nil: // the client is gone
		panic(http.ErrAbortHandler)
	default:
		f.gate.unreachable(err)
		f.refuse(w, r, e, policy.ReasonUpstream)
	}
}

// refuse answers for the gate; the connection goes on with its other streams.
func (f *front) refuse(w http.ResponseWriter, r *http.Request, e *exchange, reason policy.Reason) {
	f.gate.told(e, reason)
	status, fields, body := policy.Problem(reason)
	for _, field := range fields {
		w.Header().Set(field.Name, field.Value)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, body)
	}
}

// queue is a listener of connections that were accepted elsewhere.
type queue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn), done: make(chan struct{})} }

// put hands a connection over; false if nobody takes any more.
func (q *queue) put(conn net.Conn) bool {
	select {
	case q.conns <- conn:
		return true
	case <-q.done:
		return false
	}
}

// Accept and its siblings implement net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *queue) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }
