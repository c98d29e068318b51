package admin

import (
	"context"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Rest is what is left of the cluster without a node.
type Rest struct {
	Members int // with a vote
	Spare   int // how many of them may fail before writes stop
}

// RemoveMember implements MemberService.
func (a *api) RemoveMember(ctx context.Context, r *authfiv1.RemoveMemberRequest) (*authfiv1.RemoveMemberResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.instance(); err != nil {
		return nil, err
	}
	rest, err := a.Config.RemoveMember(ctx, r.GetNodeId())
	if err != nil {
		return nil, err
	}
	return &authfiv1.RemoveMemberResponse{Members: int32(rest.Members), Spare: int32(rest.Spare)}, nil
}

// Leave implements MemberService.
func (a *api) Leave(ctx context.Context, r *authfiv1.LeaveRequest) (*authfiv1.LeaveResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.instance(); err != nil {
		return nil, err
	}
	node := a.Status().NodeID
	rest, removed, err := a.Config.Leave(ctx, r.GetForce())
	if err != nil {
		return nil, err
	}
	return &authfiv1.LeaveResponse{NodeId: node, Members: int32(rest.Members), Spare: int32(rest.Spare), Removed: removed}, nil
}
