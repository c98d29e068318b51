package patch

// Options are the points where the text of the RFC and the practice of providers
// collide; a connection sets them. The zero value follows practice, which is what
// Entra and Okta need.
type Options struct {
	ReplaceMissing    ReplaceMissing
	UnknownMembers    UnknownMembers
	UnknownAttributes UnknownAttributes
	// Extensions are those that the organization has declared. Any other is kept as
	// it came, or refused with RejectUnknownAttributes.
	Extensions []Extension
}

// ReplaceMissing says what a replacement does whose value filter matches no
// element.
type ReplaceMissing uint8

// The ways to replace what is not there.
const (
	// ReplaceAdds makes the element that the filter describes. Entra sends
	// replace for an attribute that it has and we never had.
	ReplaceAdds ReplaceMissing = iota
	// ReplaceNeedsTarget refuses with noTarget, as RFC 7644 section 3.5.2.3 asks.
	ReplaceNeedsTarget
)

// UnknownMembers says what becomes of a member that the organization does not
// have.
type UnknownMembers uint8

// The ways to treat a member that nobody knows.
const (
	// SkipUnknownMembers leaves it out: Okta does not repeat a push that was
	// refused, so one stray id would cost all the others.
	SkipUnknownMembers UnknownMembers = iota
	// RejectUnknownMembers refuses the whole change with invalidValue.
	RejectUnknownMembers
)

// UnknownAttributes says what becomes of an attribute that no schema has.
type UnknownAttributes uint8

// The ways to treat an attribute that nobody knows.
const (
	// IgnoreUnknownAttributes leaves it out. An extension is kept as it came,
	// for its attributes have a name of their own.
	IgnoreUnknownAttributes UnknownAttributes = iota
	// RejectUnknownAttributes refuses it, and with it every extension that is
	// not declared.
	RejectUnknownAttributes
)

// unknown judges an attribute that no schema has.
func (o Options) unknown(name string) error {
	if o.UnknownAttributes == RejectUnknownAttributes {
		return fault(InvalidPath, "attribute %.100q is not in the schema; remove it from the mapping, or let the connection ignore unknown attributes", name)
	}
	return nil
}

// extension judges an extension by its canonical URN.
func (o Options) extension(urn string) error {
	if _, declared := o.declaration(urn); urn == EnterpriseURN || declared {
		return nil
	}
	return o.unknown(urn)
}

// attribute finds an attribute of an extension. One that we have no schema for is
// taken as it comes, unless it is to be refused.
func (o Options) attribute(urn, name string) (*attribute, error) {
	if err := o.extension(urn); err != nil {
		return nil, err
	}
	if a := o.declared(urn, name); a != nil {
		return a, nil
	}
	_, known := o.declaration(urn)
	if urn == EnterpriseURN {
		if a := find(enterpriseSchema, name); a != nil {
			return a, nil
		}
		known = true
	}
	if known {
		if err := o.unknown(urn + ":" + name); err != nil {
			return nil, err
		}
	}
	return &attribute{name: name, kind: verbatim}, nil
}
