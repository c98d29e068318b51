package eventstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Bounds of one push.
const (
	dialWait     = 5 * time.Second
	pushWait     = 15 * time.Second // from the lookup of the name to the end of the answer
	responseMax  = 16 << 10         // of the answer, which says what is wrong in a few words
	headersMax   = 16 << 10
	idleReceiver = 90 * time.Second
)

// errPrivate is what a receiver gets that is not on the public internet: whoever may
// make a stream must not reach by it what only the nodes can reach.
var errPrivate = errors.New("the address of the receiver is not public")

// newClient makes the client of all pushes. It follows no redirect, for that could
// lead anywhere, and uses no proxy, which would look up names by itself.
func newClient(private bool, roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: dialWait}
	if !private {
		// After the lookup and for the very address that is dialled: a name that is
		// looked up twice may have two answers.
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			if at, err := netip.ParseAddrPort(address); err != nil || !public(at.Addr()) {
				return errPrivate
			}
			return nil
		}
	}
	return &http.Client{
		Timeout:       pushWait,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        idleReceiver,
			TLSHandshakeTimeout:    dialWait,
			MaxResponseHeaderBytes: headersMax,
		},
	}
}

// notPublic are the ranges besides those that netip knows to be private, loopback,
// link-local, multicast or unspecified (the registries of RFC 6890), and the ranges
// that carry an IPv4 address inside, which may be any.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// public reports whether an address is of the public internet.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsGlobalUnicast() && !a.IsPrivate() &&
		!slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// send pushes one token (RFC 8935, section 2). It returns why the receiver has not
// taken it, or nothing.
func (s *Streams) send(ctx context.Context, url, authorization, token string) (failure string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(token))
	if err != nil {
		return "the URL cannot be called"
	}
	r.Header.Set("Content-Type", "application/secevent+jwt")
	r.Header.Set("Accept", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := s.client.Do(r)
	if err != nil {
		return unreachable(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, responseMax))
	if err != nil {
		return unreachable(err)
	}
	switch res.StatusCode {
	case http.StatusAccepted, http.StatusOK, http.StatusNoContent: // the first is what the RFC asks for
		return ""
	}
	var why setError
	if json.Unmarshal(body, &why) == nil && why.Err != "" {
		return fmt.Sprintf("%d %s: %s", res.StatusCode, printable(why.Err), printable(why.Description))
	}
	return fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))
}

// unreachable says why without the URL, which may hold what is not for everybody.
func unreachable(err error) string {
	var unknown *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errPrivate):
		return errPrivate.Error()
	case errors.As(err, &unknown):
		return "the certificate of the receiver is not trusted"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return fmt.Sprintf("the receiver has not answered within %s", pushWait)
	case errors.As(err, new(*net.DNSError)):
		return "the name of the receiver was not found"
	}
	return "the receiver cannot be reached"
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// printable leaves out of a receiver's words what could do harm where they are shown.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}
