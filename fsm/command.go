package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Kind numbers a command in the log. Frozen: numbers are appended, never
// reused. A node that meets a kind it does not know stops.
type Kind uint16

const (
	KindCreateOrganization Kind = iota + 1
	KindCreateOperator
	KindPutTokenSecret
	KindCreateJoinToken
	KindRedeemJoinToken
	KindCreateUser
	KindUpdateUser
	KindSetUserActive
	KindDeleteUser
	KindCreateGroup
	KindChangeGroup
	KindDeleteGroup
	KindCreateRole
	KindUpdateRole
	KindDeleteRole
	KindAssignRole
	KindUnassignRole
	KindStartSession
	KindRefreshSession
	KindEndSession
	KindEndUserSessions
	KindExpireSessions
	KindCreateConnection
	KindDeleteConnection
	KindCreateService
	KindSetPolicies
	KindDeleteService
	KindPutKey
	KindUpdateOrganization
	KindSetOrganizationLimits
	KindDeleteOrganization
	KindPutSchema
	KindCreateAPIKey
	KindRevokeAPIKey
	KindExpireGrants
	KindNestGroup
	KindUnnestGroup
	KindDescribePermission
	KindVerifyDomain
	KindSetRetention
	KindRecordRefusal
	KindDeleteOperator
	KindUpdateConnection
	KindRotateConnectionToken
	KindRevokeConnectionToken
	KindSetConnectionMappings
)

// Kinds of event streams.
const (
	KindPutEventStream Kind = iota + 52
	KindDeleteEventStream
	KindAcknowledgeEvents
)

// Kinds of clients.
const (
	KindCreateClient Kind = iota + 55
	KindUpdateClient
	KindDeleteClient
	KindRedeemCode
)

// Kinds of backups. Numbers between those of different nouns are free.
const (
	KindSetRecoveryKey Kind = 60
)

// Kinds of route policies.
const (
	KindWritePolicies Kind = iota + 70
	KindSetDryRun
)

// Kinds of signing keys.
const (
	KindAnnounceKey Kind = iota + 61
	KindMoveKey
	KindRevokeKey
	KindSetKeyPolicy
)

// More kinds of sessions.
const (
	KindEndOrganizationSessions Kind = iota + 65
	KindSpendProofs
	KindAskDevice
	KindDecideDevice
	KindToldLogout
)

// kindMax is the highest number that a kind may have so far.
const kindMax Kind = 255

// Kinds are all that this build knows, in order. Numbers between them may be
// free.
func Kinds() (all []Kind) {
	for kind := Kind(1); kind <= kindMax; kind++ {
		if New(kind) != nil {
			all = append(all, kind)
		}
	}
	return all
}

// Command is a request for change. The two kinds of command are closed sets:
// their apply methods are unexported, so that commands exist only here.
type Command interface{ Kind() Kind }

// OrgCommand changes one organization and can reach no other.
type OrgCommand interface {
	Command
	apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error)
}

// SystemCommand changes the instance.
type SystemCommand interface {
	Command
	applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error)
}

// Envelope is a command with everything that it must not find out by itself.
type Envelope struct {
	Org      directory.OrgID      // zero for a SystemCommand
	Actor    directory.Actor      // who asks
	Required directory.Permission // what the actor must still hold at apply
	Source   string               // "entra", "okta", "generic", "api", "node": for the log
	Now      directory.Time       // the proposing node's clock
	Request  directory.RequestID  // zero: not remembered
	Digest   [32]byte             // SHA-256 of what was asked, with Request
	Command  Command

	// Where the request came from, for the audit log alone; empty in entries
	// from before there was one.
	Origin    string            // the client's address
	Operation string            // as in the table of operations
	Trace     directory.TraceID // the request's own id
	Received  directory.Time    // its first byte, by the proposing node's clock
}

// Outcome is what a command did: the object it made or touched, and whether
// anything changed. Everything else is read from the state at the index.
type Outcome struct {
	Object  [16]byte
	Changed bool
}

// Result answers one entry.
type Result struct {
	Index   directory.Index
	Ordinal uint32
	Outcome Outcome
	Err     error // nil or *directory.Error
	Events  []directory.Event
	Delta   directory.Delta
}

// New returns an empty command of the kind, or nil for a kind that this build
// does not know.
func New(kind Kind) Command {
	switch kind {
	case KindCreateOrganization:
		return new(CreateOrganization)
	case KindCreateOperator:
		return new(CreateOperator)
	case KindPutTokenSecret:
		return new(PutTokenSecret)
	case KindCreateJoinToken:
		return new(CreateJoinToken)
	case KindRedeemJoinToken:
		return new(RedeemJoinToken)
	case KindCreateUser:
		return new(CreateUser)
	case KindUpdateUser:
		return new(UpdateUser)
	case KindSetUserActive:
		return new(SetUserActive)
	case KindDeleteUser:
		return new(DeleteUser)
	case KindCreateGroup:
		return new(CreateGroup)
	case KindChangeGroup:
		return new(ChangeGroup)
	case KindDeleteGroup:
		return new(DeleteGroup)
	case KindCreateRole:
		return new(CreateRole)
	case KindUpdateRole:
		return new(UpdateRole)
	case KindDeleteRole:
		return new(DeleteRole)
	case KindAssignRole:
		return new(AssignRole)
	case KindUnassignRole:
		return new(UnassignRole)
	}
	return newAccess(kind)
}

