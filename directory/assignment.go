package directory

// Assignment gives a role to one user or to one group; exactly one of User and
// Group is set.
type Assignment struct {
	ID      AssignmentID `cbor:"1,keyasint"`
	Role    RoleID       `cbor:"2,keyasint"`
	User    UserID       `cbor:"3,keyasint,omitempty"`
	Group   GroupID      `cbor:"4,keyasint,omitempty"`
	Created Time         `cbor:"5,keyasint"`
	By      Actor        `cbor:"6,keyasint"`
	Expires Time         `cbor:"7,keyasint,omitempty"` // zero: until it is taken away
}

// GrantSource is one way in which a permission reaches a user. Via is zero for
// a direct assignment.
type GrantSource struct {
	Role       RoleID
	Via        GroupID
	Assignment AssignmentID
}
