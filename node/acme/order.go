package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/acme"
)

// Types of challenges (RFC 8555, section 8.3, and RFC 8737).
const (
	typeHTTP = "http-01"
	typeTLS  = "tls-alpn-01"
)

const (
	// requestWait bounds one request to the authority.
	requestWait = 30 * time.Second
	// triesMax is how often a request is sent again that the authority could not serve.
	triesMax = 3
	// badNonceWait is how long a request waits whose nonce was too old; the refusal
	// brought another (RFC 8555, section 6.5).
	badNonceWait = 100 * time.Millisecond
)

// again says when a request that was refused is sent again; 0: it is not. One that came
// too often is not: the next order is at its time.
func again(n int, _ *http.Request, refusal *http.Response) time.Duration {
	switch {
	case n > triesMax || refusal.StatusCode == http.StatusTooManyRequests:
		return 0
	case refusal.StatusCode == http.StatusBadRequest:
		return badNonceWait
	}
	return time.Duration(n) * time.Second
}

// client speaks to the authority as the account of this node, which it makes if there is
// none.
func (c *Certificate) client(ctx context.Context) (*acme.Client, error) {
	var key crypto.Signer
	var err error
	c.update(func(s *state) { key, err = s.account(c.cfg.Ring) })
	if err != nil {
		return nil, err
	}
	roots, err := c.cfg.Settings.roots()
	if err != nil {
		return nil, fmt.Errorf("CAs of the ACME server: %w", err)
	}
	client := &acme.Client{
		Key: key, DirectoryURL: c.cfg.Settings.Directory, UserAgent: c.cfg.Agent, RetryBackoff: again,
		HTTPClient: &http.Client{Timeout: requestWait, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
		}},
	}
	account := &acme.Account{}
	if account.ExternalAccountBinding, err = c.cfg.Settings.binding(); err != nil {
		return nil, fmt.Errorf("account key: %w", err)
	}
	if c.cfg.Settings.Email != "" {
		account.Contact = []string{"mailto:" + c.cfg.Settings.Email}
	}
	_, err = client.Register(ctx, account, func(string) bool { return c.cfg.Settings.TermsAgreed })
	if err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		client.HTTPClient.CloseIdleConnections()
		return nil, fmt.Errorf("account at %s: %w", c.cfg.Settings.Directory, err)
	}
	return client, nil
}

// order has a certificate made (RFC 8555, section 7.4).
func (c *Certificate) order(ctx context.Context) (pair, error) {
	client, err := c.client(ctx)
	if err != nil {
		return pair{}, err
	}
	defer client.HTTPClient.CloseIdleConnections()
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(c.cfg.Settings.Domains...))
	if err != nil {
		return pair{}, fmt.Errorf("order: %w", err)
	}
	for i, at := range order.AuthzURLs {
		if err := c.authorize(ctx, client, at); err != nil {
			giveUp(ctx, client, order.AuthzURLs[i+1:])
			return pair{}, err
		}
	}
	where := order.URI // answers about an order need not repeat it
	if order, err = client.WaitOrder(ctx, where); err != nil {
		return pair{}, fmt.Errorf("order: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: c.cfg.Settings.Domains}, key)
	if err != nil {
		return pair{}, err
	}
	chain, err := finalize(ctx, client, where, order.FinalizeURL, request)
	if err != nil {
		return pair{}, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err == nil {
		err = serves(leaf, c.cfg.Settings.Domains, time.Now())
	}
	if err != nil {
		return pair{}, fmt.Errorf("the authority has made a certificate that does not serve: %w", err)
	}
	return sealPair(c.cfg.Ring, chain, key)
}

// finalize has the certificate of an order that is ready. The library expects that an
// authority which takes its time says once more where the order is; RFC 8555, section
// 7.4, does not, and some do not: then the order is asked itself.
func finalize(ctx context.Context, client *acme.Client, where, finalizeURL string, request []byte) (chain [][]byte, err error) {
	chain, _, err = client.CreateOrderCert(ctx, finalizeURL, request, true)
	if err == nil {
		return chain, nil
	}
	order, failed := client.WaitOrder(ctx, where)
	if failed != nil || order.Status != acme.StatusValid {
		return nil, errors.Join(err, failed)
	}
	return client.FetchCert(ctx, order.CertURL, true)
}

// authorize proves one name, unless the authority remembers that it was.
func (c *Certificate) authorize(ctx context.Context, client *acme.Client, at string) error {
	authorization, err := client.GetAuthorization(ctx, at)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	if authorization.Status == acme.StatusValid {
		return nil
	}
	domain := authorization.Identifier.Value
	challenge := c.choose(authorization.Challenges)
	if challenge == nil {
		return fmt.Errorf("the authority does not offer %s for %s", c.challengeType(), domain)
	}
	remove, err := c.prepare(client, domain, challenge)
	if err != nil {
		return fmt.Errorf("%s for %s: %w", challenge.Type, domain, err)
	}
	defer remove()
	if _, err := client.Accept(ctx, challenge); err != nil {
		return fmt.Errorf("%s for %s: %w", challenge.Type, domain, err)
	}
	if _, err := client.WaitAuthorization(ctx, at); err != nil {
		return fmt.Errorf("%s for %s: %w", challenge.Type, domain, err)
	}
	return nil
}

func (c *Certificate) challengeType() string {
	if c.cfg.Settings.HTTP != "" {
		return typeHTTP
	}
	return typeTLS
}

func (c *Certificate) choose(offered []*acme.Challenge) *acme.Challenge {
	for _, challenge := range offered {
		if challenge.Type == c.challengeType() {
			return challenge
		}
	}
	return nil
}

// giveUp tells the authority that names will not be proved: it counts those that wait.
func giveUp(ctx context.Context, client *acme.Client, authorizations []string) {
	for _, at := range authorizations {
		if authorization, err := client.GetAuthorization(ctx, at); err == nil && authorization.Status == acme.StatusPending {
			_ = client.RevokeAuthorization(ctx, at) // it ends by itself
		}
	}
}
