package authfi

// Procedure says what the caller of a remote procedure needs. The zero Procedure lets
// nobody in, so that a procedure without a row in a table is refused.
type Procedure struct {
	kind        procedureKind
	permissions []string
	reading     bool
}

type procedureKind uint8

const (
	refusesAll procedureKind = iota
	wantsUser
	isPublic
)

// Procedures are those of a server, by their full names: /clinic.v1.Patients/Get.
type Procedures map[string]Procedure

// Needs lets callers in who hold all the permissions. It panics when one of them is
// no permission.
func Needs(permissions ...string) Procedure {
	mustBePermissions(permissions)
	return Procedure{kind: wantsUser, permissions: permissions}
}

// AnyUser lets every user in.
func AnyUser() Procedure { return Procedure{kind: wantsUser} }

// Public lets everybody in, also without a token.
func Public() Procedure { return Procedure{kind: isPublic} }

// Reading says that the procedure changes nothing: while nobody can be asked, it is
// served longer, as GET is.
func (p Procedure) Reading() Procedure {
	p.reading = true
	return p
}

// IsPublic reports whether no token is asked for.
func (p Procedure) IsPublic() bool { return p.kind == isPublic }

// Call is what Enter has to know. It is refused where the procedure has no row,
// whoever calls.
func (p Procedure) Call(authorization []string) (Call, error) {
	if p.kind != wantsUser {
		return Call{}, &Refusal{Code: InsufficientPermission}
	}
	return Call{Authorization: authorization, Mutating: !p.reading, Permissions: p.permissions}, nil
}
