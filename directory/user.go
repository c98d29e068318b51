package directory

// Source says which door an object came through.
type Source uint8

const (
	SourceAPI Source = iota + 1
	SourceSCIM
	SourceSSO
	SourceSignup
	SourceGoogle
)

func (s Source) String() string {
	switch s {
	case SourceAPI:
		return "api"
	case SourceSCIM:
		return "scim"
	case SourceSSO:
		return "sso"
	case SourceSignup:
		return "signup"
	case SourceGoogle:
		return "google"
	}
	return "unknown"
}

// User is a person or workload identity in one organization. A deactivated
// user stays readable and keeps memberships; access is gone.
type User struct {
	ID          UserID       `cbor:"1,keyasint"`
	UserName    string       `cbor:"2,keyasint"` // unique in the organization, compared folded
	ExternalID  string       `cbor:"3,keyasint,omitempty"`
	Email       string       `cbor:"4,keyasint,omitempty"`
	DisplayName string       `cbor:"5,keyasint,omitempty"`
	GivenName   string       `cbor:"6,keyasint,omitempty"`
	FamilyName  string       `cbor:"7,keyasint,omitempty"`
	Active      bool         `cbor:"8,keyasint"`
	Source      Source       `cbor:"9,keyasint"`
	Connection  ConnectionID `cbor:"10,keyasint,omitempty"` // owner, when Source is SCIM
	Attributes  []byte       `cbor:"11,keyasint,omitempty"` // canonical JSON of all further attributes, opaque here
	Created     Time         `cbor:"12,keyasint"`
	Modified    Time         `cbor:"13,keyasint"`
	Version     Index        `cbor:"14,keyasint"`
	Phone       string       `cbor:"15,keyasint,omitempty"`
	Title       string       `cbor:"16,keyasint,omitempty"`
	Department  string       `cbor:"17,keyasint,omitempty"`
	Manager     UserID       `cbor:"18,keyasint,omitzero"`
	Custom      []byte       `cbor:"19,keyasint,omitempty"` // canonical JSON object of the organization's own attributes
	Service     bool         `cbor:"20,keyasint,omitempty"` // a service account
	Owner       UserID       `cbor:"21,keyasint,omitzero"`  // whose service account it is
}

// Check holds what is true of a user alone; uniqueness is decided at apply.
func (u *User) Check() error {
	checks := []error{
		CheckText("user_name", u.UserName, IdentifierMax, true),
		CheckText("external_id", u.ExternalID, ExternalIDMax, false),
		CheckText("email", u.Email, IdentifierMax, false),
		CheckText("display_name", u.DisplayName, NameMax, false),
		CheckText("given_name", u.GivenName, NameMax, false),
		CheckText("family_name", u.FamilyName, NameMax, false),
		CheckText("phone", u.Phone, PhoneMax, false),
		CheckText("title", u.Title, NameMax, false),
		CheckText("department", u.Department, NameMax, false),
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	if u.ID.IsZero() {
		return Invalid("id", "missing")
	}
	if len(u.Custom) > CustomMax {
		return Invalid("custom", "more than %d bytes", CustomMax)
	}
	if u.Service == u.Owner.IsZero() {
		return Invalid("owner_id", "a service account has an owner, and nobody else has")
	}
	if len(u.Attributes) > AttributesMax {
		return Invalid("attributes", "more than %d bytes", AttributesMax)
	}
	return nil
}
