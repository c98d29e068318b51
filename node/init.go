package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/keyring"
)

const keyringFile = "cluster.key"

// Init makes the first node of a new cluster: certificates, keyring,
// configuration and the operator's token, which is returned once and stored
// nowhere. Backups are made for the holder of recovery; without one there are none
// until an operator sets it.
func Init(c Config, recovery *backup.Public) (operatorToken string, err error) {
	return operatorToken, initialise(c, recovery, func(token string) error {
		operatorToken = token
		return nil
	})
}

// initialise makes the first node. It becomes one when keep has returned without an
// error: until then all can be tried again.
func initialise(c Config, recovery *backup.Public, keep func(operatorToken string) error) error {
	if err := prepare(c.Dir); err != nil {
		return err
	}
	if _, err := cluster.InitIdentity(c.Dir, c.NodeID, hosts(c)); err != nil {
		return err
	}
	ring, err := keyring.Generate()
	if err != nil {
		return err
	}
	if err := saveKeyring(c.Dir, ring); err != nil {
		return err
	}
	id := access.NewID[directory.OperatorID](time.Now())
	token, hash := access.NewOperatorToken(id)
	c.First = &FirstConfig{OperatorID: id, OperatorHash: hash}
	if recovery != nil {
		if c.First.Recovery, err = recoveryConfig(ring, *recovery); err != nil {
			return err
		}
	}
	if err := keep(token); err != nil {
		return fmt.Errorf("the operator's token: %w", err)
	}
	return c.save()
}

func recoveryConfig(ring *keyring.Keyring, key backup.Public) (*RecoveryConfig, error) {
	if err := key.Check(); err != nil {
		return nil, fmt.Errorf("recovery key: %w", err)
	}
	sealed, err := ring.Seal(backup.ProofPurpose, key.Proof)
	return &RecoveryConfig{Name: key.Name(), Recipient: key.Recipient, Proof: sealed}, err
}

// Join makes a further node with a join token of the cluster at addr, the peer
// address of any of its nodes.
func Join(ctx context.Context, c Config, addr, token string) error {
	if err := prepare(c.Dir); err != nil {
		return err
	}
	_, secret, err := cluster.Join(ctx, c.Dir, c.NodeID, c.Peer, addr, token)
	if err != nil {
		return err
	}
	ring, err := keyring.New(secret)
	if err != nil {
		return err
	}
	if err := saveKeyring(c.Dir, ring); err != nil {
		return err
	}
	return c.save()
}

// saveKeyring stores the keyring of a new node. One that is there is of an attempt
// that did not come to a node: prepare has seen that there is none.
func saveKeyring(dir string, ring *keyring.Keyring) error {
	file := filepath.Join(dir, keyringFile)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return ring.Save(file)
}

// announce tells the others where this node is now, if that is another place than they
// know.
func (n *Node) announce(ctx context.Context) {
	if err := n.cluster.Announce(ctx); err != nil && ctx.Err() == nil {
		n.log.Warn("the address of this node is not known to the others", "error", err)
	}
}

// prepare refuses a directory that already belongs to a node, or did.
func prepare(dir string) error {
	if err := checkLeft(dir); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, configFile)); err == nil {
		return fmt.Errorf("%s already belongs to a node", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// hosts are the names that certificates of this node must carry.
func hosts(c Config) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	for _, address := range []string{c.API, c.Peer} {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			names = append(names, host)
		}
	}
	return names
}
