package issuer

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// Skew is how far the issuer's clock and this node's may be apart.
const Skew = time.Minute

// algorithm is the only one that is taken: Entra signs with no other.
const algorithm = "RS256"

// microsoft are the hosts in the names of Entra's issuers, and where each of them has
// its keys: the metadata of sts.windows.net names the keys of the host at which people
// sign in.
var microsoft = map[string]string{
	"sts.windows.net":           "login.microsoftonline.com",
	"login.microsoftonline.com": "login.microsoftonline.com",
	"login.microsoftonline.us":  "login.microsoftonline.us",
}

// Config is what a node is told.
type Config struct {
	Hosts []string       // that may be asked besides Microsoft's, each with its port if it has one
	Roots *x509.CertPool // nil: those of the machine
	Now   func() time.Time
	Log   *slog.Logger
}

// Issuers verifies tokens. It is safe for concurrent use.
type Issuers struct {
	hosts  []string
	now    func() time.Time
	log    *slog.Logger
	client *http.Client

	mu    sync.Mutex
	known map[string]*keys // by issuer, guarded by mu
}

// New asks nobody before there is a token to verify.
func New(c Config) *Issuers {
	return &Issuers{hosts: c.Hosts, now: c.Now, log: c.Log, client: newClient(c.Roots), known: map[string]*keys{}}
}

// Check refuses an issuer that this node may not ask for keys.
func (i *Issuers) Check(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" {
		return directory.Invalid("issuer", "must be an https URL")
	}
	if _, ok := microsoft[u.Host]; ok || slices.Contains(i.hosts, u.Host) {
		return nil
	}
	return directory.Invalid("issuer", "nodes do not ask %s for keys; whoever runs them can add it to the issuers' hosts", u.Host)
}

// errRefused is every refusal of a token: it tells nothing of the reason.
func errRefused() error { return directory.Unauthenticated("a valid bearer token is required") }

// claims are what is read of a token.
type claims struct {
	issuer      string
	audience    []string
	application string
	tenant      string
	key         string
}

// Verify finds the one of the trusts that a token is good for: the one for the token's
// application, and else one for any. Of a token that is not good it names the one that
// the token claims to be good for, or a negative number. A token that is good for none is
// KindUnauthenticated; without the issuer's keys the answer is KindUnavailable, for a
// provider that is told that its token is bad stops.
func (i *Issuers) Verify(ctx context.Context, token string, trusts []directory.Trust) (int, error) {
	unverified, err := peek(token)
	if err != nil {
		return -1, errRefused()
	}
	n := chosen(unverified, trusts)
	if n < 0 {
		return n, errRefused() // nobody is asked on behalf of a token that would be refused anyway
	}
	if i.Check(unverified.issuer) != nil {
		return n, errRefused()
	}
	key, err := i.key(ctx, unverified.issuer, unverified.key)
	if err != nil {
		return n, err
	}
	verified, err := jwt.Parse([]byte(token),
		jwt.WithKey(jwa.RS256(), key),
		jwt.WithValidate(true),
		jwt.WithIssuer(trusts[n].Issuer),
		jwt.WithAudience(trusts[n].Audience),
		jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithAcceptableSkew(Skew),
		jwt.WithClock(jwt.ClockFunc(i.now)),
	)
	if err != nil {
		return n, errRefused()
	}
	if signed, err := claimsOf(verified); err != nil || chosen(signed, trusts) != n {
		return n, errRefused()
	}
	return n, nil
}

// peek reads a token that proves nothing yet.
func peek(token string) (c claims, err error) {
	message, err := jws.Parse([]byte(token), jws.WithCompact())
	if err != nil {
		return c, err
	}
	if len(message.Signatures()) != 1 {
		return c, errors.New("not one signature")
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if used, ok := header.Algorithm(); !ok || used.String() != algorithm {
		return c, errors.New("not signed with " + algorithm)
	}
	if _, critical := header.Critical(); critical {
		return c, errors.New("a critical extension that is not known")
	}
	unverified, err := jwt.ParseInsecure([]byte(token))
	if err != nil {
		return c, err
	}
	if c, err = claimsOf(unverified); err != nil {
		return c, err
	}
	var ok bool
	if c.key, ok = header.KeyID(); !ok || c.key == "" {
		return c, errors.New("no key is named")
	}
	return c, nil
}

// claimsOf reads appid, the name of the application in tokens of version 1, and azp, in
// those of version 2.
func claimsOf(token jwt.Token) (c claims, err error) {
	c.issuer, _ = token.Issuer()
	c.audience, _ = token.Audience()
	if c.tenant, err = optional(token, "tid"); err != nil {
		return c, err
	}
	first, err := optional(token, "appid")
	if err != nil {
		return c, err
	}
	second, err := optional(token, "azp")
	if err != nil {
		return c, err
	}
	if first != "" && second != "" && first != second {
		return c, errors.New("two applications")
	}
	c.application = first + second
	if first != "" {
		c.application = first
	}
	return c, nil
}

func optional(token jwt.Token, name string) (text string, err error) {
	if token.Has(name) {
		err = token.Get(name, &text)
	}
	return text, err
}

// chosen is the trust that the claims fit, or negative.
func chosen(c claims, trusts []directory.Trust) int {
	found := -1
	if tenant := tenantOf(c.issuer); tenant != "" && !strings.EqualFold(tenant, c.tenant) {
		return found
	}
	for n, t := range trusts {
		switch {
		case t.Issuer == "" || t.Issuer != c.issuer || !slices.Contains(c.audience, t.Audience):
		case t.Application != "" && t.Application == c.application:
			return n
		case t.Application == "":
			found = n
		}
	}
	return found
}

// tenantOf is the tenant that an issuer of Entra's has in its name; a token must be of
// the same one.
func tenantOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	if _, ok := microsoft[u.Host]; !ok {
		return ""
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return tenant
}
