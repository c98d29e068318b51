package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/authfi/authfi/durable"
	"github.com/authfi/authfi/keyring"
)

// The keyring rests in the data directory, or sealed by systemd: by a key of the machine,
// of its TPM where it has one, so that a copy of the disk opens nothing. The unit then
// gives it to the node in memory that only the node reads.
const (
	// KeyringCredential is its name, to which systemd binds it.
	KeyringCredential = "authfi-keyring"
	// SealedKeyring is where the unit looks for it.
	SealedKeyring = "/etc/credstore.encrypted/" + KeyringCredential
	sealedDirMode = 0o700
)

// openKeyring takes the keyring that the unit gives, or the file's. A credential that is
// there and is no keyring is an error, and so is a file beside it with another keyring:
// which of the two the cluster has cannot be told here.
func openKeyring(cfg Config, log *slog.Logger) (*keyring.Keyring, error) {
	file := filepath.Join(cfg.Dir, keyringFile)
	if cfg.Credentials == "" {
		return loadKeyring(file)
	}
	key, err := os.ReadFile(filepath.Join(cfg.Credentials, KeyringCredential))
	if errors.Is(err, fs.ErrNotExist) {
		return loadKeyring(file)
	}
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", KeyringCredential, err)
	}
	ring, err := keyring.New(key)
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", KeyringCredential, err)
	}
	open, err := keyring.Load(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case !bytes.Equal(open.Secret(), ring.Secret()):
		return nil, fmt.Errorf("the credential %s and %s are different keyrings: one of them is another cluster's", KeyringCredential, file)
	default:
		log.Warn("the keyring is sealed and lies open as well: authfi keyring seal --remove-file takes the file away", "file", file)
	}
	return ring, nil
}

func loadKeyring(file string) (*keyring.Keyring, error) {
	ring, err := keyring.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w, and the unit gives no credential %s; if it was sealed, start the node by its unit, or: systemd-creds decrypt --name=%s %s %s",
			err, KeyringCredential, KeyringCredential, SealedKeyring, file)
	}
	return ring, err
}

// SealOptions say how a keyring is sealed.
type SealOptions struct {
	Dir        string // data directory
	To         string // file of the sealed keyring
	WithKey    string // as systemd-creds has it: auto, host, tpm2, host+tpm2
	RemoveFile bool   // the open one, once the sealed one was opened again
}

// SealKeyring seals the keyring of a data directory by systemd-creds. What was sealed is
// opened again before anything is removed. The node may run meanwhile.
func SealKeyring(ctx context.Context, o SealOptions) error {
	file := filepath.Join(o.Dir, keyringFile)
	ring, err := keyring.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it was sealed before, or %s is no node's data directory", err, o.Dir)
	}
	if err != nil {
		return err
	}
	name := "--name=" + KeyringCredential
	sealed, err := systemdCreds(ctx, ring.Secret(), "encrypt", "--with-key="+o.WithKey, name, "-", "-")
	if err != nil {
		return fmt.Errorf("seal the keyring: %w", err)
	}
	opened, err := systemdCreds(ctx, sealed, "decrypt", name, "-", "-")
	if err != nil {
		return fmt.Errorf("open the sealed keyring: %w", err)
	}
	if !bytes.Equal(opened, ring.Secret()) {
		return errors.New("the sealed keyring opens as another one")
	}
	err = os.MkdirAll(filepath.Dir(o.To), sealedDirMode)
	if err == nil {
		err = durable.Replace(o.To, durable.OwnerOnly, durable.Content(sealed))
	}
	if err != nil {
		return fmt.Errorf("store the sealed keyring: %w", err)
	}
	if !o.RemoveFile {
		return nil
	}
	return errors.Join(os.Remove(file), durable.SyncDir(o.Dir))
}

// systemdCreds passes secrets by pipes: arguments are for everybody to see.
func systemdCreds(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "systemd-creds", args...)
	cmd.Stdin = bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("systemd-creds %s: %w: %s", args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return out, nil
}

// keyringFinding is of a node that the doctor does not run as: of a sealed keyring it sees
// that it is there, and systemd alone opens it.
func keyringFinding(dir, sealed string) Finding {
	const check = "keyring"
	_, err := keyring.Load(filepath.Join(dir, keyringFile))
	_, there := os.Stat(sealed)
	switch {
	case err == nil && there == nil:
		return Finding{Check: check, State: StateWarning, Detail: "it is sealed and lies open as well", Advice: "authfi keyring seal --remove-file"}
	case err == nil:
		return Finding{Check: check, State: StateOK, Detail: "it opens"}
	case errors.Is(err, fs.ErrNotExist) && there == nil:
		return Finding{Check: check, State: StateOK, Detail: "it is sealed in " + sealed}
	}
	return failed(check, err, "without it nothing that is sealed opens: take the node out and let it join anew")
}