// newAccess continues New with the commands of sessions, connections, services
// and keys.
func newAccess(kind Kind) Command {
	switch kind {
	case KindStartSession:
		return new(StartSession)
	case KindRefreshSession:
		return new(RefreshSession)
	case KindEndSession:
		return new(EndSession)
	case KindEndUserSessions:
		return new(EndUserSessions)
	case KindExpireSessions:
		return new(ExpireSessions)
	case KindCreateConnection:
		return new(CreateConnection)
	case KindDeleteConnection:
		return new(DeleteConnection)
	case KindCreateService:
		return new(CreateService)
	case KindSetPolicies:
		return new(SetPolicies)
	case KindDeleteService:
		return new(DeleteService)
	case KindPutKey:
		return new(PutKey)
	}
	return newDirectory(kind)
}

// newDirectory continues New with what an organization keeps about itself.
func newDirectory(kind Kind) Command {
	switch kind {
	case KindUpdateOrganization:
		return new(UpdateOrganization)
	case KindSetOrganizationLimits:
		return new(SetOrganizationLimits)
	case KindDeleteOrganization:
		return new(DeleteOrganization)
	case KindPutSchema:
		return new(PutSchema)
	case KindCreateAPIKey:
		return new(CreateAPIKey)
	case KindRevokeAPIKey:
		return new(RevokeAPIKey)
	case KindExpireGrants:
		return new(ExpireGrants)
	case KindNestGroup:
		return new(NestGroup)
	case KindUnnestGroup:
		return new(UnnestGroup)
	case KindDescribePermission:
		return new(DescribePermission)
	case KindVerifyDomain:
		return new(VerifyDomain)
	case KindSetRetention:
		return new(SetRetention)
	case KindRecordRefusal:
		return new(RecordRefusal)
	case KindDeleteOperator:
		return new(DeleteOperator)
	case KindUpdateConnection:
		return new(UpdateConnection)
	case KindRotateConnectionToken:
		return new(RotateConnectionToken)
	case KindRevokeConnectionToken:
		return new(RevokeConnectionToken)
	case KindSetConnectionMappings:
		return new(SetConnectionMappings)
	case KindSetRecoveryKey:
		return new(SetRecoveryKey)
	}
	return newEventStream(kind)
}

// newEventStream continues New with event streams.
func newEventStream(kind Kind) Command {
	switch kind {
	case KindPutEventStream:
		return new(PutEventStream)
	case KindDeleteEventStream:
		return new(DeleteEventStream)
	case KindAcknowledgeEvents:
		return new(AcknowledgeEvents)
	}
	return newClient(kind)
}

// newClient continues New with the commands of clients.
func newClient(kind Kind) Command {
	switch kind {
	case KindCreateClient:
		return new(CreateClient)
	case KindUpdateClient:
		return new(UpdateClient)
	case KindDeleteClient:
		return new(DeleteClient)
	case KindRedeemCode:
		return new(RedeemCode)
	}
	return newPolicy(kind)
}

// newPolicy continues New with route policies.
func newPolicy(kind Kind) Command {
	switch kind {
	case KindWritePolicies:
		return new(WritePolicies)
	case KindSetDryRun:
		return new(SetDryRun)
	}
	return newKeyCommand(kind)
}

// newKeyCommand continues New with the commands of signing keys and of all sessions.
func newKeyCommand(kind Kind) Command {
	switch kind {
	case KindAnnounceKey:
		return new(AnnounceKey)
	case KindMoveKey:
		return new(MoveKey)
	case KindRevokeKey:
		return new(RevokeKey)
	case KindSetKeyPolicy:
		return new(SetKeyPolicy)
	case KindEndOrganizationSessions:
		return new(EndOrganizationSessions)
	case KindSpendProofs:
		return new(SpendProofs)
	case KindAskDevice:
		return new(AskDevice)
	case KindDecideDevice:
		return new(DecideDevice)
	case KindToldLogout:
		return new(ToldLogout)
	case KindRaiseLevel:
		return new(RaiseLevel)
	}
	return newRotation(kind)
}

// newRotation continues New with the rotation of the CA.
func newRotation(kind Kind) Command {
	switch kind {
	case KindStartRotation:
		return new(StartRotation)
	case KindMoveRotation:
		return new(MoveRotation)
	}
	return nil
}
