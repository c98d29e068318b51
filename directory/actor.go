package directory

// ActorKind says what sort of caller stands behind a command.
type ActorKind uint8

const (
	ActorOperator   ActorKind = iota + 1 // who runs the instance
	ActorConnection                      // an identity provider's connection
	ActorUser                            // a user's session
	ActorNode                            // a node's own timers
	ActorAPIKey                          // a user's API key
)

// Actor is who caused an entry. ID is the OperatorID, ConnectionID, UserID or APIKeyID.
type Actor struct {
	Kind ActorKind `cbor:"1,keyasint"`
	ID   [16]byte  `cbor:"2,keyasint,omitempty"`
}

func (a Actor) String() string {
	switch a.Kind {
	case ActorOperator:
		return OperatorID(a.ID).String()
	case ActorConnection:
		return ConnectionID(a.ID).String()
	case ActorUser:
		return UserID(a.ID).String()
	case ActorNode:
		return "node"
	case ActorAPIKey:
		return APIKeyID(a.ID).String()
	}
	return "nobody"
}
