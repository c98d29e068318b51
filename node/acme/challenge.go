package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

const (
	// askWait bounds how long an authority waits until the peers have said what they
	// know: it waits for some ten seconds itself.
	askWait = 4 * time.Second
	// asksMax bounds how many of those who are taken for an authority make this node ask
	// its peers at once: anybody can look like one.
	asksMax = 8
	// wellKnown is where RFC 8555, section 8.3, has the answers of HTTP-01.
	wellKnown = "/.well-known/acme-challenge/"
	tokenMax  = 256 // tokens have 22 bytes and more; those of public authorities 43
)

// challenges are the answers that this node has for an authority, and its way to those
// of the others.
type challenges struct {
	mu     sync.Mutex
	certs  map[string]*tls.Certificate // by name, for TLS-ALPN-01; guarded by mu
	texts  map[string]string           // by token, for HTTP-01; guarded by mu
	asking chan struct{}               // holds one of each who asks the peers
}

func newChallenges() *challenges {
	return &challenges{certs: map[string]*tls.Certificate{}, texts: map[string]string{}, asking: make(chan struct{}, asksMax)}
}

// put makes an answer known until the returned function is called.
func put[V any](c *challenges, in map[string]V, key string, value V) (remove func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in[key] = value
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(in, key)
	}
}

func (c *challenges) cert(domain string) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certs[domain]
}

func (c *challenges) text(token string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.texts[token]
}

// prepare makes ready the answer to a challenge.
func (c *Certificate) prepare(client *acme.Client, domain string, challenge *acme.Challenge) (remove func(), err error) {
	if challenge.Type == typeHTTP {
		text, err := client.HTTP01ChallengeResponse(challenge.Token)
		if err != nil {
			return nil, err
		}
		return put(c.challenges, c.challenges.texts, challenge.Token, text), nil
	}
	cert, err := client.TLSALPN01ChallengeCert(challenge.Token, domain)
	if err != nil {
		return nil, err
	}
	return put(c.challenges, c.challenges.certs, domain, &cert), nil
}

// Secure makes a server show the certificate for its names and other for the rest, and
// answer the challenges of an authority.
func (c *Certificate) Secure(server *http.Server, other func(*tls.ClientHelloInfo) (*tls.Certificate, error)) {
	server.TLSConfig = server.TLSConfig.Clone()
	server.TLSConfig.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if cert := c.Get(hello); cert != nil {
			return cert, nil
		}
		return other(hello)
	}
	if c.cfg.Settings.HTTP != "" {
		return
	}
	server.TLSConfig.GetConfigForClient = c.configForClient
	// RFC 8737, section 3: after the handshake nothing is said. To name one protocol
	// takes the others away unless they are named as well.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		acme.ALPNProto: func(*http.Server, *tls.Conn, http.Handler) {},
	}
}

// configForClient is for the authority alone: who offers its protocol and no other.
func (c *Certificate) configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		return nil, nil
	}
	cert, err := c.challenge(hello.Context(), strings.ToLower(hello.ServerName))
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{acme.ALPNProto}, MinVersion: tls.VersionTLS12}, nil
}

// challenge finds the answer of TLS-ALPN-01 for a name, here or at a peer.
func (c *Certificate) challenge(ctx context.Context, domain string) (*tls.Certificate, error) {
	if !slices.Contains(c.cfg.Settings.Domains, domain) {
		return nil, fmt.Errorf("no certificate is ordered for %q", domain)
	}
	if cert := c.challenges.cert(domain); cert != nil {
		return cert, nil
	}
	for _, a := range c.askForChallenge(ctx, question{Kind: kindTLS, Name: domain}) {
		if cert, err := a.challengeCert(); err == nil {
			return cert, nil
		}
	}
	return nil, fmt.Errorf("no challenge is open for %q", domain)
}

func (c *Certificate) askForChallenge(ctx context.Context, q question) []answer {
	select {
	case c.challenges.asking <- struct{}{}:
		defer func() { <-c.challenges.asking }()
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	return c.ask(ctx, q)
}

func (a answer) challengeCert() (*tls.Certificate, error) {
	key, err := x509.ParsePKCS8PrivateKey(a.ChallengeKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{a.ChallengeCert}, PrivateKey: key}, nil
}

// ServeHTTP answers HTTP-01, and nothing else.
func (c *Certificate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.URL.Path, wellKnown)
	if !ok || token == "" || len(token) > tokenMax || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		http.NotFound(w, r)
		return
	}
	text := c.challenges.text(token)
	if text == "" {
		for _, a := range c.askForChallenge(r.Context(), question{Kind: kindHTTP, Name: token}) {
			if a.Text != "" {
				text = a.Text
			}
		}
	}
	if text == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write([]byte(text))
}

// serveHTTP runs the server of HTTP-01 until the context ends. A node that cannot listen
// there serves all the same, and says so.
func (c *Certificate) serveHTTP(ctx context.Context) {
	listener, err := net.Listen("tcp", c.cfg.Settings.HTTP)
	if err != nil {
		c.cfg.Log.Error("names cannot be proved by HTTP-01", "error", err)
		return
	}
	server := &http.Server{
		Handler: c, ReadTimeout: askWait, WriteTimeout: 2 * askWait, IdleTimeout: askWait, MaxHeaderBytes: 8 << 10,
		ErrorLog: c.errorLog(),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		c.cfg.Log.Error("the server of HTTP-01 ended", "error", err)
	}
}

// Kinds of questions between nodes.
const (
	kindTLS         = "tls-alpn-01" // the answer to a challenge, by name
	kindHTTP        = "http-01"     // likewise, by token
	kindCertificate = "certificate" // the certificate for the names of an authority
	kindFresh       = "fresh"       // there is one: ask for it
)

// question is what a node asks another.
type question struct {
	Kind      string   `json:"kind"`
	Name      string   `json:"name,omitempty"`
	Directory string   `json:"directory,omitempty"`
	Domains   []string `json:"domains,omitempty"`
}

// answer is empty where there is nothing to say. The key of a certificate is sealed by
// the keyring that both have; that of a challenge opens nothing.
type answer struct {
	pair
	Ordering      bool   `json:"ordering,omitempty"` // one for the same names, at this moment
	ChallengeCert []byte `json:"challenge_cert,omitempty"`
	ChallengeKey  []byte `json:"challenge_key,omitempty"`
	Text          string `json:"text,omitempty"`
}

// ask puts a question to all peers. What cannot be read is no answer.
func (c *Certificate) ask(ctx context.Context, q question) (answers []answer) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil
	}
	for _, text := range c.cfg.Ask(ctx, body) {
		var a answer
		if err := json.Unmarshal(text, &a); err == nil {
			answers = append(answers, a)
		}
	}
	return answers
}

// ServePeer answers the question of another node.
func (c *Certificate) ServePeer(_ context.Context, _ string, body []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	var a answer
	switch q.Kind {
	case kindTLS:
		if cert := c.challenges.cert(q.Name); cert != nil {
			key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
			if err != nil {
				return nil, err
			}
			a.ChallengeCert, a.ChallengeKey = cert.Certificate[0], key
		}
	case kindHTTP:
		a.Text = c.challenges.text(q.Name)
	case kindCertificate:
		if q.Directory == c.cfg.Settings.Directory && sameNames(q.Domains, c.cfg.Settings.Domains) {
			a.pair, a.Ordering = c.stored(), c.ordering.Load()
		}
	case kindFresh:
		c.wake()
	}
	return json.Marshal(a)
}
