package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

// TestRotationWaitsForEveryNode: it goes on by one when every node is as far, and of one
// that is silent nothing is assumed.
func TestRotationWaitsForEveryNode(t *testing.T) {
	const announced, trusted, signing, done = directory.RotationAnnounced, directory.RotationTrusted, directory.RotationSigning, directory.RotationDone
	old := NodeAuthority{NodeID: "a", Signs: "1", Shows: "1", API: "1"}
	both := NodeAuthority{NodeID: "b", Signs: "1", AlsoTrusts: "2", Shows: "1", API: "1"}
	next := NodeAuthority{NodeID: "c", Signs: "2", AlsoTrusts: "1", Shows: "2", API: "2"}
	owned := NodeAuthority{NodeID: "d", Signs: "2", AlsoTrusts: "1", Shows: "2"}
	silent := NodeAuthority{NodeID: "e"}
	crashed := NodeAuthority{NodeID: "f", Signs: "2", AlsoTrusts: "1", Shows: "1", API: "2"}
	stale := NodeAuthority{NodeID: "g", Signs: "2", AlsoTrusts: "1", Shows: "2", API: "1"}
	for name, c := range map[string]struct {
		phase directory.RotationPhase
		nodes []NodeAuthority
		after time.Duration
		early bool
		to    directory.RotationPhase
		waits string
	}{
		"all trust it":                    {announced, []NodeAuthority{both, both}, 0, false, trusted, ""},
		"one has not heard of it":         {announced, []NodeAuthority{both, old}, 0, false, 0, "a is not as far"},
		"one is silent":                   {announced, []NodeAuthority{both, silent}, 0, true, 0, "e does not answer"},
		"it may sign":                     {trusted, []NodeAuthority{both, next}, 0, false, signing, ""},
		"one came that does not trust it": {trusted, []NodeAuthority{both, old}, 0, false, 0, "a is not as far"},
		"one does not sign by it":         {signing, []NodeAuthority{next, both}, time.Hour, true, 0, "b is not as far"},
		"one shows the one before":        {signing, []NodeAuthority{next, crashed}, time.Hour, true, 0, "f is not as far"},
		"one's API shows the one before":  {signing, []NodeAuthority{next, stale}, time.Hour, true, 0, "g is not as far"},
		"one is away":                     {signing, []NodeAuthority{next, silent}, time.Hour, true, 0, "e does not answer"},
		"clients have a moment left":      {signing, []NodeAuthority{next, owned}, time.Hour - time.Millisecond, false, 0, "clients have until"},
		"an operator does not wait":       {signing, []NodeAuthority{next, owned}, 0, true, done, ""},
		"clients had their time":          {signing, []NodeAuthority{next, owned}, time.Hour, false, done, ""},
		"it is done":                      {done, []NodeAuthority{next}, time.Hour, true, 0, ""},
		"nobody is a member":              {announced, nil, 0, false, 0, "no members"},
	} {
		r := &directory.Rotation{ID: "2", Replaces: "1", Phase: c.phase, Keep: time.Hour, Began: 1000}
		to, waits := NextPhase(r, c.nodes, r.Began.Add(c.after), c.early)
		if to != c.to || (c.waits == "") != (waits == "") || !strings.Contains(waits, c.waits) {
			t.Errorf("%s: to %q, %q", name, to, waits)
		}
	}
}
