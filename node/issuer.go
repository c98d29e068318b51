package node

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/authfi/authfi/api/issuer"
)

// openIssuers reads whom this node asks for keys. It asks nobody yet.
func (n *Node) openIssuers() error {
	c := issuer.Config{Hosts: n.cfg.Issuers.Hosts, Now: time.Now, Log: n.log}
	if file := n.cfg.Issuers.CAFile; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("the CAs of issuers: %w", err)
		}
		c.Roots = x509.NewCertPool()
		if !c.Roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("the CAs of issuers: %s holds no certificate", file)
		}
	}
	n.issuers = issuer.New(c)
	return nil
}
