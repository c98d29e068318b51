package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
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
	Services      []ServiceEnforcement
	Refusals      []Refusal // newest last
}

// ServiceEnforcement is what a node has decided about one service.
type ServiceEnforcement struct {
	Service       directory.ServiceID
	Org           directory.OrgID
	Name          string
	Listen        []string
	Mode          string
	PolicyVersion uint64
	Verdicts      map[string]uint64 // by reason
	LetThrough    uint64
	Refused       uint64
	WouldRefuse   uint64
	Routes        []RouteHits
}

// RouteHits are the requests that one route has decided.
type RouteHits struct {
	Policy              string // methods and path
	LetThrough, Refused uint64
}

// Refusal is one request that was not let through, or would not have been.
type Refusal struct {
	Time    time.Time
	Seq     uint64
	Org     directory.OrgID
	Service directory.ServiceID
	Name    string // of the service
	Method  string
	Reason  string
	Policy  string // of the route that decided; empty: none
	Version uint64 // of the policies
	User    directory.UserID
	DryRun  bool
}

// enforcementWait bounds how long a silent node holds up the report.
const enforcementWait = 2 * time.Second

// GetEnforcement implements EnforcementService.
func (a *api) GetEnforcement(ctx context.Context, _ *authfiv1.GetEnforcementRequest) (*authfiv1.GetEnforcementResponse, error) {
	nodes, err := a.enforcement(ctx)
	return &authfiv1.GetEnforcementResponse{Nodes: convert(nodes, nodeEnforcement)}, err
}

func (a *api) enforcement(ctx context.Context) ([]NodeEnforcement, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.instance(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, enforcementWait)
	defer cancel()
	return a.Enforcement(ctx), nil
}

// ListRefusals implements EnforcementService.
func (a *api) ListRefusals(ctx context.Context, r *authfiv1.ListRefusalsRequest) (*authfiv1.ListRefusalsResponse, error) {
	var only directory.ServiceID
	if r.GetServiceId() != "" {
		var err error
		if only, err = directory.ParseServiceID(r.GetServiceId()); err != nil {
			return nil, inField("service_id", err)
		}
	}
	nodes, err := a.enforcement(ctx)
	if err != nil {
		return nil, err
	}
	answer := &authfiv1.ListRefusalsResponse{}
	for _, n := range nodes {
		for _, refused := range n.Refusals {
			if only.IsZero() || refused.Service == only {
				answer.Refusals = append(answer.Refusals, refusalMessage(n.NodeID, refused))
			}
		}
	}
	slices.SortStableFunc(answer.Refusals, func(a, b *authfiv1.Refusal) int {
		return cmp.Or(a.Time.AsTime().Compare(b.Time.AsTime()), cmp.Compare(a.NodeId, b.NodeId), cmp.Compare(a.Seq, b.Seq))
	})
	return answer, nil
}

func refusalMessage(node string, r Refusal) *authfiv1.Refusal {
	return &authfiv1.Refusal{
		Time: timestamppb.New(r.Time), NodeId: node, Seq: r.Seq, OrgId: optionalID(r.Org), ServiceId: optionalID(r.Service),
		Service: r.Name, Method: r.Method, Reason: r.Reason, Policy: r.Policy, PolicyVersion: r.Version,
		UserId: optionalID(r.User), DryRun: r.DryRun,
	}
}

func nodeEnforcement(n NodeEnforcement) *authfiv1.NodeEnforcement {
	report := &authfiv1.NodeEnforcement{
		NodeId: n.NodeID, Reachable: n.Reachable, Attached: n.Attached, Mode: n.Mode, Detail: n.Detail,
		EnforcedIndex: uint64(n.EnforcedIndex), AppliedIndex: uint64(n.AppliedIndex),
		Lease:    &authfiv1.Lease{Held: n.LeaseHeld, RemainingMs: n.LeaseLeft.Milliseconds()},
		Counters: n.Counters, Services: convert(n.Services, serviceEnforcement),
	}
	if n.LatencyP50 > 0 {
		us := float64(n.LatencyP50.Nanoseconds()) / 1000
		report.LatencyP50Us = &us
	}
	return report
}

func serviceEnforcement(s ServiceEnforcement) *authfiv1.ServiceEnforcement {
	out := &authfiv1.ServiceEnforcement{
		ServiceId: s.Service.String(), OrgId: s.Org.String(), Name: s.Name, Listen: s.Listen, Mode: s.Mode,
		PolicyVersion: s.PolicyVersion, Verdicts: s.Verdicts,
		LetThrough: s.LetThrough, Refused: s.Refused, WouldBeRefused: s.WouldRefuse,
	}
	for i, r := range s.Routes {
		out.Routes = append(out.Routes, &authfiv1.RouteHits{Route: int32(i), Policy: r.Policy, LetThrough: r.LetThrough, Refused: r.Refused})
	}
	return out
}
