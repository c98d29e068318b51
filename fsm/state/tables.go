package state

import (
	"encoding/binary"
	"fmt"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/codec"
)

// A key is one table byte and the row's name inside the organization. Stored
// keys are frozen with the store format; derived ones may change.
const (
	tableOrganization = 'o' // → Organization, one row
	tableUser         = 'u' // UserID → User
	tableGroup        = 'g' // GroupID → Group
	tableMember       = 'm' // GroupID UserID → no value; in memory the permission index holds the edge
	tableRole         = 'r' // RoleID → Role
	tableAssignment   = 'a' // AssignmentID → Assignment
	tableSession      = 's' // SessionID → Session
	tableConnection   = 'c' // ConnectionID → Connection
	tableService      = 'v' // ServiceID → Service
	tableKey          = 'k' // kid → SigningKey
	tableEvent        = 'e' // Index Ordinal → Event
	tableRequest      = 'q' // RequestID → Remembered
	tableAudit        = 'h' // → AuditLog, at most one row
	tableNesting      = 'n' // parent GroupID, child GroupID → no value; the permission index holds the edge
	tableAPIKey       = 'y' // APIKeyID → APIKey
	tableSchema       = 'x' // → Schema, at most one row
	tablePermission   = 'd' // permission → PermissionText
	tableEventStream  = 'f' // EventStreamID → EventStream
	tableClient       = 'l' // ClientID → Client
	tableProof        = 'z' // Time, hash → Proof
	tableDevice       = 'i' // SHA-256 of the user code, cut → DeviceRequest
	tableOperator     = 'p' // instance: OperatorID → Operator
	tableJoinToken    = 'j' // instance: id → JoinToken
	tableTokenSecret  = 't' // instance: → TokenSecret, one row
	tableRecoveryKey  = 'b' // instance: → RecoveryKey, at most one row
	tableLevel        = 'w' // instance: → FeatureLevel, at most one row
	tableRotation     = '7' // instance: → Rotation, at most one row

	derivedUserName      = 'U' // folded user name → UserID
	derivedUserExtern    = 'X' // external id, UserID → nothing
	derivedUserEmail     = 'E' // folded e-mail unless it is the user name, UserID → nothing
	derivedUserAddress   = 'B' // folded e-mail in the attributes unless it is the user's own, UserID → nothing
	derivedUserWord      = 'W' // folded word of a name, UserID → nothing
	derivedManyAddresses = 'C' // UserID → nothing: has more addresses than have rows
	derivedManyWords     = 'M' // UserID → nothing: has more words than have rows
	derivedGroupName     = 'G' // folded name → GroupID, the lowest that has it
	derivedGroupNamed    = 'H' // folded name, GroupID → nothing: the others that have it
	derivedGroupExtern   = 'Y' // external id, GroupID → nothing
	derivedRoleName      = 'R' // folded name → RoleID
	derivedAssignment    = 'A' // RoleID, holder kind, holder id → AssignmentID
	derivedUserSession   = 'S' // UserID SessionID → nothing
	derivedUntold        = 'J' // SessionID → nothing: ended, and its client does not know
	derivedServiceName   = 'V' // folded name → ServiceID
	derivedPolicyRole    = 'P' // folded name of a role that a route policy asks for, ServiceID → nothing
	derivedRequestAge    = 'Q' // Index Ordinal → RequestID
	derivedOwned         = 'O' // owner's UserID, service account's UserID → nothing
	derivedSent          = 'N' // ConnectionID, table → how many users or groups it has sent
	derivedUserAPIKey    = 'K' // UserID APIKeyID → nothing
	derivedExpiry        = 'T' // Time, kind of grant, id → nothing
	derivedSlug          = 'L' // instance: slug → OrgID
	derivedDomain        = 'D' // instance: proved domain → OrgID
)

// tables is the number of distinct table bytes; counts are kept per byte.
const tables = 128

func idKey(table byte, id [16]byte) string {
	var k [17]byte
	k[0] = table
	copy(k[1:], id[:])
	return string(k[:])
}

func pairKey(table byte, a, b [16]byte) string {
	var k [33]byte
	k[0] = table
	copy(k[1:], a[:])
	copy(k[17:], b[:])
	return string(k[:])
}

func textKey(table byte, text string) string { return string(table) + text }

// textIDKey ends the text with a byte that CheckText never lets through, so
// that no text can run into the id of another.
func textIDKey(table byte, text string, id [16]byte) string {
	return string(table) + text + "\x00" + string(id[:])
}

func placeKey(table byte, index directory.Index, ordinal uint32) string {
	var k [13]byte
	k[0] = table
	binary.BigEndian.PutUint64(k[1:], uint64(index))
	binary.BigEndian.PutUint32(k[9:], ordinal)
	return string(k[:])
}

// holderKey names an assignment by what it joins: at most one per pair.
func holderKey(a *directory.Assignment) string {
	if !a.Group.IsZero() {
		return pairKey(derivedAssignment, a.Role, a.Group) + "g"
	}
	return pairKey(derivedAssignment, a.Role, a.User) + "u"
}

// storedKey is the key as Storage sees it: the organization comes first, with
// a fixed width, so that one organization is one range.
func storedKey(org directory.OrgID, key string) []byte {
	return append(append(make([]byte, 0, len(org)+len(key)), org[:]...), key...)
}

// splitKey gives a key that is a part of the stored one.
func splitKey(stored []byte) (org directory.OrgID, key []byte, err error) {
	if len(stored) < len(org)+1 {
		return org, nil, fmt.Errorf("stored key of %d bytes", len(stored))
	}
	copy(org[:], stored)
	return org, stored[len(org):], nil
}

// decodeRow is total over the stored tables: an unknown table is an error,
// never skipped.
func decodeRow(key string, value []byte) (any, error) {
	into := func(record any) (any, error) { return record, codec.Decode(value, record) }
	switch key[0] {
	case tableOrganization:
		return into(new(directory.Organization))
	case tableUser:
		return unpackableUser(value)
	case tableGroup:
		return into(new(directory.Group))
	case tableRole:
		return into(new(directory.Role))
	case tableAssignment:
		return into(new(directory.Assignment))
	case tableSession:
		return into(new(directory.Session))
	case tableConnection:
		return into(new(directory.Connection))
	case tableService:
		return into(new(directory.Service))
	case tableKey:
		return into(new(directory.SigningKey))
	case tableEvent:
		return unpackable(value)
	case tableAudit:
		return into(new(directory.AuditLog))
	case tableRequest:
		return into(new(Remembered))
	case tableAPIKey:
		return into(new(directory.APIKey))
	case tableSchema:
		return into(new(directory.Schema))
	case tablePermission:
		return into(new(directory.PermissionText))
	case tableEventStream:
		return into(new(directory.EventStream))
	case tableClient:
		return into(new(directory.Client))
	case tableDevice:
		return into(new(directory.DeviceRequest))
	case tableProof:
		return into(new(directory.Proof))
	case tableOperator:
		return into(new(directory.Operator))
	case tableJoinToken:
		return into(new(directory.JoinToken))
	case tableTokenSecret:
		return into(new(directory.TokenSecret))
	case tableRecoveryKey:
		return into(new(directory.RecoveryKey))
	case tableLevel:
		return into(new(directory.FeatureLevel))
	case tableRotation:
		return into(new(directory.Rotation))
	}
	return nil, fmt.Errorf("unknown table %q", key[0])
}
