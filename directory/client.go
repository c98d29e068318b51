package directory

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// GrantType is a way to get tokens, as OAuth names it.
type GrantType string

const (
	GrantAuthorizationCode GrantType = "authorization_code"
	GrantRefreshToken      GrantType = "refresh_token"
	GrantClientCredentials GrantType = "client_credentials"
	GrantDevice            GrantType = "urn:ietf:params:oauth:grant-type:device_code"
	GrantTokenExchange     GrantType = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Bounds of clients.
const (
	ClientsMax              = 500 // of one organization: each application is one
	RedirectsPerClientMax   = 20
	PermissionsPerClientMax = 200
	ClientKeysMax           = 16 << 10 // bytes of a client's JWKS: a few keys
	NonceMax                = 512
	// CodeLife is RFC 6749's "short lived": a browser follows one redirect.
	CodeLife = time.Minute
	// ClientSessionsMax are the live sessions of a service account that its clients
	// have opened: a fleet of a thousand programs that each ask once in the life of
	// a token with a key of its own, or for permissions of its own.
	ClientSessionsMax = 1_000
	// ClientSessionLife is how long a standing session of client credentials lives: a
	// dozen tokens, one after the other, cost one entry.
	ClientSessionLife = time.Hour
)

// Client is an application that asks for tokens at the organization's issuer. A
// public client has no way to prove who it is; every other has a secret, kept as
// SHA-256 only, or public keys. Its tokens carry what their user holds of
// Permissions, or everything when it is Unbounded.
type Client struct {
	ID          ClientID     `cbor:"1,keyasint"`
	Name        string       `cbor:"2,keyasint"`
	Public      bool         `cbor:"3,keyasint,omitempty"`
	Secret      [32]byte     `cbor:"4,keyasint,omitzero"`
	Keys        []byte       `cbor:"5,keyasint,omitempty"` // JWKS of public keys, opaque here
	Redirects   []string     `cbor:"6,keyasint,omitempty"` // sorted, without repeats
	Grants      []GrantType  `cbor:"7,keyasint"`           // sorted, without repeats
	Permissions []Permission `cbor:"8,keyasint,omitempty"` // sorted, without repeats
	Unbounded   bool         `cbor:"9,keyasint,omitempty"`
	Account     UserID       `cbor:"10,keyasint,omitzero"` // the service account of its client credentials
	Created     Time         `cbor:"11,keyasint"`
	Version     Index        `cbor:"12,keyasint"`

	Algorithm  KeyAlgorithm `cbor:"20,keyasint,omitempty"` // its tokens are signed by; empty: the organization's first
	Logout     string       `cbor:"21,keyasint,omitempty"` // where it is told that a session has ended
	PostLogout []string     `cbor:"22,keyasint,omitempty"` // where people may be sent after they have signed out; sorted, without repeats
	Binds      bool         `cbor:"23,keyasint,omitempty"` // gets only tokens that are bound to a key (RFC 9449)
	Pushes     bool         `cbor:"24,keyasint,omitempty"` // sends people only with requests that it has pushed (RFC 9126)
}

// Check holds what is true of a client alone, and puts its lists in order.
func (c *Client) Check() error {
	if c.ID.IsZero() {
		return Invalid("id", "missing")
	}
	if err := CheckText("name", c.Name, NameMax, true); err != nil {
		return err
	}
	c.Grants, c.Redirects, c.Permissions = sorted(c.Grants), sorted(c.Redirects), sorted(c.Permissions)
	c.PostLogout = sorted(c.PostLogout)
	for _, check := range []func() error{c.checkGrants, c.checkProof, c.checkRedirects, c.checkLogout, c.checkPermissions} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func sorted[T ~string](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func (c *Client) checkGrants() error {
	for _, g := range c.Grants {
		switch g {
		case GrantAuthorizationCode, GrantRefreshToken, GrantClientCredentials, GrantDevice, GrantTokenExchange:
		default:
			return Invalid("grant_types", "%.64q is none that is offered", string(g))
		}
	}
	switch {
	case len(c.Grants) == 0:
		return Invalid("grant_types", "must not be empty")
	case c.Allows(GrantRefreshToken) && !c.Allows(GrantAuthorizationCode) && !c.Allows(GrantDevice):
		return Invalid("grant_types", "refresh_token needs authorization_code or device_code")
	case c.Allows(GrantClientCredentials) == c.Account.IsZero():
		return Invalid("account_id", "names the service account of client_credentials, and of nothing else")
	}
	return nil
}

// checkProof: a client proves itself in exactly one way, so that nobody can choose
// the weaker of two.
func (c *Client) checkProof() error {
	secret, keys := c.Secret != ([32]byte{}), len(c.Keys) > 0
	switch {
	case c.Public && (secret || keys):
		return Invalid("public", "a public client has neither secret nor keys")
	case c.Public && (c.Allows(GrantClientCredentials) || c.Allows(GrantTokenExchange)):
		return Invalid("grant_types", "a public client cannot prove itself, so it has no client_credentials and no token exchange")
	case !c.Public && secret == keys:
		return Invalid("keys", "a client that is not public has either a secret or keys")
	case len(c.Keys) > ClientKeysMax:
		return Invalid("keys", "more than %d bytes", ClientKeysMax)
	}
	return nil
}

func (c *Client) checkRedirects() error {
	if c.Allows(GrantAuthorizationCode) != (len(c.Redirects) > 0) {
		return Invalid("redirect_uris", "authorization_code needs one, and nothing else does")
	}
	if len(c.Redirects) > RedirectsPerClientMax {
		return Invalid("redirect_uris", "more than %d", RedirectsPerClientMax)
	}
	for _, uri := range c.Redirects {
		if err := checkRedirect("redirect_uris", uri); err != nil {
			return err
		}
	}
	return nil
}

// checkLogout: whoever is told that a session has ended is told who was signed in, so
// it is https, and the logout has no say in where that may be.
func (c *Client) checkLogout() error {
	if len(c.PostLogout) > RedirectsPerClientMax {
		return Invalid("post_logout_redirect_uris", "more than %d", RedirectsPerClientMax)
	}
	for _, uri := range c.PostLogout {
		if err := checkRedirect("post_logout_redirect_uris", uri); err != nil {
			return err
		}
	}
	if c.Logout == "" {
		return nil
	}
	u, err := url.Parse(c.Logout)
	if err != nil || len(c.Logout) > urlMax || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(c.Logout, "#") {
		return Invalid("backchannel_logout_uri", "must be an https URL of at most %d bytes without user and fragment", urlMax)
	}
	return nil
}

func (c *Client) checkPermissions() error {
	if c.Unbounded && len(c.Permissions) > 0 {
		return Invalid("permissions", "must be empty when all_permissions is set")
	}
	if len(c.Permissions) > PermissionsPerClientMax {
		return Invalid("permissions", "more than %d", PermissionsPerClientMax)
	}
	for _, p := range c.Permissions {
		if err := p.Check(); err != nil {
			return err
		}
	}
	return nil
}

// checkRedirect takes https, http on this machine (RFC 8252, section 7.3), and the
// scheme of a native application, which has a period in it (section 7.1).
func checkRedirect(field, uri string) error {
	if err := CheckText(field, uri, urlMax, true); err != nil {
		return err
	}
	u, err := url.Parse(uri)
	if err != nil || u.Fragment != "" || strings.Contains(uri, "#") || u.User != nil || strings.ContainsAny(uri, " \\*\"<>") {
		return Invalid(field, "%.200q is not a URI without fragment, user and wildcard", uri)
	}
	switch {
	case u.Scheme == "https" && u.Hostname() != "":
	case u.Scheme == "http" && (loopback(u) || u.Hostname() == "localhost"):
	case strings.Contains(u.Scheme, ".") && u.Host == "" && u.Path != "":
	default:
		return Invalid(field, "%.200q must be https, http on a loopback address, or a native application's own scheme", uri)
	}
	return nil
}

// loopback reports whether a URI is http on a loopback address by number. The name
// localhost is not: what it means is somebody else's decision.
func loopback(u *url.URL) bool {
	return u.Scheme == "http" && u.User == nil && (u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}

// AllowsRedirect compares byte by byte. Only the port of a loopback address may be
// any: a native application takes the one that it gets.
func (c *Client) AllowsRedirect(uri string) bool {
	if slices.Contains(c.Redirects, uri) {
		return true
	}
	bare, ok := portless(uri)
	return ok && slices.ContainsFunc(c.Redirects, func(registered string) bool {
		other, ok := portless(registered)
		return ok && other == bare
	})
}

// portless is a loopback URI without its port and otherwise byte by byte.
func portless(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || !loopback(u) || len(uri) > urlMax {
		return "", false
	}
	rest, ok := strings.CutPrefix(uri, "http://"+u.Host)
	if !ok {
		return "", false
	}
	if rest != "" && rest[0] != '/' && rest[0] != '?' || strings.Contains(rest, "#") {
		return "", false
	}
	return u.Hostname() + rest, true
}

// Allows reports whether the client may use a grant.
func (c *Client) Allows(g GrantType) bool { return slices.Contains(c.Grants, g) }

// Covers reports whether the client's tokens may carry a permission that their user
// holds.
func (c *Client) Covers(p Permission) bool { return c.Unbounded || covers(c.Permissions, p) }

// covers reports whether a sorted list has a permission, by name or by the wildcard
// of its verb.
func covers(list []Permission, p Permission) bool {
	if _, ok := slices.BinarySearch(list, p); ok {
		return true
	}
	wildcard, ok := p.Wildcard()
	if !ok {
		return false
	}
	_, ok = slices.BinarySearch(list, wildcard)
	return ok
}

// Code is an authorization code on its way through a browser: good once, for the
// client of its session, at the redirect URI that it was sent to, and for whoever
// knows what Challenge is the SHA-256 of (RFC 7636).
type Code struct {
	Hash      [32]byte `cbor:"1,keyasint"`
	Redirect  string   `cbor:"2,keyasint,omitempty"`
	Challenge [32]byte `cbor:"3,keyasint,omitzero"`
	Nonce     string   `cbor:"4,keyasint,omitempty"` // of OpenID Connect, for the ID token
	Expires   Time     `cbor:"5,keyasint"`
	Used      Time     `cbor:"6,keyasint,omitempty"`  // zero: not yet; the rest is forgotten then
	Key       [32]byte `cbor:"20,keyasint,omitzero"`  // of the thumbprint that the client has named; zero: none
	Device    bool     `cbor:"21,keyasint,omitempty"` // a device's: it goes through no browser, so it has no redirect and no challenge
}
