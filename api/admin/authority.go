package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// NodeAuthority is which CA a node goes by: names of CAs. Signs is empty of a node that
// did not say. API is empty where the API has a certificate of another's making.
type NodeAuthority struct {
	NodeID, Signs, AlsoTrusts, Shows, API string
}

func (n NodeAuthority) trusts(ca string) bool { return n.Signs == ca || n.AlsoTrusts == ca }

// follows is true of a node that has nothing to do with the CA before any more.
func (n NodeAuthority) follows(ca string) bool {
	return n.Signs == ca && n.Shows == ca && (n.API == ca || n.API == "")
}

// Authority is the CA that signs at this node, and the certificates of all that are
// trusted.
type Authority struct {
	ID        string
	Expires   time.Time
	TrustFile []byte
}

// NextPhase is what a rotation goes to next, if every node is ready for it, or why it
// waits. Nothing is assumed of a node that is silent: it may come back with the
// certificate of the CA before. Early does not wait for clients.
func NextPhase(r *directory.Rotation, nodes []NodeAuthority, now directory.Time, early bool) (to directory.RotationPhase, waits string) {
	if r.Phase == directory.RotationDone {
		return 0, ""
	}
	ready := func(n NodeAuthority) bool { return n.trusts(r.ID) }
	if r.Phase == directory.RotationSigning {
		ready = func(n NodeAuthority) bool { return n.follows(r.ID) }
	}
	for _, n := range nodes {
		switch {
		case n.Signs == "":
			return 0, n.NodeID + " does not answer: start it, or take it out with authfi members remove"
		case !ready(n):
			return 0, n.NodeID + " is not as far yet"
		}
	}
	if len(nodes) == 0 {
		return 0, "this node knows no members"
	}
	if at, ok := r.Ends(); ok && now < at && !early {
		return 0, fmt.Sprintf("clients have until %s to take the new trust file", at.Std().UTC().Format(time.RFC3339))
	}
	return r.Phase + 1, ""
}

func showAuthority(n NodeAuthority) *authfiv1.NodeAuthority {
	return &authfiv1.NodeAuthority{NodeId: n.NodeID, Reachable: n.Signs != "", Signs: n.Signs, AlsoTrusts: n.AlsoTrusts, Shows: n.Shows, Api: n.API}
}

func showRotation(r *directory.Rotation, waits string) *authfiv1.AuthorityRotation {
	shown := &authfiv1.AuthorityRotation{
		AuthorityId: r.ID, Replaces: r.Replaces, Phase: r.Phase.String(), Since: timestamp(r.Began), WaitsFor: waits,
	}
	if at, ok := r.Ends(); ok {
		shown.Retires = timestamp(at)
	}
	return shown
}

// GetAuthority implements AuthorityService.
func (a *api) GetAuthority(ctx context.Context, _ *authfiv1.GetAuthorityRequest) (*authfiv1.GetAuthorityResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	own, nodes := a.Authority(), a.Authorities(ctx)
	answer := &authfiv1.GetAuthorityResponse{
		AuthorityId: own.ID, Expires: timestamp(directory.TimeOf(own.Expires)), Nodes: convert(nodes, showAuthority), TrustFile: string(own.TrustFile),
	}
	if r, ok := pass.View().Rotation(); ok && r.Concerns(own.ID) {
		_, waits := NextPhase(r, nodes, directory.TimeOf(pass.Now()), false)
		answer.Rotation = showRotation(r, waits)
	}
	return answer, nil
}

// RotateAuthority implements AuthorityService. The next CA's key leaves the node only
// sealed.
func (a *api) RotateAuthority(ctx context.Context, r *authfiv1.RotateAuthorityRequest) (*authfiv1.RotateAuthorityResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	if most := int64(directory.RotationKeepMax.Seconds()); r.GetKeepSeconds() < 0 || r.GetKeepSeconds() > most {
		return nil, directory.Invalid("keep_seconds", "must be 0 to %d", most)
	}
	next, err := a.NextAuthority()
	if err != nil {
		return nil, err
	}
	if next.Keep = directory.RotationKeep; r.GetKeepSeconds() > 0 {
		next.Keep = time.Duration(r.GetKeepSeconds()) * time.Second
	}
	if _, err := c.proposeSystem(pass, &fsm.StartRotation{Rotation: next}, r); err != nil {
		return nil, err
	}
	started, ok := pass.Rotation()
	if !ok {
		return nil, directory.NotFound("rotation")
	}
	return &authfiv1.RotateAuthorityResponse{Rotation: showRotation(started, "")}, nil
}

// RetireAuthority implements AuthorityService.
func (a *api) RetireAuthority(ctx context.Context, r *authfiv1.RetireAuthorityRequest) (*authfiv1.RetireAuthorityResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	now, ok := pass.View().Rotation()
	if !ok || !now.Concerns(a.Authority().ID) || now.Phase != directory.RotationSigning {
		return nil, directory.Precondition("", "there is no CA to let go of: none was replaced that is trusted still")
	}
	to, waits := NextPhase(now, a.Authorities(ctx), directory.TimeOf(pass.Now()), true)
	if to == 0 {
		return nil, directory.Precondition("", "the CA %s cannot be let go of: %s", now.Replaces, waits)
	}
	if _, err := c.proposeSystem(pass, &fsm.MoveRotation{ID: now.ID, To: to, Early: true}, r); err != nil {
		return nil, err
	}
	done, ok := pass.Rotation()
	if !ok {
		return nil, directory.NotFound("rotation")
	}
	return &authfiv1.RetireAuthorityResponse{Rotation: showRotation(done, "")}, nil
}
