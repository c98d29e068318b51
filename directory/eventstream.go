package directory

import (
	"bytes"
	"net/url"
	"slices"
)

// Delivery is how a receiver gets the security event tokens of an event stream.
type Delivery string

const (
	DeliveryPoll Delivery = "poll" // the receiver asks (RFC 8936)
	DeliveryPush Delivery = "push" // the cluster calls (RFC 8935)
)

// Bounds of an event stream.
const (
	AudienceMax      = 512
	StreamURLMax     = 2048
	AuthorizationMax = 4 << 10 // of the header that a push carries, sealed
	// StreamWindow is how many tokens of a stream may be with its receiver without
	// being acknowledged. It bounds the row: acknowledgements in another order than
	// that of the events are remembered one by one.
	StreamWindow = 256
	// StreamTextMax bounds what the state of a stream says of a failure: most of it
	// is what the receiver has sent.
	StreamTextMax = 256
)

// StreamEventPrefix is before the name of every event of RFC 9967.
const StreamEventPrefix = "urn:ietf:params:scim:event:"

// StreamEvents are what a stream can be asked for: events of RFC 9967 by their
// names without prefix, notice and full. A resource that leaves the feed has been
// deleted, which one event tells (section 2.4.4), so feed:remove is not among them.
var StreamEvents = []string{
	"feed:add", "prov:create", "prov:patch", "prov:put", "prov:delete", "prov:activate", "prov:deactivate",
}

// StreamEventURIs are the events that streams deliver, by their full names.
var StreamEventURIs = []string{
	StreamEventPrefix + "feed:add",
	StreamEventPrefix + "prov:create:notice", StreamEventPrefix + "prov:create:full",
	StreamEventPrefix + "prov:patch:notice", StreamEventPrefix + "prov:patch:full",
	StreamEventPrefix + "prov:put:full",
	StreamEventPrefix + "prov:delete", StreamEventPrefix + "prov:activate", StreamEventPrefix + "prov:deactivate",
}

// EventPlace is the place of an event in an organization's log.
type EventPlace struct {
	Index   Index  `cbor:"1,keyasint"`
	Ordinal uint32 `cbor:"2,keyasint,omitempty"`
}

// Place is where the event stands.
func (e *Event) Place() EventPlace { return EventPlace{e.Index, e.Ordinal} }

// Compare orders places as the log does.
func (p EventPlace) Compare(q EventPlace) int {
	switch {
	case p == q:
		return 0
	case p.Index < q.Index || p.Index == q.Index && p.Ordinal < q.Ordinal:
		return -1
	}
	return 1
}

// EventStream is a receiver's feed of security event tokens about the users and
// groups of one organization. A poll receiver's bearer token is kept as SHA-256
// only, a push receiver's authorization sealed.
type EventStream struct {
	ID            EventStreamID  `cbor:"1,keyasint"`
	Name          string         `cbor:"2,keyasint,omitempty"` // for people
	Audience      string         `cbor:"3,keyasint"`           // aud of its tokens
	Delivery      Delivery       `cbor:"4,keyasint"`
	Token         [32]byte       `cbor:"5,keyasint,omitzero"`  // poll
	URL           string         `cbor:"6,keyasint,omitempty"` // push
	Authorization []byte         `cbor:"7,keyasint,omitempty"` // push; empty: none is sent
	Events        []string       `cbor:"8,keyasint,omitempty"` // of StreamEvents; empty: all
	Full          bool           `cbor:"9,keyasint,omitempty"` // events carry data instead of the names of what changed
	Paused        bool           `cbor:"10,keyasint,omitempty"`
	Reason        string         `cbor:"11,keyasint,omitempty"` // why a node has paused it
	Created       Time           `cbor:"12,keyasint"`
	Version       Index          `cbor:"13,keyasint"` // of its settings; progress moves it not
	Progress      StreamProgress `cbor:"14,keyasint,omitzero"`
}

// StreamProgress is how far the receiver of a stream has come.
type StreamProgress struct {
	Position     EventPlace   `cbor:"1,keyasint"`           // nothing up to it is outstanding
	Acknowledged []EventPlace `cbor:"2,keyasint,omitempty"` // beyond it, in order, at most StreamWindow
	Refused      uint64       `cbor:"3,keyasint,omitempty"` // tokens that the receiver could not use
	LastRefusal  string       `cbor:"4,keyasint,omitempty"`
	Failing      Time         `cbor:"5,keyasint,omitempty"` // since when pushes fail; zero: they do not
	Failure      string       `cbor:"6,keyasint,omitempty"`
	Gap          EventGap     `cbor:"7,keyasint,omitzero"` // the last one
}

// EventGap is what retention removed from the log before a stream's receiver had
// acknowledged it: events after the one place up to the other.
type EventGap struct {
	After EventPlace `cbor:"1,keyasint"`
	Until EventPlace `cbor:"2,keyasint"`
	Noted Time       `cbor:"3,keyasint"`
}

// Check holds what is true of a stream alone.
func (s *EventStream) Check() error {
	if err := CheckText("name", s.Name, NameMax, false); err != nil {
		return err
	}
	if err := CheckText("audience", s.Audience, AudienceMax, true); err != nil {
		return err
	}
	for i, name := range s.Events {
		if !slices.Contains(StreamEvents, name) {
			return Invalid("events", "%.64q is not one of %v", name, StreamEvents)
		}
		if slices.Contains(s.Events[:i], name) {
			return Invalid("events", "%s is named twice", name)
		}
	}
	switch s.Delivery {
	case DeliveryPoll:
		return s.checkPoll()
	case DeliveryPush:
		return s.checkPush()
	}
	return Invalid("delivery", "must be %s or %s", DeliveryPoll, DeliveryPush)
}

func (s *EventStream) checkPoll() error {
	switch {
	case s.Token == [32]byte{}:
		return Invalid("token", "missing")
	case s.URL != "":
		return Invalid("url", "is of a stream that is pushed")
	case len(s.Authorization) > 0:
		return Invalid("authorization", "is of a stream that is pushed")
	}
	return nil
}

// sealedMax leaves room for what sealing adds.
const sealedMax = AuthorizationMax + 64

func (s *EventStream) checkPush() error {
	switch {
	case s.Token != [32]byte{}:
		return Invalid("token", "is of a stream that is polled")
	case len(s.Authorization) > sealedMax:
		return Invalid("authorization", "longer than %d bytes", AuthorizationMax)
	}
	if err := CheckText("url", s.URL, StreamURLMax, true); err != nil {
		return err
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return Invalid("url", "must be of the form https://HOST/PATH, without a user and a fragment")
	}
	return nil
}

// Wants reports whether the stream was asked for an event of StreamEvents.
func (s *EventStream) Wants(name string) bool {
	return len(s.Events) == 0 || slices.Contains(s.Events, name)
}

// SameSettings compares what a person decides of a stream.
func (s *EventStream) SameSettings(t *EventStream) bool {
	return s.Name == t.Name && s.Audience == t.Audience && s.Delivery == t.Delivery && s.Token == t.Token &&
		s.URL == t.URL && bytes.Equal(s.Authorization, t.Authorization) && slices.Equal(s.Events, t.Events) &&
		s.Full == t.Full && s.Paused == t.Paused
}
