package eventstream

import (
	"slices"

	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// walkMax bounds the events of the log that are looked at for what is behind the
// first that is outstanding: some 30 ms.
const walkMax = 10_000

// outstanding is an event that the receiver has not acknowledged.
type outstanding struct {
	place directory.EventPlace
	token *login.SecurityEvent
}

// walk is what a state holds for a stream behind its position.
type walk struct {
	found  []outstanding
	wanted []directory.EventPlace // acknowledged or not, at most StreamWindow
	clear  directory.EventPlace   // nothing up to it is outstanding
	passed int                    // events up to clear
	since  directory.Time         // of the first of those
	more   bool                   // there is more behind those
}

// walk looks for at most limit outstanding events. It never goes beyond the window:
// what is acknowledged there can always be remembered.
func (t *teller) walk(limit int) (w walk, err error) {
	p := &t.stream.Progress
	w.clear = p.Position
	looked := 0
	t.view.EachEvent(p.Position.Index, p.Position.Ordinal, func(e *directory.Event) bool {
		if looked++; len(w.found) > 0 && looked > walkMax {
			w.more = true
			return false
		}
		var token *login.SecurityEvent
		if wants(e) {
			token, err = t.tell(e)
		}
		if token != nil {
			_, acknowledged := slices.BinarySearchFunc(p.Acknowledged, e.Place(), directory.EventPlace.Compare)
			if len(w.wanted) == directory.StreamWindow || !acknowledged && len(w.found) == limit {
				w.more = true
				return false
			}
			w.wanted = append(w.wanted, e.Place())
			if !acknowledged {
				w.found = append(w.found, outstanding{e.Place(), token})
			}
		}
		if len(w.found) == 0 {
			if w.passed++; w.passed == 1 {
				w.since = e.Time
			}
			w.clear = e.Place()
		}
		return err == nil
	})
	return w, err
}

// acknowledging is the stream as it is once places are acknowledged, too.
func acknowledging(s *directory.EventStream, places []directory.EventPlace) *directory.EventStream {
	after := *s
	all := append(slices.Clone(s.Progress.Acknowledged), places...)
	slices.SortFunc(all, directory.EventPlace.Compare)
	after.Progress.Acknowledged = slices.Compact(all)
	return &after
}

// teller tells of a stream from a state.
func (s *Streams) teller(view *state.Org, stream *directory.EventStream) *teller {
	return &teller{view: view, stream: stream, root: s.Issuer + "/scim/v2/" + view.Record().Slug}
}
