package directory

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// AttributeType is the type of an organization's own attribute.
type AttributeType string

// The types, as JSON carries them.
const (
	AttributeString  AttributeType = "string"
	AttributeInteger AttributeType = "integer" // a whole number that JSON carries exactly: |n| < 2^53
	AttributeBoolean AttributeType = "boolean"
	AttributeDate    AttributeType = "date" // "2006-01-02"
)

// Bounds of a schema and of the values it allows.
const (
	AttributesPerSchemaMax = 100
	AttributeValuesMax     = 100  // of one attribute that may have several, and of an enumeration
	AttributeTextMax       = 1024 // bytes of one value
	attributeNameMax       = 64
	ExtensionURNMax        = 256 // bytes; a path of 1 KB has room for it and a filter
	exactInteger           = 1 << 53
)

// AttributeDefinition describes one attribute of the users of an organization.
type AttributeDefinition struct {
	Name        string        `cbor:"1,keyasint"` // a word of lower-case letters, digits and inner underscores
	Type        AttributeType `cbor:"2,keyasint"`
	Several     bool          `cbor:"3,keyasint,omitempty"` // an array of values
	Values      []string      `cbor:"4,keyasint,omitempty"` // strings only: the allowed ones, sorted
	Description string        `cbor:"5,keyasint,omitempty"`
	URN         string        `cbor:"6,keyasint,omitempty"` // of the extension in which identity providers send and read it; empty: they do not know of it
}

// Schema is the set of an organization's own attributes, sorted by name.
type Schema struct {
	Attributes []AttributeDefinition `cbor:"1,keyasint,omitempty"`
	Modified   Time                  `cbor:"2,keyasint"`
	Version    Index                 `cbor:"3,keyasint"`
}

// Check holds what is true of a schema alone, and puts it in order.
func (s *Schema) Check() error {
	if len(s.Attributes) > AttributesPerSchemaMax {
		return Invalid("attributes", "more than %d", AttributesPerSchemaMax)
	}
	s.Attributes = slices.Clone(s.Attributes)
	slices.SortFunc(s.Attributes, func(a, b AttributeDefinition) int { return strings.Compare(a.Name, b.Name) })
	for i := range s.Attributes {
		if err := s.Attributes[i].check(); err != nil {
			return err
		}
		if i > 0 && s.Attributes[i-1].Name == s.Attributes[i].Name {
			return Invalid("attributes", "%s is defined twice", s.Attributes[i].Name)
		}
		if first, _ := s.Extension(s.Attributes[i].URN); first != s.Attributes[i].URN {
			return Invalid("attributes", "%.256q is spelt %.256q elsewhere", s.Attributes[i].URN, first)
		}
	}
	return nil
}

func (d *AttributeDefinition) check() error {
	if len(d.Name) > attributeNameMax || !isWord(d.Name) || strings.ContainsAny(d.Name, "-.") {
		return Invalid("attributes", "%.64q is not a name of lower-case letters, digits and underscores", d.Name)
	}
	switch d.Type {
	case AttributeString, AttributeInteger, AttributeBoolean, AttributeDate:
	default:
		return Invalid("attributes", "%s: the type must be string, integer, boolean or date", d.Name)
	}
	if len(d.Values) > 0 && d.Type != AttributeString || len(d.Values) > AttributeValuesMax {
		return Invalid("attributes", "%s: at most %d allowed values, of a string", d.Name, AttributeValuesMax)
	}
	d.Values = slices.Clone(d.Values)
	slices.Sort(d.Values)
	d.Values = slices.Compact(d.Values)
	for _, v := range d.Values {
		if err := CheckText("attributes", v, AttributeTextMax, true); err != nil {
			return err
		}
	}
	if d.URN != "" && (len(d.URN) > ExtensionURNMax || !extensionURN.MatchString(d.URN) || reservedURN.MatchString(d.URN)) {
		return Invalid("attributes", "%s: the urn must be one of your own, at most %d bytes, as in urn:ietf:params:scim:schemas:extension:clinic:2.0:User", d.Name, ExtensionURNMax)
	}
	return CheckText("attributes", d.Description, DescriptionMax, false)
}

var (
	// extensionURN is the form that identity providers ask for, and in which no name
	// of a schema can be taken for the path of an attribute.
	extensionURN = regexp.MustCompile(`^urn:[a-zA-Z0-9][a-zA-Z0-9._-]*(:[a-zA-Z0-9._-]+)*:[0-9]+(\.[0-9]+)*:User$`)
	// reservedURN are those whose attributes RFC 7643 defines, and of its messages.
	reservedURN = regexp.MustCompile(`(?i)^urn:ietf:params:scim:(schemas:core|schemas:extension:enterprise|api):`)
)

