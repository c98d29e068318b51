package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/node/acme"
)

// pair writes a certificate and its key, and gives the serial number.
func pair(t *testing.T, c CertificateConfig, from, to, written time.Time) *big.Int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial := big.NewInt(written.UnixNano())
	template := &x509.Certificate{SerialNumber: serial, NotBefore: from, NotAfter: to, DNSNames: []string{"id.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.CertFile, "CERTIFICATE", der, written)
	write(t, c.KeyFile, "PRIVATE KEY", private, written)
	return serial
}

func write(t *testing.T, name, kind string, der []byte, written time.Time) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, written, written); err != nil {
		t.Fatal(err)
	}
}

// TestOwnCertificate follows its files, and stays with the old one while they hold
// nothing that serves.
func TestOwnCertificate(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	cfg := CertificateConfig{CertFile: filepath.Join(t.TempDir(), "cert.pem"), KeyFile: filepath.Join(t.TempDir(), "key.pem")}
	if _, err := openOwnCertificate(cfg); err == nil {
		t.Error("files that are not there are served")
	}
	first := pair(t, cfg, now.Add(-time.Hour), now.Add(time.Hour), now.Add(-time.Minute))
	own, err := openOwnCertificate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	shows := func(serial *big.Int, wantRenewed, wantError bool) {
		t.Helper()
		renewed, err := own.Renew(now)
		cert, _ := own.get(nil)
		if renewed != wantRenewed || (err != nil) != wantError || cert.Leaf.SerialNumber.Cmp(serial) != 0 {
			t.Errorf("renewed %v, %v, shows %d of %d", renewed, err, cert.Leaf.SerialNumber, serial)
		}
	}
	shows(first, false, false)
	write(t, cfg.CertFile, "CERTIFICATE", []byte("half a file"), now)
	shows(first, false, true)
	pair(t, cfg, now.Add(-2*time.Hour), now.Add(-time.Second), now.Add(time.Second)) // it has ended
	shows(first, false, true)
	pair(t, cfg, now.Add(time.Second), now.Add(time.Hour), now.Add(2*time.Second)) // it has not begun
	shows(first, false, true)
	second := pair(t, cfg, now, now.Add(time.Hour), now.Add(3*time.Second))
	shows(second, true, false)
	shows(second, false, false)
}

// TestACMEWarning says what clients see, and nothing while all is well.
func TestACMEWarning(t *testing.T) {
	now := time.Now()
	later, before := now.Add(time.Hour), now.Add(-time.Hour)
	for _, c := range []struct {
		s    acme.Standing
		want []string
	}{
		{acme.Standing{Ends: later}, nil},
		{acme.Standing{}, []string{"yet", "the cluster's CA"}},
		{acme.Standing{Ends: later, Failures: 1, LastError: "no route"}, []string{"the one by ACME until", "no route"}},
		{acme.Standing{Ends: before, Failures: 1, LastError: "no route"}, []string{"the cluster's CA", "no route"}},
	} {
		got := acmeWarning(c.s, now)
		if (got == "") != (c.want == nil) {
			t.Errorf("%+v: %q", c.s, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: no %q in %q", c.s, want, got)
			}
		}
	}
}
