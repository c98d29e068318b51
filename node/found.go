package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// found puts the first operator and the token secret into the log, once. The
// machine lets a node do so only while there is no operator.
func (n *Node) found(ctx context.Context) error {
	for {
		done, err := n.tryFound(ctx)
		if done || ctx.Err() != nil {
			return nil
		}
		n.log.Debug("the cluster is not founded yet", "error", err)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) tryFound(ctx context.Context) (done bool, err error) {
	index, err := log{n.cluster}.ReadIndex(ctx)
	if err != nil {
		return false, err
	}
	if err := n.cluster.WaitApplied(ctx, uint64(index)); err != nil {
		return false, err
	}
	system := n.machine.Root().System()
	if system.Operators() > 0 {
		return true, nil
	}
	if _, ok := system.TokenSecret(); !ok {
		secret, err := login.NewSecret(n.ring)
		if err != nil {
			return false, err
		}
		if _, err := n.gate.ProposeAsNode(ctx, directory.OrgID{}, &fsm.PutTokenSecret{Secret: secret}); err != nil {
			return false, err
		}
	}
	// Every build that this cluster will have is at least this one.
	if system.Level() < directory.LevelMax {
		if _, err := n.gate.ProposeAsNode(ctx, directory.OrgID{}, &fsm.RaiseLevel{Level: directory.LevelMax}); err != nil {
			return false, err
		}
	}
	if recovery := n.cfg.First.Recovery; recovery != nil {
		key := directory.RecoveryKey{Name: recovery.Name, Recipient: recovery.Recipient, Proof: recovery.Proof}
		if _, err := n.gate.ProposeAsNode(ctx, directory.OrgID{}, &fsm.SetRecoveryKey{Key: key}); err != nil {
			return false, err
		}
	}
	// The operator comes last: it ends what a node may do by itself.
	_, err = n.gate.ProposeAsNode(ctx, directory.OrgID{}, &fsm.CreateOperator{Operator: directory.Operator{
		ID: n.cfg.First.OperatorID, Name: "root", Token: n.cfg.First.OperatorHash,
	}})
	return err == nil, err
}

// joinTokenLife is how long a join token may be used.
const joinTokenLife = time.Hour

// createJoinToken makes a token that lets one node join.
func (n *Node) createJoinToken(ctx context.Context, pass *access.SystemPass) (string, error) {
	token := cluster.NewJoinToken(n.identity.CASPKI())
	_, err := pass.Propose(ctx, &fsm.CreateJoinToken{Token: directory.JoinToken{
		ID: token.ID, Secret: sha256.Sum256(token.Secret),
		Expires: directory.TimeOf(pass.Now().Add(joinTokenLife)),
	}}, access.IdempotencyKey{}, "join-tokens.create")
	return token.String(), err
}

// admitJoin redeems a join token through the log.
func (n *Node) admitJoin(ctx context.Context, tokenID string, secret []byte, nodeID string) error {
	_, err := n.gate.ProposeAsNode(ctx, directory.OrgID{}, &fsm.RedeemJoinToken{
		ID: tokenID, Secret: sha256.Sum256(secret), Node: nodeID,
	})
	var caller *directory.Error
	if errors.As(err, &caller) {
		return errors.New(caller.Message)
	}
	return err
}

// sweep is the node's timer: it lets go of what lists in progress have pinned, and
// the leader proposes to forget sessions that are dead, to end what has expired and to
// turn signing keys and the CA.
func (n *Node) sweep(ctx context.Context) {
	sessions, grants := time.NewTicker(sweepEvery), time.NewTicker(expireEvery)
	defer sessions.Stop()
	defer grants.Stop()
	for {
		due := []func(context.Context){n.expireGrants, n.turnKeys, n.turnAuthority}
		select {
		case <-sessions.C:
			n.gate.ForgetPins()
			due = []func(context.Context){n.expireSessions}
		case <-grants.C:
		case <-ctx.Done():
			return
		}
		for _, do := range due {
			if n.cluster.IsLeader() {
				do(ctx)
			}
		}
	}
}
