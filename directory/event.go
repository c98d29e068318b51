package directory

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
)

// Event is a fact that followed from an entry. (Index, Ordinal) is its name
// and its place in the feed. It never holds a secret.
type Event struct {
	Index   Index     `cbor:"1,keyasint"`
	Ordinal uint32    `cbor:"2,keyasint"`
	Time    Time      `cbor:"3,keyasint"`
	Type    EventType `cbor:"4,keyasint"`
	Actor   Actor     `cbor:"5,keyasint"`
	Source  string    `cbor:"6,keyasint"`           // "entra", "okta", "generic", "api", "node"
	Object  string    `cbor:"7,keyasint"`           // text id of what changed
	Detail  string    `cbor:"8,keyasint,omitempty"` // one line for people
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
