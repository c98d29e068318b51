package filter

import (
	"encoding/json"
	"strings"
)

// Op is a comparison operator in its lower-case spelling.
type Op string

// The operators of RFC 7644 table 3.
const (
	Equal          Op = "eq"
	NotEqual       Op = "ne"
	Contains       Op = "co"
	StartsWith     Op = "sw"
	EndsWith       Op = "ew"
	Greater        Op = "gt"
	GreaterOrEqual Op = "ge"
	Less           Op = "lt"
	LessOrEqual    Op = "le"
	Present        Op = "pr"
)

// Expr is a parsed filter: one of And, Or, Not, Compare and ValuePath.
// String gives a filter that parses to the same expression.
type Expr interface {
	String() string
	expr()
}

// And holds where both sides hold.
type And struct{ Left, Right Expr }

// Or holds where one side holds.
type Or struct{ Left, Right Expr }

// Not holds where its expression does not.
type Not struct{ Expr Expr }

// Compare compares one attribute with a literal. Value is a string, a bool, a
// json.Number or nil for null; it is nil when Op is Present. Pos is where the
// attribute stands in the filter, for whoever knows a schema and has to say what
// it does not allow.
type Compare struct {
	Attr  Attr
	Op    Op
	Value any
	Pos   int
}

// ValuePath holds where one element of a multi-valued attribute satisfies
// Filter. A comparison behind the brackets has been moved into Filter, because
// both must hold for the same element. Pos is as in Compare.
type ValuePath struct {
	Attr   Attr
	Filter Expr
	Pos    int
}

func (And) expr()       {}
func (Or) expr()        {}
func (Not) expr()       {}
func (Compare) expr()   {}
func (ValuePath) expr() {}

// Attr names an attribute as the client wrote it; names compare without
// regard to case. URN is empty for a name without a schema prefix.
type Attr struct{ URN, Name, Sub string }

// String gives the attribute in the notation of RFC 7644 section 3.10.
func (a Attr) String() string {
	s := a.Name
	if a.URN != "" {
		s = a.URN + ":" + s
	}
	if a.Sub != "" {
		s += "." + a.Sub
	}
	return s
}

// Path is the target of one PATCH operation: an attribute, optionally the
// elements of it that satisfy Filter, optionally a sub-attribute. The zero
// Path means the resource itself.
type Path struct {
	URN    string
	Attr   string
	Filter Expr
	Sub    string
}

// IsZero reports whether the path names the resource itself.
func (p Path) IsZero() bool { return p == Path{} }

// String gives the path in PATCH notation.
func (p Path) String() string {
	s := Attr{URN: p.URN, Name: p.Attr}.String()
	if p.Filter != nil {
		s += "[" + p.Filter.String() + "]"
	}
	if p.Sub != "" {
		s += "." + p.Sub
	}
	return s
}

func (e And) String() string {
	return group(e.Left, isOr) + " and " + group(e.Right, isOrAnd)
}

func (e Or) String() string  { return e.Left.String() + " or " + group(e.Right, isOr) }
func (e Not) String() string { return "not (" + e.Expr.String() + ")" }

func (e ValuePath) String() string { return e.Attr.String() + "[" + e.Filter.String() + "]" }

func (e Compare) String() string {
	s := e.Attr.String() + " " + string(e.Op)
	if e.Op == Present {
		return s
	}
	return s + " " + literal(e.Value)
}

// literal writes a value without HTML escapes, which would make a printed
// filter longer than the one that was read.
func literal(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("filter: literal that is not JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func group(e Expr, needed func(Expr) bool) string {
	if needed(e) {
		return "(" + e.String() + ")"
	}
	return e.String()
}

func isOr(e Expr) bool { _, ok := e.(Or); return ok }

func isOrAnd(e Expr) bool {
	_, and := e.(And)
	return and || isOr(e)
}

// Pair is one equality between an attribute and a string.
type Pair struct {
	Attr  string
	Value string
}

// Equality reports whether the filter is a single equality with a string, the
// form that a name index can answer. The attribute is given as written, without
// the prefix of a core schema.
func Equality(e Expr) (attr, value string, ok bool) {
	pairs, ok := Equalities(e)
	if !ok || len(pairs) != 1 {
		return "", "", false
	}
	return pairs[0].Attr, pairs[0].Value, true
}

// Equalities reports whether the filter is a conjunction of equalities with
// strings, such as id eq "X" and manager eq "Y", and lists them in order.
func Equalities(e Expr) ([]Pair, bool) {
	switch e := e.(type) {
	case And:
		left, ok := Equalities(e.Left)
		if !ok {
			return nil, false
		}
		right, ok := Equalities(e.Right)
		return append(left, right...), ok
	case Compare:
		value, isString := e.Value.(string)
		if e.Op != Equal || !isString {
			return nil, false
		}
		attr := e.Attr
		if isCore(attr.URN) {
			attr.URN = ""
		}
		return []Pair{{Attr: attr.String(), Value: value}}, true
	default:
		return nil, false
	}
}

// corePrefix begins the URN of the schemas whose attributes sit at the top
// level of a resource.
const corePrefix = "urn:ietf:params:scim:schemas:core:2.0:"

func isCore(urn string) bool {
	return len(urn) > len(corePrefix) && strings.EqualFold(urn[:len(corePrefix)], corePrefix)
}
