package directory

import (
	"encoding/hex"
	"strings"
)

// EventType names a fact, noun.past-participle. Append-only.
type EventType string

const (
	OrganizationCreated EventType = "organization.created"
	UserCreated         EventType = "user.created"
	UserUpdated         EventType = "user.updated"
	UserDeactivated     EventType = "user.deactivated"
	UserActivated       EventType = "user.activated"
	UserDeleted         EventType = "user.deleted"
	GroupCreated        EventType = "group.created"
	GroupUpdated        EventType = "group.updated"
	GroupMembersChanged EventType = "group.members_changed"
	GroupDeleted        EventType = "group.deleted"
	RoleCreated         EventType = "role.created"
	RoleUpdated         EventType = "role.updated"
	RoleDeleted         EventType = "role.deleted"
	RoleAssigned        EventType = "role.assigned"
	RoleUnassigned      EventType = "role.unassigned"
	SessionStarted      EventType = "session.started"
	SessionRefreshed    EventType = "session.refreshed"
	SessionEnded        EventType = "session.ended"
	ConnectionCreated   EventType = "connection.created"
	ConnectionDeleted   EventType = "connection.deleted"
	ServiceCreated      EventType = "service.created"
	ServiceUpdated      EventType = "service.updated"
	ServiceDeleted      EventType = "service.deleted"
	KeyChanged          EventType = "key.changed"
	OrganizationUpdated EventType = "organization.updated"
	OrganizationDeleted EventType = "organization.deleted"
	GroupNested         EventType = "group.nested"
	GroupUnnested       EventType = "group.unnested"
	AssignmentExpired   EventType = "assignment.expired"
	APIKeyCreated       EventType = "api_key.created"
	APIKeyRevoked       EventType = "api_key.revoked"
	APIKeyExpired       EventType = "api_key.expired"
	SchemaUpdated       EventType = "schema.updated"
	PermissionDescribed EventType = "permission.described"
	ChangeRefused       EventType = "change.refused"
	RetentionUpdated    EventType = "retention.updated"
	OperatorCreated     EventType = "operator.created"
	OperatorDeleted     EventType = "operator.deleted"
	TokenSecretSet      EventType = "token_secret.set"
	JoinTokenCreated    EventType = "join_token.created"
	JoinTokenRedeemed   EventType = "join_token.redeemed"
	ConnectionUpdated   EventType = "connection.updated"
	EventStreamCreated  EventType = "event_stream.created"
	EventStreamUpdated  EventType = "event_stream.updated"
	EventStreamDeleted  EventType = "event_stream.deleted"
	ClientCreated       EventType = "client.created"
	ClientUpdated       EventType = "client.updated"
	ClientDeleted       EventType = "client.deleted"
	RecoveryKeySet      EventType = "recovery_key.set"
	LevelRaised         EventType = "feature_level.raised"
	AuthorityRotated    EventType = "authority.rotated"
)

// Event is an entry of an organization's audit log: a fact that followed from an
// entry, or a change that was refused. (Index, Ordinal) is its name and its place
// in the feed; Seq counts without gaps inside the organization, and Chain seals
// it to everything before. It never holds a secret.
type Event struct {
	Index     Index     `cbor:"1,keyasint"`
	Ordinal   uint32    `cbor:"2,keyasint"`
	Time      Time      `cbor:"3,keyasint"`
	Type      EventType `cbor:"4,keyasint"`
	Actor     Actor     `cbor:"5,keyasint"`
	Source    string    `cbor:"6,keyasint"`            // "entra", "okta", "generic", "api", "node"
	Object    string    `cbor:"7,keyasint"`            // text id of what changed
	Detail    string    `cbor:"8,keyasint,omitempty"`  // one line for people
	Seq       uint64    `cbor:"9,keyasint,omitempty"`  // zero: from before there was a chain
	Refused   bool      `cbor:"10,keyasint,omitempty"` // asked for and not done
	Error     string    `cbor:"11,keyasint,omitempty"` // why it was refused
	Operation string    `cbor:"12,keyasint,omitempty"` // as in the table of operations: users.update
	Origin    string    `cbor:"13,keyasint,omitempty"` // the client's address
	Trace     TraceID   `cbor:"14,keyasint,omitzero"`
	Received  Time      `cbor:"15,keyasint,omitempty"` // first byte of the request
	Before    string    `cbor:"16,keyasint,omitempty"` // JSON object of the changed fields as they were
	After     string    `cbor:"17,keyasint,omitempty"` // and as they are
	Chain     [32]byte  `cbor:"18,keyasint,omitzero"`
	Rights    []Right   `cbor:"19,keyasint,omitempty"` // what the command changed of who may do what, in order; with its first event
}

// Statuses of an entry, as the logs show them.
const (
	StatusOK      = "ok"
	StatusRefused = "refused"
)