// Extension finds an extension by its URN without regard to case, and gives the
// attributes in it and the spelling of the first of them.
func (s *Schema) Extension(urn string) (spelling string, attributes []*AttributeDefinition) {
	for i := range s.Attributes {
		d := &s.Attributes[i]
		if d.URN == "" || !strings.EqualFold(d.URN, urn) {
			continue
		}
		if attributes = append(attributes, d); len(attributes) == 1 {
			spelling = d.URN
		}
	}
	return spelling, attributes
}

// Extensions are the URNs of the schema, in order.
func (s *Schema) Extensions() (urns []string) {
	for i := range s.Attributes {
		if urn := s.Attributes[i].URN; urn != "" {
			urns = append(urns, urn)
		}
	}
	slices.Sort(urns)
	return slices.Compact(urns)
}

// Allowed leaves out the values that the schema does not allow any more.
func (s *Schema) Allowed(object []byte) ([]byte, error) {
	values, err := ParseValues(object)
	if err != nil {
		return nil, err
	}
	for name, value := range values { // order-free: each is judged alone
		if d, ok := s.definition(name); !ok || !d.Allows(value) {
			delete(values, name)
		}
	}
	return CanonicalValues(values)
}

// Canonical checks a JSON object against the schema and returns it with sorted
// names and without nulls; nil for an empty one.
func (s *Schema) Canonical(object []byte) ([]byte, error) {
	values, err := ParseValues(object)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(values))
	for name := range values { // order-free: sorted below, so that the first error is the same on every node
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if values[name] == nil {
			delete(values, name)
			continue
		}
		d, ok := s.definition(name)
		if !ok {
			return nil, Invalid("custom."+name, "is not in the organization's attribute schema")
		}
		if err := d.allows(values[name]); err != nil {
			return nil, err
		}
	}
	return CanonicalValues(values)
}

// ParseValues reads the values of an organization's own attributes; nil is an empty
// object.
func ParseValues(object []byte) (values map[string]any, err error) {
	if len(object) == 0 {
		return map[string]any{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil || values == nil {
		return nil, Invalid("custom", "must be a JSON object")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, Invalid("custom", "must be one JSON object and nothing behind it")
	}
	return values, nil
}

// CanonicalValues is the shortest form, so that what was small enough stays so; nil of
// no values.
func CanonicalValues(values map[string]any) ([]byte, error) {
	if len(values) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(values); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

func (s *Schema) definition(name string) (*AttributeDefinition, bool) {
	i, ok := slices.BinarySearchFunc(s.Attributes, name, func(d AttributeDefinition, name string) int {
		return strings.Compare(d.Name, name)
	})
	if !ok {
		return nil, false
	}
	return &s.Attributes[i], true
}

// Allows reports whether a value is one of the attribute.
func (d *AttributeDefinition) Allows(value any) bool { return d.allows(value) == nil }

func (d *AttributeDefinition) allows(value any) error {
	several, isList := value.([]any)
	if isList != d.Several || len(several) > AttributeValuesMax {
		return Invalid("custom."+d.Name, "must be %s", d.form())
	}
	if !isList {
		several = []any{value}
	}
	for _, v := range several {
		if !d.allowsOne(v) {
			return Invalid("custom."+d.Name, "must be %s", d.form())
		}
	}
	return nil
}

func (d *AttributeDefinition) allowsOne(value any) bool {
	switch v := value.(type) {
	case bool:
		return d.Type == AttributeBoolean
	case json.Number:
		n, err := v.Int64()
		return d.Type == AttributeInteger && err == nil && n > -exactInteger && n < exactInteger && v != "-0"
	case string:
		switch d.Type {
		case AttributeDate:
			_, err := time.Parse(time.DateOnly, v)
			return err == nil
		case AttributeString:
			return d.allowsText(v)
		}
	}
	return false
}

func (d *AttributeDefinition) allowsText(s string) bool {
	if len(d.Values) > 0 {
		_, ok := slices.BinarySearch(d.Values, s)
		return ok
	}
	return CheckText(d.Name, s, AttributeTextMax, false) == nil
}

func (d *AttributeDefinition) form() string {
	form := string(d.Type)
	if d.Type == AttributeDate {
		form = "a date as in 2026-11-30"
	}
	if len(d.Values) > 0 {
		form = "one of the allowed values"
	}
	if d.Several {
		return "an array of at most 100, each " + form
	}
	return form
}
