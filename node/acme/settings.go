package acme

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/acme"
)

// Bounds of the settings.
const (
	// domainsMax is what the shorter-lived certificates of public authorities may hold.
	domainsMax = 25
	domainMax  = 253 // RFC 1035, in the form with dots
	emailMax   = 254 // RFC 5321
)

// Settings are the section certificate.acme of a node's settings. Without domains there
// is no ACME.
type Settings struct {
	// Domains are the names that the certificate is for.
	Domains []string `json:"domains,omitempty"`
	// Directory is the URL at which the authority says what it offers.
	Directory string `json:"directory,omitempty"`
	// Email is where the authority writes to; empty: nowhere.
	Email string `json:"email,omitempty"`
	// CAFile holds the CAs, as PEM, that vouch for the authority's own server instead of
	// the machine's.
	CAFile string `json:"ca_file,omitempty"`
	// TermsAgreed says that somebody has agreed to the authority's terms of service.
	TermsAgreed bool `json:"terms_agreed,omitempty"`
	// AccountKeyID and AccountKeyFile are of an account that somebody has at the authority
	// already (RFC 8555, section 7.3.4): its name, and a file with the key, in base64url.
	AccountKeyID   string `json:"account_key_id,omitempty"`
	AccountKeyFile string `json:"account_key_file,omitempty"`
	// HTTP is a listen address: names are proved by HTTP-01 there, which the authority
	// looks for on port 80, instead of TLS-ALPN-01 at the HTTPS server.
	HTTP string `json:"http,omitempty"`
}

// Mistake is what is wrong with one key of the section.
type Mistake struct {
	Key string // below the section, with the place in a list: domains[1]
	Why string
}

func (m *Mistake) Error() string { return m.Key + ": " + m.Why }

// Enabled reports whether a certificate is wanted.
func (s Settings) Enabled() bool { return len(s.Domains) > 0 }

// label is one part of a name, as RFC 1123 has it, in lower case: names are compared.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// Check gives the first mistake, as a *Mistake.
func (s Settings) Check() error {
	if reflect.ValueOf(s).IsZero() {
		return nil
	}
	switch {
	case len(s.Domains) == 0:
		return &Mistake{"domains", "a certificate needs at least one name"}
	case len(s.Domains) > domainsMax:
		return &Mistake{fmt.Sprintf("domains[%d]", domainsMax), fmt.Sprintf("more than %d names", domainsMax)}
	}
	for i, domain := range s.Domains {
		if why := wrongDomain(domain); why != "" {
			return &Mistake{fmt.Sprintf("domains[%d]", i), fmt.Sprintf("%q %s", domain, why)}
		}
		if slices.Index(s.Domains, domain) < i {
			return &Mistake{fmt.Sprintf("domains[%d]", i), fmt.Sprintf("%q is named twice", domain)}
		}
	}
	if u, err := url.Parse(s.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return &Mistake{"directory", fmt.Sprintf("%q is not an https URL", s.Directory)}
	}
	if !s.TermsAgreed {
		return &Mistake{"terms_agreed", "must be true: somebody has to agree to the terms of the authority"}
	}
	if s.Email != "" {
		if address, err := mail.ParseAddress(s.Email); err != nil || address.Address != s.Email || len(s.Email) > emailMax {
			return &Mistake{"email", fmt.Sprintf("%q is not a mail address", s.Email)}
		}
	}
	if (s.AccountKeyID == "") != (s.AccountKeyFile == "") {
		return &Mistake{"account_key_id", "account_key_id and account_key_file belong together"}
	}
	if s.HTTP != "" {
		if _, _, err := net.SplitHostPort(s.HTTP); err != nil {
			return &Mistake{"http", err.Error()}
		}
	}
	return nil
}

// wrongDomain says why there can be no certificate for a name, or nothing.
func wrongDomain(domain string) string {
	if _, err := netip.ParseAddr(domain); err == nil {
		return "is an address: only names are certified"
	}
	switch {
	case len(domain) > 2 && domain[:2] == "*.":
		return "is a wildcard, which neither TLS-ALPN-01 nor HTTP-01 proves"
	case len(domain) > domainMax || !label.MatchString(domain):
		return "is not a host name in lower case (an international one as xn--…)"
	}
	return ""
}

// binding is to the account that somebody has already; nil: there is none.
func (s Settings) binding() (*acme.ExternalAccountBinding, error) {
	if s.AccountKeyID == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.AccountKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil || len(key) == 0 {
		return nil, errors.New(s.AccountKeyFile + " holds no key in base64url")
	}
	return &acme.ExternalAccountBinding{KID: s.AccountKeyID, Key: key}, nil
}

// roots are the CAs of the authority's server; nil for the machine's.
func (s Settings) roots() (*x509.CertPool, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(s.CAFile + " holds no certificate")
	}
	return pool, nil
}
