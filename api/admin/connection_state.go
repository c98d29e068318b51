package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// journalWait bounds how long a silent node holds up what the others remember.
const journalWait = 2 * time.Second

// GetConnectionState implements ConnectionStateService.
func (a *api) GetConnectionState(ctx context.Context, r *authfiv1.GetConnectionStateRequest) (*authfiv1.ConnectionState, error) {
	_, pass, found, err := a.remembered(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	answers := a.askJournals(ctx, journal.Question{Org: pass.Org(), Connection: found.ID})
	var states []journal.State
	answer := &authfiv1.ConnectionState{Id: found.ID.String()}
	for _, node := range answers {
		row := &authfiv1.NodeConnectionState{NodeId: node.Node, Reachable: node.Reachable}
		if node.Reachable {
			states = append(states, node.State)
			row.Since, row.Requests = moment(node.State.Since), int64(node.State.Window.Requests())
		}
		answer.Nodes = append(answer.Nodes, row)
	}
	fillState(answer, journal.Merge(states), found)
	return answer, nil
}

func fillState(answer *authfiv1.ConnectionState, s journal.State, found *directory.Connection) {
	answer.LastRequest, answer.LastWrite, answer.LastRefused = moment(s.LastRequest), moment(s.LastWrite), moment(s.LastRefused)
	answer.LastProbe, answer.LastProbeStatus = moment(s.LastProbe), int32(s.ProbeStatus)
	answer.LastIssuerToken = moment(s.LastIssued)
	for _, t := range found.Valid() {
		name := t.Name().String()
		answer.Tokens = append(answer.Tokens, &authfiv1.ConnectionTokenUse{Token: name, Hint: t.Hint, LastUse: moment(s.Tokens[name])})
	}
	w := s.Window
	answer.Counts = &authfiv1.ConnectionRequestCounts{
		WindowSeconds: int64(journal.Window / time.Second),
		Requests:      int64(w.Requests()), Failures: int64(w.Failures()),
		Success: int64(w.Success), Redirection: int64(w.Redirection), ClientFailure: int64(w.ClientFailure), ServerFailure: int64(w.ServerFailure),
		ReferenceFailures: int64(w.Reference), RefusedTokens: int64(w.Refused),
	}
	answer.ConsecutiveFailures, answer.FailingSince = int64(s.Consecutive), moment(s.RunBegan)
	reason := s.Quarantined()
	answer.Quarantine = &authfiv1.ConnectionQuarantine{
		WouldBeQuarantined: reason != "", Reason: string(reason), FailedPercent: s.FailedPercent(),
		FailuresMin: journal.QuarantineFailuresMin, PercentMax: journal.QuarantinePercent,
		FailuresMax: journal.QuarantineFailuresMax, AllFailuresMax: journal.QuarantineAllMax,
	}
}

// ListConnectionRequests implements ConnectionStateService.
func (a *api) ListConnectionRequests(ctx context.Context, r *authfiv1.ListConnectionRequestsRequest) (*authfiv1.ListConnectionRequestsResponse, error) {
	c, pass, found, err := a.remembered(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), found.ID.String())
	if err != nil {
		return nil, err
	}
	q := journal.Question{Org: pass.Org(), Connection: found.ID, Requests: p.limit + 1} // one more tells whether there is a next page
	if len(p.after) > 0 {
		if err := json.Unmarshal(p.after, &q.Before); err != nil {
			return nil, errCursor()
		}
	}
	answers := a.askJournals(ctx, q)
	requests := journal.MergeRequests(answers, q.Requests)
	answer := &authfiv1.ListConnectionRequestsResponse{}
	if len(requests) > p.limit {
		requests = requests[:p.limit]
		place, err := json.Marshal(requests[p.limit-1].Place())
		if err != nil {
			return nil, err
		}
		if answer.Cursor, err = p.cursor(place); err != nil {
			return nil, err
		}
	}
	answer.Requests = convert(requests, connectionRequest)
	for _, node := range answers {
		if !node.Reachable {
			answer.SilentNodes = append(answer.SilentNodes, node.Node)
		}
	}
	return answer, nil
}

func connectionRequest(q journal.Request) *authfiv1.ConnectionRequest {
	return &authfiv1.ConnectionRequest{
		Time: moment(q.Time), Node: q.Node, Method: q.Method, Path: q.Path, Query: q.Query,
		Status: int32(q.Status), LatencyMs: milliseconds(q.Latency), ScimType: q.ScimType,
		Body: q.Body, Answer: q.Answer, BodyOmitted: int64(q.BodyOmitted), AnswerOmitted: int64(q.AnswerOmitted),
	}
}

// remembered admits the call to the organization that has the connection.
func (a *api) remembered(ctx context.Context, text string) (*call, *access.Pass, *directory.Connection, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	id, err := directory.ParseConnectionID(text)
	if err != nil {
		return nil, nil, nil, inField("id", err)
	}
	pass, err := c.at("connection", func(o *state.Org) bool { _, ok := o.Connection(id); return ok })
	if err != nil {
		return nil, nil, nil, err
	}
	found, ok := pass.View().Connection(id)
	if !ok {
		return nil, nil, nil, directory.NotFound("connection")
	}
	return c, pass, found, nil
}

func (a *api) askJournals(ctx context.Context, q journal.Question) []journal.Answer {
	ctx, cancel := context.WithTimeout(ctx, journalWait)
	defer cancel()
	return a.Journals(ctx, q)
}

// moment is absent for what has not happened.
func moment(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
