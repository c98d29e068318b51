package node

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/durable"
	"github.com/authfi/authfi/fsm"
)

// methodAuthority asks a node which CA it goes by.
const methodAuthority = "node.authority"

const (
	// authorityPurpose binds the sealed key of a CA to its place.
	authorityPurpose = "key of the cluster's CA"
	// followEvery is how often a node looks how far the rotation of the CA is.
	followEvery = time.Second
	// trustFile is where clients of this machine find the CAs that are trusted.
	trustFile     = "ca.pem"
	trustFileMode = 0o644 // a CA is for everybody
)

// nextAuthority makes a CA whose key only this cluster opens.
func (n *Node) nextAuthority() (directory.Rotation, error) {
	next, err := n.identity.NextAuthority()
	if err != nil {
		return directory.Rotation{}, err
	}
	sealed, err := n.ring.Seal(authorityPurpose, next.Key)
	return directory.Rotation{
		ID: next.ID, Replaces: next.Replaces, Previous: next.Previous, Next: next.Next, Cross: next.Cross, Sealed: sealed, Keep: directory.RotationKeep,
	}, err
}

// followRotations keeps up with the rotation of the CA until the context ends.
func (n *Node) followRotations(ctx context.Context) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		if err := n.followRotation(); err != nil {
			n.log.Error("this node cannot follow the rotation of the CA", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// followRotation brings certificates and trust of this node to where the log is. It may
// be asked at any time: what is done stays as it is.
func (n *Node) followRotation() error {
	r, ok := n.machine.Root().System().Rotation()
	if !ok {
		return nil
	}
	next := cluster.NextAuthority{ID: r.ID, Replaces: r.Replaces, Previous: r.Previous, Next: r.Next, Cross: r.Cross}
	step := n.identity.Trust
	switch r.Phase {
	case directory.RotationSigning:
		var err error
		if next.Key, err = n.ring.Open(authorityPurpose, r.Sealed); err != nil {
			return err
		}
		step = n.identity.SignBy
	case directory.RotationDone:
		step = n.identity.Distrust
	}
	changed, err := step(next)
	if errors.Is(err, cluster.ErrForeign) {
		return nil
	}
	if err != nil || !changed && !n.unshown {
		return err
	}
	n.log.Info("this node follows the rotation of the CA", "authority", r.ID, "phase", r.Phase.String())
	n.unshown = true // until all of it was done
	err = n.show()
	n.unshown = err != nil
	return err
}

// show brings what others see of the CAs up to date: the certificate of the API, the
// trust file, and the connections that were opened by a CA that is trusted no more.
func (n *Node) show() error {
	var err error
	if n.signed != nil {
		_, err = n.signed.Renew(time.Now())
	}
	err = errors.Join(err, n.writeTrust())
	if n.cluster != nil {
		n.cluster.DropDistrusted()
	}
	return err
}

// writeTrust replaces the trust file as a whole: clients read it at any time.
func (n *Node) writeTrust() error {
	return durable.Replace(filepath.Join(n.cfg.Dir, trustFile), trustFileMode, durable.Content(n.identity.CA()))
}

// authority is what an operator sees of this node's CA.
func (n *Node) authority() admin.Authority {
	_, ends := n.identity.Expires()
	return admin.Authority{ID: n.identity.Standing().Signs, Expires: ends, TrustFile: n.identity.CA()}
}

// standsBy is which CA this node goes by.
func (n *Node) standsBy() admin.NodeAuthority {
	s := n.identity.Standing()
	a := admin.NodeAuthority{NodeID: n.cfg.NodeID, Signs: s.Signs, AlsoTrusts: s.Other, Shows: s.Shows}
	if n.signed != nil {
		a.API = n.signed.Authority()
	}
	return a
}

func (n *Node) serveAuthority(context.Context, string, []byte) ([]byte, error) {
	return json.Marshal(n.standsBy())
}

// authorities asks every member at once, those without a vote too. Of one that does not
// answer nothing is known but its name.
func (n *Node) authorities(ctx context.Context) []admin.NodeAuthority {
	ctx, cancel := context.WithTimeout(ctx, appliedWait)
	defer cancel()
	members := n.cluster.Members()
	found := make([]admin.NodeAuthority, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		if m.ID == n.cfg.NodeID {
			found[i] = n.standsBy()
			continue
		}
		all.Go(func() {
			body, err := n.cluster.Call(ctx, m.ID, methodAuthority, nil)
			if err == nil {
				err = json.Unmarshal(body, &found[i])
			}
			if err != nil || found[i].NodeID != m.ID {
				found[i] = admin.NodeAuthority{NodeID: m.ID}
				n.log.Debug("a node does not say which CA it goes by", "peer", m.ID, "error", err)
			}
		})
	}
	all.Wait()
	return found
}

// turnAuthority proposes, at the leader, what is due with the CA: a rotation when a third
// of its life is left, and the next phase of one when every node is ready for it. While
// clients have their time nobody is asked.
func (n *Node) turnAuthority(ctx context.Context) {
	root, now := n.machine.Root(), directory.TimeOf(time.Now())
	r, ok := root.System().Rotation()
	var command fsm.Command
	switch under := ok && r.Phase != directory.RotationDone && r.Concerns(n.identity.Standing().Signs); {
	case under:
		if at, ends := r.Ends(); ends && now < at {
			return
		}
		to, waits := admin.NextPhase(r, n.authorities(ctx), now, false)
		if to == 0 {
			n.log.Debug("the rotation of the CA waits", "authority", r.ID, "for", waits)
			return
		}
		command = &fsm.MoveRotation{ID: r.ID, To: to}
	case n.identity.AuthorityDue(time.Now()) && fsm.LevelOf(&fsm.Envelope{Command: new(fsm.StartRotation)}) <= root.System().Level():
		next, err := n.nextAuthority()
		if err != nil {
			n.log.Error("could not make the next CA", "error", err)
			return
		}
		command = &fsm.StartRotation{Rotation: next}
	default:
		return
	}
	if _, err := n.gate.ProposeAsNode(ctx, directory.OrgID{}, command); err != nil {
		n.log.Warn("could not go on with the rotation of the CA", "error", err)
	}
}
