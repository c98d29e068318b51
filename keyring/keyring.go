// Package keyring seals the secrets that travel through the log, so that
// neither log, snapshot nor backup holds them in clear. Every node of a cluster
// holds the same keyring; it reaches a joining node over the pinned connection
// of the join and rests in a file that only the daemon reads.
//
// The package must never know what it seals.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Size is the length of the cluster key in bytes (AES-256).
const Size = 32

// formatAESGCM is the first byte of a sealed secret: AES-256-GCM with a random
// 96-bit nonce. A cluster seals a few secrets per session refresh, far from the
// 2^32 messages after which random nonces of one key become a risk.
const formatAESGCM = 1

// Keyring seals and opens under one cluster key.
type Keyring struct {
	key  [Size]byte
	aead cipher.AEAD
}

// Generate makes the key of a new cluster.
func Generate() (*Keyring, error) {
	var key [Size]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("generate cluster key: %w", err)
	}
	return New(key[:])
}

// New takes an existing key.
func New(key []byte) (*Keyring, error) {
	if len(key) != Size {
		return nil, fmt.Errorf("cluster key has %d bytes instead of %d", len(key), Size)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cluster key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cluster key: %w", err)
	}
	k := &Keyring{aead: aead}
	copy(k.key[:], key)
	return k, nil
}

// Load reads the key from a file that Save wrote.
func Load(file string) (*Keyring, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("cluster key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("cluster key: %s is readable by others (mode %v)", file, info.Mode().Perm())
	}
	key, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cluster key: %w", err)
	}
	return New(key)
}

// Save writes the key for its owner only and never over another one.
func (k *Keyring) Save(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cluster key: %s exists already", file)
	}
	if err != nil {
		return fmt.Errorf("cluster key: %w", err)
	}
	_, err = f.Write(k.key[:])
	return errors.Join(err, f.Sync(), f.Close())
}

// Secret is the key itself, for a node that has proved that it may join.
func (k *Keyring) Secret() []byte { return append([]byte(nil), k.key[:]...) }

// Seal encrypts plain so that only Open with the same purpose gets it back.
// The purpose binds a secret to its place: a sealed signing key of one
// organization does not open as another's.
func (k *Keyring) Seal(purpose string, plain []byte) ([]byte, error) {
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := append([]byte{formatAESGCM}, nonce...)
	return k.aead.Seal(out, nonce, plain, []byte(purpose)), nil
}

// Open fails on a changed secret, another purpose or another cluster's key.
func (k *Keyring) Open(purpose string, sealed []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(sealed) < 1+n || sealed[0] != formatAESGCM {
		return nil, errors.New("open: not a sealed secret")
	}
	plain, err := k.aead.Open(nil, sealed[1:1+n], sealed[1+n:], []byte(purpose))
	if err != nil {
		return nil, errors.New("open: sealed under another key or for another purpose")
	}
	return plain, nil
}

// derivedPrefix keeps what is derived apart from any other use of the key.
const derivedPrefix = "authfi derived "

// Derive makes 32 bytes that only this cluster can make: the same for the same
// purpose on every node and for ever, and nothing can be told from them of the
// key or of another purpose's.
func (k *Keyring) Derive(purpose string) [32]byte {
	var out [32]byte
	derived, err := hkdf.Expand(sha256.New, k.key[:], derivedPrefix+purpose, len(out))
	if err != nil {
		panic("keyring: " + err.Error()) // 32 bytes are far below what the function can give
	}
	copy(out[:], derived)
	return out
}
