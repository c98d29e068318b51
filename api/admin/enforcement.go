package admin

import (
	"context"
	"time"

	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// NodeEnforcement is one node's report. Of a node that does not answer only the
// id is known.
type NodeEnforcement struct {
	NodeID        string
	Reachable     bool
	Attached      bool   // requests cannot get past
	Mode          string // "kernel" or "gate"
	Detail        string // one line: why this mode, or what is wrong
	EnforcedIndex directory.Index
	AppliedIndex  directory.Index
	LeaseHeld     bool
	LeaseLeft     time.Duration
	Counters      map[string]uint64 // verdicts by reason
	LatencyP50    time.Duration     // of a verdict; zero until one was measured
}

// enforcementWait bounds how long a silent node holds up the report.
const enforcementWait = 2 * time.Second

// GetEnforcement implements EnforcementService.
func (a *api) GetEnforcement(ctx context.Context, _ *authfiv1.GetEnforcementRequest) (*authfiv1.GetEnforcementResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.instance(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, enforcementWait)
	defer cancel()
	return &authfiv1.GetEnforcementResponse{Nodes: convert(a.Enforcement(ctx), nodeEnforcement)}, nil
}

func nodeEnforcement(n NodeEnforcement) *authfiv1.NodeEnforcement {
	report := &authfiv1.NodeEnforcement{
		NodeId: n.NodeID, Reachable: n.Reachable, Attached: n.Attached, Mode: n.Mode, Detail: n.Detail,
		EnforcedIndex: uint64(n.EnforcedIndex), AppliedIndex: uint64(n.AppliedIndex),
		Lease:    &authfiv1.Lease{Held: n.LeaseHeld, RemainingMs: n.LeaseLeft.Milliseconds()},
		Counters: n.Counters,
	}
	if n.LatencyP50 > 0 {
		us := float64(n.LatencyP50.Nanoseconds()) / 1000
		report.LatencyP50Us = &us
	}
	return report
}
