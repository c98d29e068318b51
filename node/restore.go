package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
)

// restoreGap is how far the restored cluster's first index is behind that of the
// backup. The old cluster went on after it, and its indexes are in the hands of
// clients: none of them may come to name another change. A million entries are
// hours of writing at full speed.
const restoreGap = 1 << 20

// endingsPerEntry bounds how much one entry ends, as the log bounds what one takes.
const endingsPerEntry = 1_000

// Restored is what a restore made.
type Restored struct {
	Header        backup.Header
	Organizations int
	Users         int
	SessionsEnded int
	Index         directory.Index // of the new cluster's state
}

// Restore makes the first node of a new cluster out of a backup, in an empty
// directory; the other nodes join it as ever. A directory in which it failed is
// left empty.
//
// Keyring, organizations, operators, connections and keys are those of the backup,
// so that tokens of operators and of identity providers are good as before. The CA
// and with it the nodes' certificates are new: nodes of the old cluster that still
// run cannot meddle with the new one. What may have been ended after the backup was
// made is ended: every session and every join token.
func Restore(c Config, file io.Reader, key backup.Key) (out Restored, err error) {
	if err := c.check(); err != nil {
		return out, err
	}
	if err := emptyDir(c.Dir); err != nil {
		return out, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, clear(c.Dir))
		}
	}()
	r, err := openBackup(file, key)
	if err != nil {
		return out, err
	}
	ring, err := keyring.New(r.Manifest.Keyring)
	if err != nil {
		return out, fmt.Errorf("%w: %w", backup.ErrDamaged, err)
	}
	if out, err = restoreState(c, r); err != nil {
		return out, err
	}
	if _, err := cluster.InitIdentity(c.Dir, c.NodeID, hosts(c)); err != nil {
		return out, err
	}
	if err := ring.Save(filepath.Join(c.Dir, keyringFile)); err != nil {
		return out, err
	}
	// The configuration comes last: it makes the directory a node's.
	return out, c.save()
}

// emptyDir makes the directory, or demands that nothing is in it.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s is not empty (it holds %s): a restore begins with nothing", dir, found[0].Name())
	}
	return nil
}

// clear takes out of a directory that was empty what a failed restore left there.
func clear(dir string) error {
	found, err := os.ReadDir(dir)
	for _, one := range found {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, one.Name())))
	}
	return err
}

// restoreState fills the node's storage and begins its log.
func restoreState(c Config, r *backup.Reader) (out Restored, err error) {
	storage, err := disk.Open(filepath.Join(c.Dir, stateDir), 0)
	if err != nil {
		return out, err
	}
	machine, err := fsm.Open(storage)
	if err != nil {
		return out, errors.Join(err, storage.Close())
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	if err := r.State(machine.Restore); err != nil {
		return out, err
	}
	if err := same(r, machine.Root()); err != nil {
		return out, err
	}
	out = Restored{Header: r.Header, Organizations: machine.Root().Organizations()}
	for _, o := range r.Manifest.Organizations {
		out.Users += o.Users
	}
	if out.SessionsEnded, err = endAll(machine); err != nil {
		return out, err
	}
	out.Index = machine.Applied()
	s := snapshot{machine.Root(), machine}
	if err := s.Sync(); err != nil {
		return out, err
	}
	return out, cluster.Begin(c.Dir, c.NodeID, c.Peer, c.LogFormat, s)
}

// endAll ends what was open when the backup was made, in a term of its own, and
// before any node serves.
func endAll(machine *fsm.Machine) (sessions int, err error) {
	root := machine.Root()
	now := directory.TimeOf(time.Now())
	endings, sessions := endings(root, now)
	entry := fsm.Entry{Index: root.Applied() + restoreGap, Term: root.Meta().Term + 1}
	for {
		entry.Envelopes = endings[:min(len(endings), endingsPerEntry)]
		endings = endings[len(entry.Envelopes):]
		results, err := machine.Apply([]fsm.Entry{entry})
		if err != nil {
			return 0, err
		}
		for _, result := range results[0] {
			if result.Err != nil {
				return 0, fmt.Errorf("end what was open: %w", result.Err)
			}
		}
		if len(endings) == 0 {
			return sessions, nil
		}
		entry.Index++
	}
}

// endings are the commands that end every session and join token.
func endings(root *state.Root, now directory.Time) (all []*fsm.Envelope, sessions int) {
	as := func(org directory.OrgID, c fsm.Command) {
		all = append(all, &fsm.Envelope{
			Org: org, Actor: directory.Actor{Kind: directory.ActorNode}, Source: "node", Now: now, Operation: "restore", Command: c,
		})
	}
	root.EachOrg(directory.OrgID{}, func(o *state.Org) bool {
		o.EachSession(func(s *directory.Session) bool {
			if s.Ended == 0 {
				as(o.ID(), &fsm.EndSession{ID: s.ID, Reason: "restored"})
				sessions++
			}
			return true
		})
		return true
	})
	root.System().EachJoinToken(func(t *directory.JoinToken) bool {
		if t.Redeemed == 0 && now < t.Expires {
			as(directory.OrgID{}, &fsm.RedeemJoinToken{ID: t.ID, Secret: t.Secret, Node: "restored"})
		}
		return true
	})
	return all, sessions
}
