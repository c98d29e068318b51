package directory

import (
	"encoding/hex"
	"strings"
)

// Every noun has its own identifier type, so that a group can never be looked
// up with a user's id. The zero id of each is invalid. An id is made by the
// node that proposes (16 bytes, time-ordered) and travels in the entry.
type (
	OrgID         [16]byte
	UserID        [16]byte
	GroupID       [16]byte
	RoleID        [16]byte
	AssignmentID  [16]byte
	SessionID     [16]byte
	ConnectionID  [16]byte
	ServiceID     [16]byte
	KeyID         [16]byte
	OperatorID    [16]byte
	JoinTokenID   [16]byte
	RequestID     [16]byte
	APIKeyID      [16]byte
	EventStreamID [16]byte
	ClientID      [16]byte
)

// Text forms: prefix and 32 hexadecimal digits, for example
// usr-018f3c…; contract.md fixes the prefixes.
const (
	orgPrefix         = "org-"
	userPrefix        = "usr-"
	groupPrefix       = "grp-"
	rolePrefix        = "rol-"
	assignmentPrefix  = "asg-"
	sessionPrefix     = "ses-"
	connectionPrefix  = "con-"
	servicePrefix     = "svc-"
	keyPrefix         = "key-"
	operatorPrefix    = "opr-"
	joinTokenPrefix   = "jtk-"
	apiKeyPrefix      = "apk-"
	eventStreamPrefix = "evs-"
	clientPrefix      = "cli-"
)

func format(prefix string, id [16]byte) string {
	text := make([]byte, 0, 48) // on the stack
	return string(hex.AppendEncode(append(text, prefix...), id[:]))
}

// parse refuses upper case, so that an id has exactly one spelling.
func parse(prefix, field, s string) (id [16]byte, err error) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok || len(digits) != 2*len(id) || strings.ToLower(digits) != digits {
		return id, Invalid(field, "not an id of the form %s followed by 32 hexadecimal digits", prefix)
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil || id == ([16]byte{}) {
		return [16]byte{}, Invalid(field, "not an id of the form %s followed by 32 hexadecimal digits", prefix)
	}
	return id, nil
}

func (id OrgID) String() string         { return format(orgPrefix, id) }
func (id UserID) String() string        { return format(userPrefix, id) }
func (id GroupID) String() string       { return format(groupPrefix, id) }
func (id RoleID) String() string        { return format(rolePrefix, id) }
func (id AssignmentID) String() string  { return format(assignmentPrefix, id) }
func (id SessionID) String() string     { return format(sessionPrefix, id) }
func (id ConnectionID) String() string  { return format(connectionPrefix, id) }
func (id ServiceID) String() string     { return format(servicePrefix, id) }
func (id KeyID) String() string         { return format(keyPrefix, id) }
func (id OperatorID) String() string    { return format(operatorPrefix, id) }
func (id JoinTokenID) String() string   { return format(joinTokenPrefix, id) }
func (id APIKeyID) String() string      { return format(apiKeyPrefix, id) }
func (id EventStreamID) String() string { return format(eventStreamPrefix, id) }

func (id OrgID) IsZero() bool         { return id == OrgID{} }
func (id UserID) IsZero() bool        { return id == UserID{} }
func (id GroupID) IsZero() bool       { return id == GroupID{} }
func (id RoleID) IsZero() bool        { return id == RoleID{} }
func (id AssignmentID) IsZero() bool  { return id == AssignmentID{} }
func (id SessionID) IsZero() bool     { return id == SessionID{} }
func (id ConnectionID) IsZero() bool  { return id == ConnectionID{} }
func (id ServiceID) IsZero() bool     { return id == ServiceID{} }
func (id RequestID) IsZero() bool     { return id == RequestID{} }
func (id APIKeyID) IsZero() bool      { return id == APIKeyID{} }
func (id EventStreamID) IsZero() bool { return id == EventStreamID{} }
func (id OperatorID) IsZero() bool    { return id == OperatorID{} }
func (id ClientID) String() string    { return format(clientPrefix, id) }
func (id ClientID) IsZero() bool      { return id == ClientID{} }

// ParseOrgID and its siblings read the text form; the error names the field.
func ParseOrgID(s string) (OrgID, error)     { return parse(orgPrefix, "org_id", s) }
func ParseUserID(s string) (UserID, error)   { return parse(userPrefix, "user_id", s) }
func ParseGroupID(s string) (GroupID, error) { return parse(groupPrefix, "group_id", s) }
func ParseRoleID(s string) (RoleID, error)   { return parse(rolePrefix, "role_id", s) }
func ParseSessionID(s string) (SessionID, error) {
	return parse(sessionPrefix, "session_id", s)
}
func ParseConnectionID(s string) (ConnectionID, error) {
	return parse(connectionPrefix, "connection_id", s)
}
func ParseServiceID(s string) (ServiceID, error)         { return parse(servicePrefix, "service_id", s) }
func ParseAPIKeyID(s string) (APIKeyID, error)           { return parse(apiKeyPrefix, "id", s) }
func ParseEventStreamID(s string) (EventStreamID, error) { return parse(eventStreamPrefix, "id", s) }
func ParseOperatorID(s string) (OperatorID, error)       { return parse(operatorPrefix, "id", s) }
func ParseClientID(s string) (ClientID, error)           { return parse(clientPrefix, "id", s) }
func ParseAssignmentID(s string) (AssignmentID, error) {
	return parse(assignmentPrefix, "assignment_id", s)
}

// RequestIDText is the id as 32 hexadecimal digits; it has no prefix because it
// names no object.
func RequestIDText(id RequestID) string { return hex.EncodeToString(id[:]) }
