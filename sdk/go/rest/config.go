package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/authfi/authfi/sdk/go/internal/dial"
)

// Times and bounds of a request.
const (
	PatienceDefault = 30 * time.Second // a leader is found in a few
	replyTimeout    = 10 * time.Second // of one node: twice what a node waits for the others
	pauseFirst      = 50 * time.Millisecond
	pauseMax        = time.Second
	answerMax       = 128 << 20 // bytes; a page of 1,000 users, each with all it may have
)

// Config says which cluster is asked and by whom.
type Config struct {
	Nodes  []string // base URLs; when one does not answer, the next is asked
	Token  string   // an operator's, of a session, or an API key
	Client *http.Client
	CAFile string // of the CA to trust; empty: the system's
	// Credential gives the token instead, before each request, as when sessions are
	// renewed.
	Credential func(context.Context) (string, error)
	// Patience is how long one call goes on repeating; zero: PatienceDefault.
	Patience time.Duration
}

// FromEnv reads AUTHFI_URL (several nodes with commas), AUTHFI_TOKEN and
// AUTHFI_CACERT.
func FromEnv() Config {
	c := Config{Token: os.Getenv("AUTHFI_TOKEN"), CAFile: os.Getenv("AUTHFI_CACERT")}
	if urls := os.Getenv("AUTHFI_URL"); urls != "" {
		c.Nodes = strings.Split(urls, ",")
	}
	return c
}

// complete fills in what was left out, or says what cannot be.
func (c *Config) complete() (err error) {
	if len(c.Nodes) == 0 {
		return errors.New("authfi: no node is named; AUTHFI_URL has base URLs, with commas")
	}
	nodes := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		nodes[i] = strings.TrimRight(strings.TrimSpace(node), "/")
		if !strings.HasPrefix(nodes[i], "https://") {
			return fmt.Errorf("authfi: %q is not an https URL of a node", node)
		}
	}
	c.Nodes = nodes
	if c.Credential == nil {
		if c.Token == "" {
			return errors.New("authfi: there is no credential; AUTHFI_TOKEN has an operator's token, that of a session, or an API key")
		}
		token := c.Token
		c.Credential = func(context.Context) (string, error) { return token, nil }
	}
	if c.Patience < 0 {
		return fmt.Errorf("authfi: a patience of %v", c.Patience)
	}
	if c.Patience == 0 {
		c.Patience = PatienceDefault
	}
	if c.Client == nil {
		c.Client, err = dial.Client(c.CAFile, replyTimeout)
	}
	return err
}