// Status is StatusOK or StatusRefused.
func (e *Event) Status() string {
	if e.Refused {
		return StatusRefused
	}
	return StatusOK
}

// Bounds of one entry.
const (
	AuditDetailMax = 4 << 10 // Before and After together; beyond, they only name the fields
	OriginMax      = 64
	OperationMax   = 64
)

// TraceID names one request to the API in logs and answers. It is random.
type TraceID [16]byte

func (id TraceID) String() string { return hex.EncodeToString(id[:]) }
func (id TraceID) IsZero() bool   { return id == TraceID{} }

// LogPlace is a place in an organization's chain.
type LogPlace struct {
	Index   Index    `cbor:"1,keyasint,omitempty"`
	Ordinal uint32   `cbor:"2,keyasint,omitempty"`
	Seq     uint64   `cbor:"3,keyasint,omitempty"`
	Chain   [32]byte `cbor:"4,keyasint,omitzero"`
}

// Retention is how long an organization's log remembers.
type Retention struct {
	Count uint32 `cbor:"1,keyasint"`           // entries
	Days  uint32 `cbor:"2,keyasint,omitempty"` // zero: whatever their age
}

// Bounds of retention. The log lives in memory, at some 500 bytes an entry: the
// default is 25 MB for an organization that is busy all year, and thirteen months
// let one year be compared with the last. A log that can be made to forget
// yesterday proves nothing, hence the lower bounds.
const (
	RetentionCountDefault = 50_000
	RetentionCountMin     = 1_000
	RetentionCountMax     = 1_000_000
	RetentionDaysDefault  = 400
	RetentionDaysMin      = 7
	RetentionDaysMax      = 3_660
)

// Check holds the bounds.
func (r *Retention) Check() error {
	if r.Count < RetentionCountMin || r.Count > RetentionCountMax {
		return Invalid("count", "must be %d to %d", RetentionCountMin, RetentionCountMax)
	}
	if r.Days != 0 && (r.Days < RetentionDaysMin || r.Days > RetentionDaysMax) {
		return Invalid("days", "must be %d to %d, or 0 for no limit of age", RetentionDaysMin, RetentionDaysMax)
	}
	return nil
}

// AuditLog is where an organization's chain stands.
type AuditLog struct {
	Head      LogPlace  `cbor:"1,keyasint"`           // the last entry
	Anchor    LogPlace  `cbor:"2,keyasint"`           // the last one that retention removed
	Bytes     uint64    `cbor:"3,keyasint,omitempty"` // of the kept entries, encoded
	Retention Retention `cbor:"4,keyasint"`
	Window    Time      `cbor:"5,keyasint,omitempty"` // when counting of refusals began anew
	Refusals  uint32    `cbor:"6,keyasint,omitempty"` // recorded since then
	Unwritten uint32    `cbor:"7,keyasint,omitempty"` // refused since then and not recorded
	Oldest    Time      `cbor:"8,keyasint,omitempty"` // of the kept entries
	Telling   uint64    `cbor:"9,keyasint,omitempty"` // Seq of the first entry that tells of rights; zero: none does
}

// RowKind is the table of a changed row.
type RowKind uint8

const (
	RowOrganization RowKind = iota + 1
	RowUser                 // profile or active flag
	RowGroup                // the group itself or its roles: everybody in it
	RowRole                 // its permissions: everybody who holds it
	RowMember               // one user joined or left a group: that user's rights
	RowSession
	RowConnection
	RowService
	RowKey
	RowTokenSecret
	RowAPIKey
	RowSchema
	RowPermission
	RowEventStream
	RowClient
)

// Row names one changed row.
type Row struct {
	Kind RowKind
	ID   [16]byte
}

// Delta is what one entry changed, as rows; whoever needs users expands it
// lazily from the root at its index, outside apply.
type Delta struct {
	Index Index
	Org   OrgID
	Rows  []Row
}

// ParseActor reads the text of an actor. Every kind has its own prefix.
func ParseActor(s string) (Actor, error) {
	prefix, _, _ := strings.Cut(s, "-")
	var kind ActorKind
	switch prefix + "-" {
	case operatorPrefix:
		kind = ActorOperator
	case connectionPrefix:
		kind = ActorConnection
	case userPrefix:
		kind = ActorUser
	case apiKeyPrefix:
		kind = ActorAPIKey
	default:
		if s == (Actor{Kind: ActorNode}).String() {
			return Actor{Kind: ActorNode}, nil
		}
		if s == (Actor{}).String() {
			return Actor{}, nil
		}
		return Actor{}, Invalid("actor", "%.64q is nobody's id", s)
	}
	id, err := parse(prefix+"-", "actor", s)
	return Actor{Kind: kind, ID: id}, err
}
