package patch

import "strings"

// Extension is a schema that an organization has declared for its users.
type Extension struct {
	URN        string // as it is stored and answered
	Attributes []Attribute
}

// Attribute is one of a declared extension. Its value is simple.
type Attribute struct {
	Name    string
	Type    Type
	Several bool
}

// Type is the type of a declared attribute.
type Type uint8

// The types. Whatever else is asked of a value is for who declares it to say.
const (
	Text Type = iota
	Integer
	Boolean
)

func (o Options) declaration(urn string) (*Extension, bool) {
	for i := range o.Extensions {
		if strings.EqualFold(o.Extensions[i].URN, urn) {
			return &o.Extensions[i], true
		}
	}
	return nil, false
}

// spelling gives the URN under which an extension is stored.
func (o Options) spelling(urn string) string {
	if e, ok := o.declaration(urn); ok {
		return e.URN
	}
	return canonicalURN(urn)
}

// declared finds an attribute of a declared extension; nil if there is none.
func (o Options) declared(urn, name string) *attribute {
	e, ok := o.declaration(urn)
	if !ok {
		return nil
	}
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, name) {
			kinds := [...]kind{Text: text, Integer: integer, Boolean: boolean}
			return &attribute{name: a.Name, kind: kinds[a.Type], multi: a.Several}
		}
	}
	return nil
}

// typed gives an operation on an attribute that the operation was read without: what
// an organization has declared is known only where it is applied. It is the zero Op if
// it changes nothing.
func (t target) typed(a *attribute, op Op) (target, Op, error) {
	t.attr, t.sub = a, nil
	t.path.Attr = a.name
	if err := t.check(); err != nil {
		return t, Op{}, err
	}
	if t.path.Filter != nil && op.Kind != Remove {
		return t, Op{}, fault(InvalidPath, "%s has simple values, which are added and replaced without a value filter", a.name)
	}
	op, err := t.operation(op.Kind, op.Value)
	return t, op, err
}
