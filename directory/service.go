package directory

// Limits of services; the route limits stand in bpf/policy, which compiles.
const (
	ListenPerServiceMax = 64
	RoutesPerServiceMax = 500
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
}

// RoutePolicy is what a request on a route needs. Roles are alternatives,
// permissions are all needed. Without roles, permissions and MFA any valid
// token of the organization passes; only Public lets a request through without.
type RoutePolicy struct {
	Methods     []string     `cbor:"1,keyasint,omitempty"` // empty: all
	Path        string       `cbor:"2,keyasint"`
	Roles       []string     `cbor:"3,keyasint,omitempty"`
	Permissions []Permission `cbor:"4,keyasint,omitempty"`
	MFA         bool         `cbor:"5,keyasint,omitempty"`
	Public      bool         `cbor:"6,keyasint,omitempty"`
}
