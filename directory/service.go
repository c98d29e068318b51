package directory

// Limits of services; the route limits stand in bpf/policy, which compiles.
const (
	ListenPerServiceMax = 64
	RoutesPerServiceMax = 500
	// AddressesMax are the addresses of all services of a cluster together. A node
	// that enforces all of them has room in its kernel for twice as many.
	AddressesMax = 4096
)

// Service is a protected HTTP service of one organization.
type Service struct {
	ID       ServiceID     `cbor:"1,keyasint"`
	Name     string        `cbor:"2,keyasint"`           // unique in the organization, compared folded
	Listen   []string      `cbor:"3,keyasint"`           // addresses on which clients reach it, host:port
	Upstream string        `cbor:"4,keyasint,omitempty"` // where it really listens when the user-space gate stands in front
	Policies []RoutePolicy `cbor:"5,keyasint,omitempty"`
	Created  Time          `cbor:"6,keyasint"`
	Modified Time          `cbor:"7,keyasint"`
	Version  Index         `cbor:"8,keyasint"`

	// PolicyVersion counts the writes of the policies, so that a verdict can name
	// the one that it followed; 0 of a service whose policies were last written
	// before they were counted.
	PolicyVersion uint64 `cbor:"9,keyasint,omitempty"`
	FoldCase      bool   `cbor:"10,keyasint,omitempty"` // paths that differ in case are one
	FoldSlash     bool   `cbor:"11,keyasint,omitempty"` // and those that differ in a slash at the end
	DryRun        bool   `cbor:"12,keyasint,omitempty"` // what would be refused is counted and let through
}

// RoutePolicy is what a request on a route needs: everything that it names, and a
// valid token of the organization. Only Public lets a request through without one.
type RoutePolicy struct {
	Methods        []string     `cbor:"1,keyasint,omitempty"` // empty: all
	Path           string       `cbor:"2,keyasint"`
	Roles          []string     `cbor:"3,keyasint,omitempty"` // one of them
	Permissions    []Permission `cbor:"4,keyasint,omitempty"` // all of them
	MFA            bool         `cbor:"5,keyasint,omitempty"`
	Public         bool         `cbor:"6,keyasint,omitempty"`
	RolesAll       []string     `cbor:"7,keyasint,omitempty"`
	PermissionsAny []Permission `cbor:"8,keyasint,omitempty"`
	Upgrade        bool         `cbor:"9,keyasint,omitempty"`  // the route may switch protocols, as a WebSocket does
	GetBody        bool         `cbor:"10,keyasint,omitempty"` // GET and HEAD may carry a body
}
