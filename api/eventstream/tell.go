package eventstream

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/api/scim"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// teller says what a stream's receiver is told of events, from one state.
type teller struct {
	view   *state.Org
	stream *directory.EventStream
	root   string // of the organization's SCIM endpoint
}

// tell is the token of an event, nil when the receiver is told nothing of it.
func (t *teller) tell(e *directory.Event) (*login.SecurityEvent, error) {
	var told map[string]any
	var subject map[string]any
	var err error
	change := changeOf(e)
	switch {
	case strings.HasPrefix(string(e.Type), "user."):
		told, subject, err = t.user(e, change)
	case strings.HasPrefix(string(e.Type), "group."):
		told, subject, err = t.group(e, change)
	}
	if err != nil || len(told) == 0 {
		return nil, err
	}
	return &login.SecurityEvent{
		ID: tokenID(t.stream.ID, e.Place()), Audience: t.stream.Audience, Time: e.Time,
		Change: strconv.FormatUint(uint64(e.Index), 10), Subject: subject, Events: told,
	}, nil
}

// wants reports by the type of an event alone that nothing is to be told of it: most
// of a log is about other things.
func wants(e *directory.Event) bool {
	switch e.Type {
	case directory.UserCreated, directory.UserUpdated, directory.UserActivated, directory.UserDeactivated, directory.UserDeleted,
		directory.GroupCreated, directory.GroupUpdated, directory.GroupMembersChanged, directory.GroupNested, directory.GroupUnnested,
		directory.GroupDeleted:
		return true
	}
	return false
}

// telling collects the events of one token by what the stream was asked for.
type telling struct {
	stream  *directory.EventStream
	version string
	events  map[string]any
}

func (t *teller) telling(e *directory.Event) *telling {
	return &telling{stream: t.stream, version: scim.Version(e.Index), events: map[string]any{}}
}

// bare tells an event that says all by its name.
func (t *telling) bare(name string) {
	if t.stream.Wants(name) {
		t.events[directory.StreamEventPrefix+name] = map[string]any{}
	}
}

// notice names the attributes, full carries the data.
func (t *telling) notice(name string, attributes []string) {
	if t.stream.Wants(name) && len(attributes) > 0 {
		t.events[directory.StreamEventPrefix+name+":notice"] = map[string]any{"version": t.version, "attributes": attributes}
	}
}
func (t *telling) full(name string, data map[string]any) {
	if t.stream.Wants(name) {
		t.events[directory.StreamEventPrefix+name+":full"] = map[string]any{"version": t.version, "data": data}
	}
}

// subjectOf is the identifier of RFC 9967, section 2.1.
func subjectOf(kind, id, external string) map[string]any {
	s := map[string]any{"format": "scim", "uri": "/" + kind + "/" + id}
	if external != "" {
		s["externalId"] = external
	}
	return s
}

func (t *teller) user(e *directory.Event, change change) (map[string]any, map[string]any, error) {
	id, err := directory.ParseUserID(e.Object)
	if err != nil {
		return nil, nil, fmt.Errorf("event %d.%d: %w", e.Index, e.Ordinal, err)
	}
	var resource map[string]any
	external := change.text("external_id")
	if u, ok := t.view.User(id); ok {
		external = u.ExternalID
		if t.stream.Full || change.summary {
			if resource, err = scim.UserResource(t.view, u, t.root); err != nil {
				return nil, nil, err
			}
		}
	}
	told := t.telling(e)
	switch e.Type {
	case directory.UserCreated:
		told.bare("feed:add")
		told.either("prov:create", "prov:create", change.userAttributes(resource, t.view.Schema()), resource)
	case directory.UserUpdated:
		told.either("prov:patch", "prov:put", change.userAttributes(resource, t.view.Schema()), resource)
	case directory.UserActivated, directory.UserDeactivated:
		name := "prov:activate"
		if e.Type == directory.UserDeactivated {
			name = "prov:deactivate"
		}
		told.bare(name)
		if others := without(change.userAttributes(resource, t.view.Schema()), "active"); len(others) > 0 {
			told.either("prov:patch", "prov:put", others, resource)
		}
	case directory.UserDeleted:
		told.bare("prov:delete")
	}
	return told.events, subjectOf("Users", id.String(), external), nil
}

// either tells the full event when the stream wants it and there is data: of a
// resource that has been deleted since there is none, and the next token says so.
func (t *telling) either(notice, full string, attributes []string, data map[string]any) {
	switch {
	case len(attributes) == 0:
	case t.stream.Full && data != nil:
		t.full(full, data)
	default:
		t.notice(notice, attributes)
	}
}

func (t *teller) group(e *directory.Event, change change) (map[string]any, map[string]any, error) {
	id, err := directory.ParseGroupID(e.Object)
	if err != nil {
		return nil, nil, fmt.Errorf("event %d.%d: %w", e.Index, e.Ordinal, err)
	}
	external := change.text("external_id")
	if g, ok := t.view.Group(id); ok {
		external = g.ExternalID
	}
	told := t.telling(e)
	switch e.Type {
	case directory.GroupCreated:
		told.bare("feed:add")
		told.either("prov:create", "prov:create", change.groupAttributes(), change.newGroup(id))
	case directory.GroupUpdated, directory.GroupMembersChanged, directory.GroupNested, directory.GroupUnnested:
		told.either("prov:patch", "prov:patch", change.groupAttributes(), change.groupPatch())
	case directory.GroupDeleted:
		told.bare("prov:delete")
	}
	return told.events, subjectOf("Groups", id.String(), external), nil
}

// tokenID names the token of an event in a stream: evs-…, index and ordinal.
func tokenID(stream directory.EventStreamID, p directory.EventPlace) string {
	return fmt.Sprintf("%s.%d.%d", stream, p.Index, p.Ordinal)
}

// placeOf reads what tokenID writes for the same stream.
func placeOf(stream directory.EventStreamID, id string) (p directory.EventPlace, ok bool) {
	place, ok := strings.CutPrefix(id, stream.String()+".")
	index, ordinal, split := strings.Cut(place, ".")
	if !ok || !split {
		return p, false
	}
	i, err := strconv.ParseUint(index, 10, 64)
	o, worse := strconv.ParseUint(ordinal, 10, 32)
	p = directory.EventPlace{Index: directory.Index(i), Ordinal: uint32(o)}
	return p, err == nil && worse == nil && tokenID(stream, p) == id
}
