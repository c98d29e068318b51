package api

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/api/access"
)

// headerTrace names the request in every answer, as the audit log does.
const headerTrace = "X-Request-Id"

// Arrivals wraps the listener of a server made by NewHTTPServer, so that requests
// know when their first byte came in.
func Arrivals(l net.Listener) net.Listener { return arrivals{l} }

type arrivals struct{ net.Listener }

func (a arrivals) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	arrived := &arrivalConn{Conn: c}
	arrived.written.Store(true) // the client speaks first
	return arrived, nil
}

// arrivalConn notes the first read after a write. HTTP/1 has one request at a time
// on a connection, so that is the first byte of a request, or, on a new
// connection, the end of the TLS handshake that came with it.
type arrivalConn struct {
	net.Conn
	written atomic.Bool
	began   atomic.Pointer[time.Time]
}

func (c *arrivalConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.written.CompareAndSwap(true, false) {
		now := time.Now()
		c.began.Store(&now)
	}
	return n, err
}

func (c *arrivalConn) Write(b []byte) (int, error) {
	c.written.Store(true)
	return c.Conn.Write(b)
}

type arrivalKey struct{}

// connected is the server's ConnContext.
func connected(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if a, ok := c.(*arrivalConn); ok {
		ctx = context.WithValue(ctx, arrivalKey{}, a)
	}
	return ctx
}

// received is when the request's first byte came in. The streams of HTTP/2 share
// a connection: of them it is when their headers were there, which are one frame.
func received(r *http.Request) time.Time {
	c, ok := r.Context().Value(arrivalKey{}).(*arrivalConn)
	if ok && r.ProtoMajor == 1 {
		if began := c.began.Load(); began != nil {
			return *began
		}
	}
	return time.Now()
}

// originated names the request and where it came from.
func originated(w http.ResponseWriter, r *http.Request) *http.Request {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	origin := access.NewOrigin(address, received(r))
	w.Header().Set(headerTrace, origin.Trace.String())
	return r.WithContext(access.WithOrigin(r.Context(), origin))
}
