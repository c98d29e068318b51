package journal

import (
	"maps"
	"time"

	"github.com/authfi/authfi/directory"
)

// State is how a connection is doing: as one node knows it, or merged.
type State struct {
	Since       time.Time            // nothing from before is remembered
	LastRequest time.Time            // with a valid token
	LastSuccess time.Time            // answered below 400
	LastFailure time.Time            // answered from 400 on
	LastWrite   time.Time            // that succeeded
	LastProbe   time.Time            // the provider's test query
	ProbeStatus int                  // how the last probe was answered
	LastRefused time.Time            // a token that is none of the connection's
	Tokens      map[string]time.Time // last use, by the name of the token
	LastIssued  time.Time            // use of a token of the issuer that the connection trusts
	Consecutive uint64               // failures since the last success
	RunBegan    time.Time            // the first of them
	Window      Counts
}

// tokensMax bounds the tokens whose use is remembered: the valid ones and as many
// that were rotated away.
const tokensMax = 2 * directory.ConnectionTokensMax

// count takes a request into the state.
func (c *connection) count(s *Seen) {
	state := &c.state
	state.LastRequest = s.Answered
	if s.Token != (directory.TokenName{}) {
		state.use(s.Token.String(), s.Answered)
	} else {
		state.LastIssued = s.Answered
	}
	if s.probes() {
		state.LastProbe, state.ProbeStatus = s.Answered, s.Status
	}
	if len(s.Operations) == 0 {
		c.outcome(s)
	}
	for i := range s.Operations {
		s.Operations[i].Answered = s.Answered
		c.outcome(&s.Operations[i])
	}
}

// outcome counts a request, or an operation of a bulk request.
func (c *connection) outcome(s *Seen) {
	state := &c.state
	if s.Status < 400 {
		state.LastSuccess, state.Consecutive, state.RunBegan = s.Answered, 0, time.Time{}
		if s.writes() {
			state.LastWrite = s.Answered
		}
	} else {
		state.LastFailure = s.Answered
		if state.Consecutive++; state.Consecutive == 1 {
			state.RunBegan = s.Answered
		}
	}
	counts := c.window.at(s.Answered)
	counts.class[min(max(s.Status/100, firstClass), lastClass)-firstClass]++
	if s.Status >= 400 && s.reference() {
		counts.reference++
	}
}

// use notes a token and forgets the one that was not used for longest.
func (s *State) use(token string, now time.Time) {
	s.Tokens[token] = now
	if len(s.Tokens) <= tokensMax {
		return
	}
	oldest := token
	for name, at := range s.Tokens {
		if at.Before(s.Tokens[oldest]) {
			oldest = name
		}
	}
	delete(s.Tokens, oldest)
}

// report is the state without what the window has left behind.
func (c *connection) report(now time.Time) State {
	state := c.state
	state.Tokens = maps.Clone(state.Tokens)
	state.Window = c.window.sum(now)
	return state
}

// Merge puts the states of several nodes together. Nodes compare no clocks: what
// happened on two of them at nearly one time may change places. Of a run of failures
// that another node's success has interrupted all are counted, so that the figure
// may be too large and is never too small.
func Merge(states []State) State {
	merged := State{Tokens: map[string]time.Time{}}
	for i, s := range states {
		if i == 0 || s.Since.After(merged.Since) {
			merged.Since = s.Since
		}
		merged.LastRequest = later(merged.LastRequest, s.LastRequest)
		merged.LastSuccess = later(merged.LastSuccess, s.LastSuccess)
		merged.LastFailure = later(merged.LastFailure, s.LastFailure)
		merged.LastWrite = later(merged.LastWrite, s.LastWrite)
		merged.LastIssued = later(merged.LastIssued, s.LastIssued)
		merged.LastRefused = later(merged.LastRefused, s.LastRefused)
		if s.LastProbe.After(merged.LastProbe) {
			merged.LastProbe, merged.ProbeStatus = s.LastProbe, s.ProbeStatus
		}
		for token, at := range s.Tokens {
			merged.Tokens[token] = later(merged.Tokens[token], at)
		}
		merged.Window.add(s.Window)
	}
	for _, s := range states {
		if s.Consecutive == 0 || !s.LastFailure.After(merged.LastSuccess) {
			continue
		}
		merged.Consecutive += s.Consecutive
		if merged.RunBegan.IsZero() || s.RunBegan.Before(merged.RunBegan) {
			merged.RunBegan = s.RunBegan
		}
	}
	return merged
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
