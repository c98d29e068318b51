package admin

import (
	"context"
	"encoding/hex"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Status is the cluster as one node sees it.
type Status struct {
	NodeID  string
	Leader  string // empty while there is none
	Members []Member
	// Warnings are sentences of what somebody should look into at this node.
	Warnings []string
}

// Member is one node of the cluster.
type Member struct {
	ID      string
	Address string // of peer traffic
	Voter   bool
}

// GetStatus implements ClusterService. Index and digest belong to one state.
func (a *api) GetStatus(ctx context.Context, _ *authfiv1.GetStatusRequest) (*authfiv1.GetStatusResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	status, digest := a.Status(), pass.Digest()
	return &authfiv1.GetStatusResponse{
		NodeId: status.NodeID, Leader: status.Leader,
		Warnings:     status.Warnings,
		AppliedIndex: uint64(pass.Applied()), Digest: hex.EncodeToString(digest[:]),
		Members: convert(status.Members, func(m Member) *authfiv1.Member {
			return &authfiv1.Member{Id: m.ID, Address: m.Address, Voter: m.Voter, Leader: m.ID == status.Leader}
		}),
	}, nil
}

// CreateJoinToken implements ClusterService.
func (a *api) CreateJoinToken(ctx context.Context, _ *authfiv1.CreateJoinTokenRequest) (*authfiv1.CreateJoinTokenResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	token, err := a.JoinToken(ctx, pass)
	if err != nil {
		return nil, err
	}
	return &authfiv1.CreateJoinTokenResponse{Token: token}, nil
}
