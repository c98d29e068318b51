package directory

// Group is a named set of users. Its members are edges, not part of the record.
type Group struct {
	ID          GroupID      `cbor:"1,keyasint"`
	Name        string       `cbor:"2,keyasint"` // unique in the organization, compared folded
	Description string       `cbor:"3,keyasint,omitempty"`
	ExternalID  string       `cbor:"4,keyasint,omitempty"`
	Source      Source       `cbor:"5,keyasint"`
	Connection  ConnectionID `cbor:"6,keyasint,omitempty"`
	Created     Time         `cbor:"7,keyasint"`
	Modified    Time         `cbor:"8,keyasint"`
	Version     Index        `cbor:"9,keyasint"`
}

// Check holds what is true of a group alone.
func (g *Group) Check() error {
	if g.ID.IsZero() {
		return Invalid("id", "missing")
	}
	if err := CheckText("name", g.Name, NameMax, true); err != nil {
		return err
	}
	if err := CheckText("description", g.Description, DescriptionMax, false); err != nil {
		return err
	}
	return CheckText("external_id", g.ExternalID, ExternalIDMax, false)
}
