package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// backup writes the state at one index. The root is immutable, so writes go on
// meanwhile and the file holds none of them.
func (n *Node) backup(_ context.Context, w io.Writer) error {
	root := n.machine.Root()
	key, ok := root.System().RecoveryKey()
	if !ok {
		return directory.Precondition("", "there is no recovery key, so nobody could open a backup: authfi recovery-key create makes one")
	}
	proof, err := n.ring.Open(backup.ProofPurpose, key.Proof)
	if err != nil {
		return fmt.Errorf("recovery key %s: %w", key.Name, err)
	}
	digest, meta := fsm.Digest(root), root.Meta()
	cluster := sha256.Sum256(n.identity.CASPKI())
	return backup.Write(w, backup.Public{Recipient: key.Recipient, Proof: proof}, backup.Header{
		Cluster: hex.EncodeToString(cluster[:]), Index: uint64(meta.Applied), Term: meta.Term,
		Time: time.Now().UTC().Truncate(time.Second), Digest: hex.EncodeToString(digest[:]), Level: int(root.System().Level()),
	}, backup.Manifest{
		Keyring: n.ring.Secret(), Organizations: holdings(root),
	}, func(w io.Writer) error { return fsm.WriteSnapshot(w, root) })
}

// holdings counts what each organization holds.
func holdings(root *state.Root) []backup.Organization {
	all := make([]backup.Organization, 0, root.Organizations())
	root.EachOrg(directory.OrgID{}, func(o *state.Org) bool {
		all = append(all, backup.Organization{
			ID: o.ID().String(), Slug: o.Record().Slug, Users: o.Users(), Groups: o.Groups(), Roles: o.Roles(),
			Assignments: o.Assignments(), Connections: o.Connections(), Services: o.Services(),
		})
		return true
	})
	return all
}

// Verified is what a backup was found to hold.
type Verified struct {
	Header        backup.Header
	Organizations []backup.Organization
}

// VerifyBackup restores a backup into memory and compares what comes out with what
// the node had that made it.
func VerifyBackup(file io.Reader, key backup.Key) (Verified, error) {
	r, err := openBackup(file, key)
	if err != nil {
		return Verified{}, err
	}
	var writer *state.Writer
	err = r.State(func(in io.Reader) (err error) {
		writer, err = state.LoadWriter(func(row func(key, value []byte) error) (state.Meta, error) {
			return fsm.ReadSnapshot(in, row)
		})
		return err
	})
	if err != nil {
		return Verified{}, err
	}
	meta := writer.Meta()
	root, _ := writer.Publish(meta.Applied, meta.Term)
	return Verified{r.Header, r.Manifest.Organizations}, same(r, root)
}

// openBackup refuses a state that this build may not understand.
func openBackup(file io.Reader, key backup.Key) (*backup.Reader, error) {
	r, err := backup.Open(file, key)
	if err != nil {
		return nil, err
	}
	if r.Header.Level < int(directory.LevelMin) || r.Header.Level > int(directory.LevelMax) {
		return nil, fmt.Errorf("the backup is of feature level %d, and this build understands %d to %d: take another one", r.Header.Level, directory.LevelMin, directory.LevelMax)
	}
	return r, nil
}

// same compares a root with what the file says of the state.
func same(r *backup.Reader, root *state.Root) error {
	digest, meta := fsm.Digest(root), root.Meta()
	if got := hex.EncodeToString(digest[:]); got != r.Header.Digest || uint64(meta.Applied) != r.Header.Index || meta.Term != r.Header.Term {
		return fmt.Errorf("%w: the state is at index %d of term %d with digest %s, and not at %d of %d with %s", backup.ErrDamaged,
			meta.Applied, meta.Term, got, r.Header.Index, r.Header.Term, r.Header.Digest)
	}
	found := holdings(root)
	if len(found) != len(r.Manifest.Organizations) {
		return fmt.Errorf("%w: the state has %d organizations, and not %d", backup.ErrDamaged, len(found), len(r.Manifest.Organizations))
	}
	for i, want := range r.Manifest.Organizations {
		if found[i] != want {
			return fmt.Errorf("%w: organization %s holds %+v, and not %+v", backup.ErrDamaged, want.Slug, found[i], want)
		}
	}
	return nil
}
