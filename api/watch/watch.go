// Package watch streams an organization's events over server-sent events: in
// order, resumable by index, with heartbeats that name the applied index. A
// follower reads from the state at its own pace; one that is too far behind is
// told to resync and cut off, never waited for.
package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Bounds of one stream.
const (
	heartbeat    = 5 * time.Second
	writeTimeout = 10 * time.Second // a follower that does not read for so long is cut off
	batchMax     = 500
)

// Wait blocks until the applied index is beyond after, or the context ends.
type Wait func(ctx context.Context, after directory.Index) (directory.Index, error)

// Handler serves GET /api/v1/events?org_id=&after=INDEX. Every event's id is
// "INDEX.ORDINAL", so that Last-Event-ID resumes exactly where a stream broke.
func Handler(gate *access.Gate, wait Wait) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		who, err := gate.AuthenticateFresh(r.Context(), token)
		if err != nil {
			problem(w, http.StatusUnauthorized, "unauthenticated", err.Error())
			return
		}
		org, err := organization(r, who)
		if err != nil {
			problem(w, http.StatusBadRequest, "invalid", err.Error())
			return
		}
		from, err := place(r)
		if err != nil {
			problem(w, http.StatusBadRequest, "invalid", err.Error())
			return
		}
		if _, err := gate.Admit(r.Context(), who, org, "events.watch", access.Freshness{}); err != nil {
			refuse(w, err)
			return
		}
		s := &stream{w: w, out: http.NewResponseController(w), gate: gate, who: who, org: org, wait: wait, at: from}
		s.run(r.Context())
	})
}

func organization(r *http.Request, who access.Caller) (directory.OrgID, error) {
	if text := r.URL.Query().Get("org_id"); text != "" {
		return directory.ParseOrgID(text)
	}
	if who.Org.IsZero() {
		return directory.OrgID{}, directory.Invalid("org_id", "must name an organization")
	}
	return who.Org, nil
}

type position struct {
	index   directory.Index
	ordinal uint32
}

// place is where the client says it stands: after an index, or after an event.
func place(r *http.Request) (p position, err error) {
	text := r.Header.Get("Last-Event-ID")
	if text != "" {
		var index, ordinal uint64
		if _, err := fmt.Sscanf(text, "%d.%d", &index, &ordinal); err != nil || ordinal > 1<<32-1 {
			return p, directory.Invalid("Last-Event-ID", "is not the id of an event")
		}
		return position{directory.Index(index), uint32(ordinal)}, nil
	}
	if text = r.URL.Query().Get("after"); text == "" {
		return p, nil
	}
	index, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return p, directory.Invalid("after", "is not an index")
	}
	return position{directory.Index(index), 1<<32 - 1}, nil
}

type stream struct {
	w    http.ResponseWriter
	out  *http.ResponseController
	gate *access.Gate
	who  access.Caller
	org  directory.OrgID
	wait Wait
	at   position
}

func (s *stream) run(ctx context.Context) {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no")
	s.out.SetReadDeadline(time.Time{})
	for {
		// The right to watch is asked again before every batch: a stream must
		// not outlive the permission that opened it.
		pass, err := s.gate.Admit(ctx, s.who, s.org, "events.watch", access.Freshness{})
		if err != nil {
			s.send("", "closed", map[string]string{"reason": "the caller may no longer watch"})
			return
		}
		view := pass.View()
		if s.behind(view) {
			s.send("", "resync", map[string]uint64{"index": uint64(view.Applied())})
			return
		}
		if !s.events(view) || !s.rest(ctx, view.Applied()) {
			return
		}
	}
}

// behind: retention has removed events after the place.
func (s *stream) behind(view *state.Org) bool {
	if s.at.index == 0 && s.at.ordinal == 0 {
		return false
	}
	anchor := view.AuditLog().Anchor
	return s.at.index < anchor.Index || s.at.index == anchor.Index && s.at.ordinal < anchor.Ordinal
}

func (s *stream) events(view *state.Org) bool {
	for more := true; more; {
		more = false
		n, ok := 0, true
		view.EachEvent(s.at.index, s.at.ordinal, func(e *directory.Event) bool {
			ok = s.event(e)
			n++
			more = n == batchMax
			return ok && !more
		})
		if !ok {
			return false
		}
	}
	return true
}

func (s *stream) event(e *directory.Event) bool {
	s.at = position{e.Index, e.Ordinal}
	return s.send(fmt.Sprintf("%d.%d", e.Index, e.Ordinal), string(e.Type), map[string]any{
		"index": uint64(e.Index), "ordinal": e.Ordinal, "time": e.Time.Std(), "event": e.Type,
		"object": e.Object, "detail": e.Detail, "source": e.Source, "actor": e.Actor.String(),
	})
}

// rest waits for the state to move; until then it sends heartbeats.
func (s *stream) rest(ctx context.Context, applied directory.Index) bool {
	for {
		beat, cancel := context.WithTimeout(ctx, heartbeat)
		moved, err := s.wait(beat, applied)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil || !s.send("", "heartbeat", map[string]uint64{"index": uint64(moved)}) {
			return false
		}
	}
}

func (s *stream) send(id, event string, data any) bool {
	body, err := json.Marshal(data)
	if err != nil {
		return false
	}
	s.out.SetWriteDeadline(time.Now().Add(writeTimeout))
	if id != "" {
		id = "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(s.w, "%sevent: %s\ndata: %s\n\n", id, event, body); err != nil {
		return false
	}
	return s.out.Flush() == nil
}

func refuse(w http.ResponseWriter, err error) {
	switch directory.KindOf(err) {
	case directory.KindNotFound:
		problem(w, http.StatusNotFound, "not_found", "no such organization")
	case directory.KindDenied:
		problem(w, http.StatusForbidden, "denied", "the caller may not watch")
	default:
		problem(w, http.StatusServiceUnavailable, "unavailable", "try again")
	}
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail,
	})
}
