package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

const (
	joinTimeout = 15 * time.Second
	joinMax     = 64 << 10 // a request or an answer: certificates and a keyring
)

type joinRequest struct {
	TokenID string   `json:"token_id"`
	Secret  []byte   `json:"secret"`
	NodeID  string   `json:"node_id"`
	Address string   `json:"address"`
	Hosts   []string `json:"hosts"`
	Key     []byte   `json:"key"` // PKIX of the newcomer's public key; the private half stays there
}

type joinAnswer struct {
	Error   string `json:"error,omitempty"`
	Cert    []byte `json:"cert,omitempty"`
	CA      []byte `json:"ca,omitempty"`
	CAKey   []byte `json:"ca_key,omitempty"`
	Other   []byte `json:"other,omitempty"` // CA that is trusted too, while one takes the place of the other
	Cross   []byte `json:"cross,omitempty"` // key of the CA, signed by the other
	Secrets []byte `json:"secrets,omitempty"`
}

// Join makes this node a member through any node's peer address and stores its
// identity under dir. Nothing secret is sent before the other side has proved
// that it holds a certificate of the CA that the token pins.
func Join(ctx context.Context, dir, nodeID, advertise, address, token string) (*Identity, []byte, error) {
	return JoinThrough(ctx, TCP{}, dir, nodeID, advertise, address, token)
}

// JoinThrough is Join over a network of one's own.
func JoinThrough(ctx context.Context, network Network, dir, nodeID, advertise, address, token string) (*Identity, []byte, error) {
	t, err := ParseJoinToken(token)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	host, _, err := net.SplitHostPort(advertise)
	if err != nil {
		return nil, nil, fmt.Errorf("address of this node: %w", err)
	}
	answer, err := askJoin(ctx, network, address, t, joinRequest{
		TokenID: t.ID, Secret: t.Secret, NodeID: nodeID, Address: advertise, Hosts: []string{host}, Key: public,
	})
	if err != nil {
		return nil, nil, err
	}
	id, err := answer.identity(nodeID, key)
	if err != nil {
		return nil, nil, err
	}
	return id, answer.Secrets, id.save(filepath.Join(dir, "pki"))
}

func askJoin(ctx context.Context, network Network, address string, t JoinToken, request joinRequest) (joinAnswer, error) {
	deadline := time.Now().Add(joinTimeout)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(deadline) {
		deadline = sooner
	}
	conn, err := dialTLS(network, address, time.Until(deadline), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocolJoin},
		InsecureSkipVerify: true, // the pin below takes the place of a known CA
		VerifyConnection:   t.verify,
	})
	if err != nil {
		return joinAnswer{}, fmt.Errorf("connect to %s: %w", address, err)
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	body, err := json.Marshal(request)
	if err != nil {
		return joinAnswer{}, err
	}
	if err := writeJoin(conn, body); err != nil {
		return joinAnswer{}, err
	}
	raw, err := readJoin(conn)
	if err != nil {
		return joinAnswer{}, fmt.Errorf("join: %w", err)
	}
	var answer joinAnswer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return joinAnswer{}, fmt.Errorf("join: %w", err)
	}
	if answer.Error != "" {
		return joinAnswer{}, fmt.Errorf("join refused: %s", answer.Error)
	}
	return answer, nil
}

// verify demands a chain that ends in the pinned key. While the CA is being replaced the
// key may be that of either, and the next one's is in a certificate by the one before.
func (t JoinToken) verify(state tls.ConnectionState) error {
	for _, cert := range state.PeerCertificates[1:] {
		sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		if subtle.ConstantTimeCompare(sum[:], t.Pin[:]) != 1 {
			continue
		}
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: intermediates(state)})
		return err
	}
	return errors.New("the server does not belong to the cluster that made the token")
}

func (a joinAnswer) identity(nodeID string, key *ecdsa.PrivateKey) (*Identity, error) {
	ca, err := x509.ParseCertificate(a.CA)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	caKey, err := parseAuthorityKey(a.CAKey, ca)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	var more [2]*x509.Certificate
	for i, der := range [][]byte{a.Other, a.Cross} {
		if len(der) == 0 {
			continue
		}
		if more[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
	}
	id := identity(nodeID, newAuthorities(ca, caKey, more[0], more[1]))
	cert, err := id.authorities.Load().chain(a.Cert, key)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	id.cert.Store(cert)
	return id, nil
}

// serveJoin answers one newcomer. The token is redeemed through the log before
// anything is issued, so that it lets exactly one node in.
func (c *Cluster) serveJoin(conn net.Conn) {
	raw, err := readJoin(conn)
	if err != nil {
		return
	}
	answer, err := c.admitNode(raw)
	if err != nil {
		c.log.Warn("join refused", "from", conn.RemoteAddr(), "error", err)
		answer = joinAnswer{Error: err.Error()}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return
	}
	writeJoin(conn, body)
}

func (c *Cluster) admitNode(raw []byte) (joinAnswer, error) {
	var r joinRequest
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil || r.NodeID == "" || r.Address == "" {
		return joinAnswer{}, errors.New("malformed request")
	}
	if c.cfg.AdmitJoin == nil {
		return joinAnswer{}, errors.New("this node admits nobody")
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	if err := c.cfg.AdmitJoin(ctx, r.TokenID, r.Secret, r.NodeID); err != nil {
		return joinAnswer{}, err
	}
	public, err := x509.ParsePKIXPublicKey(r.Key)
	if err != nil {
		return joinAnswer{}, errors.New("malformed key")
	}
	now := c.cfg.Identity.authorities.Load()
	cert, err := now.sign(r.NodeID, append([]string{r.NodeID}, r.Hosts...), public,
		x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return joinAnswer{}, err
	}
	caKey, err := x509.MarshalPKCS8PrivateKey(now.key)
	if err != nil {
		return joinAnswer{}, err
	}
	if err := c.addServerSoon(ctx, r.NodeID, r.Address); err != nil {
		return joinAnswer{}, err
	}
	answer := joinAnswer{Cert: cert, CA: now.ca.Raw, CAKey: caKey}
	if now.other != nil {
		answer.Other = now.other.Raw
	}
	if now.cross != nil {
		answer.Cross = now.cross.Raw
	}
	if c.cfg.Secrets != nil {
		answer.Secrets = c.cfg.Secrets()
	}
	return answer, nil
}

func writeJoin(conn net.Conn, body []byte) error {
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

func readJoin(conn net.Conn) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > joinMax {
		return nil, fmt.Errorf("message of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(conn, b)
	return b, err
}
