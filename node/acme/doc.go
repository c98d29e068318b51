// Package acme has the certificate of the HTTPS server from a certification authority
// that speaks ACME (RFC 8555), and renews it. It promises that a certificate that was
// had once is shown until it ends, whatever the authority does, that an authority that
// refuses is asked ever more seldom, over restarts too, and that nodes behind one name
// share one certificate: the leader orders it, each answers for it (TLS-ALPN-01, RFC
// 8737, or HTTP-01), and the others take it over.
//
// It is golang.org/x/crypto/acme and not autocert, which orders for whatever name a
// client asks for, in the handshake of that client, and knows neither backoff nor a
// neighbour that was reached by the authority in its place.
//
// The package must never know what is served, or how nodes speak to each other.
package acme
