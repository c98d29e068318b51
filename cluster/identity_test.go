package cluster

import (
	"crypto/tls"
	"net"
	"testing"
)

// handshake connects two identities and reports the client's and server's error.
func handshake(t *testing.T, client, server *Identity, name string) (error, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	config := client.peerTLS("authfi-rpc")
	config.ServerName = name
	served := make(chan error, 1)
	go func() {
		err := tls.Server(b, server.peerTLS("authfi-rpc")).Handshake()
		b.Close()
		served <- err
	}()
	err := tls.Client(a, config).Handshake()
	a.Close()
	return err, <-served
}

func newIdentity(t *testing.T, nodeID string) *Identity {
	t.Helper()
	id, err := InitIdentity(t.TempDir(), nodeID, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPeerWithAnotherNameIsRefused(t *testing.T) {
	first := newIdentity(t, "node-1")
	second, err := first.issueTo(t.TempDir(), "node-2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err, _ := handshake(t, first, second, "node-2"); err != nil {
		t.Errorf("the named peer: %v", err)
	}
	if err, _ := handshake(t, first, second, "node-3"); err == nil {
		t.Error("a peer with another name is accepted")
	}
}

func TestPeerOfAnotherClusterIsRefused(t *testing.T) {
	if err, _ := handshake(t, newIdentity(t, "node-1"), newIdentity(t, "node-2"), "node-2"); err == nil {
		t.Error("a certificate of another CA is accepted")
	}
}

func TestIdentitySurvivesItsFiles(t *testing.T) {
	dir := t.TempDir()
	made, err := InitIdentity(dir, "node-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadIdentity(dir)
	if err != nil || loaded.NodeID != "node-1" || !loaded.authorities.Load().ca.Equal(made.authorities.Load().ca) {
		t.Fatalf("loaded %v, %v", loaded, err)
	}
	if _, err := loaded.ServerCertificate([]string{"127.0.0.1"}); err != nil {
		t.Error(err)
	}
}
