package authfi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/authfi/authfi/sdk/go/internal/dial"
	"github.com/authfi/authfi/sdk/go/internal/rehearsal"
)

// Config says whose tokens are accepted and where to ask about them.
type Config struct {
	Issuer   string        // https://HOST/o/SLUG
	Audience string        // empty: the issuer
	Org      string        // org-…; needed but in Offline
	Nodes    []string      // base URLs of nodes; empty: the issuer's
	APIKey   string        // holds read:audit-logs, to follow the feed; needed but in Offline
	Posture  Posture       // empty: Fresh
	Skew     time.Duration // of clocks; zero: SkewDefault
	Client   *http.Client  // nil: one that trusts CAFile
	CAFile   string        // empty: the system's
	KeySet   []byte        // a key set to begin with, as JSON
	Log      *slog.Logger  // nil: none
}

// FromEnv reads AUTHFI_ISSUER, AUTHFI_AUDIENCE, AUTHFI_ORG, AUTHFI_URL (several
// nodes with commas), AUTHFI_TOKEN, AUTHFI_CACERT and AUTHFI_POSTURE.
func FromEnv() Config {
	c := Config{
		Issuer: os.Getenv("AUTHFI_ISSUER"), Audience: os.Getenv("AUTHFI_AUDIENCE"), Org: os.Getenv("AUTHFI_ORG"),
		APIKey: os.Getenv("AUTHFI_TOKEN"), CAFile: os.Getenv("AUTHFI_CACERT"), Posture: Posture(os.Getenv("AUTHFI_POSTURE")),
	}
	if urls := os.Getenv("AUTHFI_URL"); urls != "" {
		c.Nodes = strings.Split(urls, ",")
	}
	return c
}

// complete fills in what was left out, or says what cannot be.
func (c *Config) complete() (err error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Scheme != "https" || issuer.Host == "" || !strings.HasPrefix(issuer.Path, "/o/") {
		return fmt.Errorf("authfi: the issuer %q is not of the form https://HOST/o/SLUG", c.Issuer)
	}
	if isTests(issuer.Hostname()) && c.rehearsal() == nil {
		return fmt.Errorf("authfi: %s is the issuer of tests; only package authfitest gives a configuration that trusts it", rehearsal.Host)
	}
	if c.Audience == "" {
		c.Audience = c.Issuer
	}
	if len(c.Nodes) == 0 {
		c.Nodes = []string{"https://" + issuer.Host}
	}
	for i, node := range c.Nodes {
		c.Nodes[i] = strings.TrimRight(strings.TrimSpace(node), "/")
		if !strings.HasPrefix(node, "https://") {
			return fmt.Errorf("authfi: %q is not an https URL of a node", node)
		}
	}
	switch c.Posture {
	case "":
		c.Posture = Fresh
	case Fresh, Strict, Offline:
	default:
		return fmt.Errorf("authfi: the posture %q is not fresh, strict or offline", c.Posture)
	}
	if c.Posture != Offline && (c.APIKey == "" || c.Org == "") {
		return errors.New("authfi: to follow the feed, the organization and an API key are needed; the posture offline needs neither")
	}
	if c.Skew == 0 {
		c.Skew = SkewDefault
	}
	if c.Skew < 0 || c.Skew > SkewMax {
		return fmt.Errorf("authfi: a skew of %v is not within 0 and %v", c.Skew, SkewMax)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c.client()
}

func (c *Config) client() error {
	if c.Client != nil {
		return nil
	}
	client, err := dial.Client(c.CAFile, fetchTimeout)
	c.Client = client
	return err
}

// rehearsal is the transport of the test issuer, or nil.
func (c *Config) rehearsal() rehearsal.Transport {
	if c.Client == nil {
		return nil
	}
	transport, _ := c.Client.Transport.(rehearsal.Transport)
	return transport
}

// isTests: DNS knows no capitals, and a dot may end a name.
func isTests(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), rehearsal.Host)
}

func (c *Config) rules() rules {
	return rules{issuer: c.Issuer, audience: c.Audience, org: c.Org, skew: c.Skew}
}
