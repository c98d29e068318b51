package node_test

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/acme"
	"github.com/authfi/authfi/node/acme/acmetest"
	"github.com/authfi/authfi/node/nodetest"
)

// TestACME: three nodes behind one name have one certificate of a real authority, which
// reaches whichever of them the balancer picks, and show that of the cluster's CA to
// whoever comes by another name. A node that was off takes the certificate over.
func TestACME(t *testing.T) {
	const name = "id.test"
	fronts := nodetest.Free(t, 2)
	authority := acmetest.Start(t, acmetest.Options{Life: 90 * 24 * time.Hour, TLS: fronts[0], HTTP: fronts[1]})
	// The names of the nodes lead to the balancer, which must stand before the first does.
	var back []string
	c := nodetest.Start(t, func(cfg *node.Config) {
		cfg.Certificate.ACME = acme.Settings{Domains: []string{name}, Directory: authority.Directory(), CAFile: authority.CAFile(), TermsAgreed: true}
		back = append(back, cfg.API)
		if len(back) == nodetest.Size {
			acmetest.Balance(t, fronts[0], back...)
		}
	})
	shown := func(i int) string {
		cert, err := acmetest.Shown(back[i], name)
		if err != nil {
			return ""
		}
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: authority.Roots(), Intermediates: authority.Intermediates()}); err != nil {
			return ""
		}
		return cert.SerialNumber.String()
	}
	all := func() bool { return shown(0) != "" && shown(1) == shown(0) && shown(2) == shown(0) }
	until(t, "all show one certificate", all)
	if c.Call(2, http.MethodGet, "/readyz", "").Status != http.StatusOK { // trusts the cluster alone
		t.Error("by its address it is not the cluster's node any more")
	}
	if f := findings(t, c.Dir(1))["certificate by ACME"]; f.State != node.StateOK || !strings.Contains(f.Detail, "renewed on") {
		t.Errorf("%+v", f)
	}
	body := string(c.Do(1, http.MethodGet, "/metrics", "", nil).Body)
	for _, want := range []string{"\nauthfi_acme_failures 0\n", "\nauthfi_acme_missing 0\n", `authfi_certificate_expires_timestamp_seconds{certificate="acme"} `} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q", want)
		}
	}
	before := shown(0)
	c.Stop(1)
	if err := os.Remove(filepath.Join(c.Dir(1), acme.FileName)); err != nil {
		t.Fatal(err)
	}
	if f := findings(t, c.Dir(1))["certificate by ACME"]; f.State != node.StateFailed {
		t.Errorf("%+v", f)
	}
	c.Start(1)
	until(t, "it has the certificate again", func() bool { return shown(1) == before })
	if orders := authority.Orders(); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}
