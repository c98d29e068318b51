package patch

import "strings"

// URNs of the schemas that the table below describes.
const (
	UserURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	GroupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	EnterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

	// misspeltEnterpriseURN is printed in Microsoft's tutorial, so it is sent.
	misspeltEnterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"
)

// kind is the type of an attribute's value, as far as it matters here:
// references and dates are text.
type kind int

const (
	text kind = iota
	boolean
	integer
	complexValue
	verbatim // an attribute we have no schema for: kept as it came
)

// attribute is one row of the schema.
type attribute struct {
	name      string
	kind      kind
	multi     bool
	caseExact bool
	ignored   bool // assigned by the server, or, like a password, not for us to keep
	readOnly  bool // assigned by the server
	required  bool
	kept      bool // removing it leaves it as it is
	reference bool // its value is an id, which is the end of its $ref as well
	subs      []attribute
}

func (a *attribute) sub(name string) *attribute { return find(a.subs, name) }

func find(list []attribute, name string) *attribute {
	for i := range list {
		if strings.EqualFold(list[i].name, name) {
			return &list[i]
		}
	}
	return nil
}

func texts(names ...string) []attribute {
	var out []attribute
	for _, name := range names {
		out = append(out, attribute{name: name})
	}
	return out
}

// plural describes a multi-valued attribute with the sub-attributes that
// RFC 7643 section 2.4 gives to all of them.
func plural(name string, more ...string) attribute {
	subs := append(texts("value", "display", "type"), attribute{name: "primary", kind: boolean})
	return attribute{name: name, kind: complexValue, multi: true, subs: append(subs, texts(more...)...)}
}

// common are the attributes of every resource (RFC 7643 section 3.1).
var common = []attribute{
	{name: "schemas", multi: true, caseExact: true, ignored: true},
	{name: "id", caseExact: true, ignored: true, readOnly: true},
	{name: "externalId", caseExact: true},
	{name: "meta", kind: complexValue, ignored: true, readOnly: true, subs: texts("resourceType", "created", "lastModified", "location", "version")},
}

// userSchema is RFC 7643 section 4.1. Whoever is deactivated is not let in again
// because a client removes active, or says nothing of it.
var userSchema = append([]attribute{
	{name: "userName", required: true},
	{name: "name", kind: complexValue, subs: texts(
		"formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")},
	{name: "displayName"}, {name: "nickName"}, {name: "profileUrl", caseExact: true}, {name: "title"}, {name: "userType"},
	{name: "preferredLanguage"}, {name: "locale"}, {name: "timezone"},
	{name: "active", kind: boolean, kept: true},
	{name: "password", caseExact: true, ignored: true},
	plural("emails"), plural("phoneNumbers"), plural("ims"), plural("photos"),
	plural("addresses", "formatted", "streetAddress", "locality", "region", "postalCode", "country"),
	{name: "groups", kind: complexValue, multi: true, ignored: true, readOnly: true, subs: texts("value", "$ref", "display", "type")},
	plural("entitlements"), plural("roles"), plural("x509Certificates"),
}, common...)

// groupSchema is RFC 7643 section 4.2.
var groupSchema = append([]attribute{
	{name: "displayName", required: true},
	{name: "members", kind: complexValue, multi: true, reference: true, subs: append(
		[]attribute{{name: "value", caseExact: true}}, texts("$ref", "display", "type")...)},
}, common...)

// enterpriseSchema is RFC 7643 section 4.3. Of a manager only the id is kept:
// the rest follows from it.
var enterpriseSchema = []attribute{
	{name: "employeeNumber"}, {name: "costCenter"}, {name: "organization"}, {name: "division"}, {name: "department"},
	{name: "manager", kind: complexValue, reference: true, subs: []attribute{{name: "value", caseExact: true}}},
}

// Schema answers the questions that filter.Match asks about one resource type.
type Schema struct{ core []attribute }

// The schemas of the two resource types.
var (
	User  = Schema{userSchema}
	Group = Schema{groupSchema}
)

// Has reports whether the core of the resource type has an attribute.
func (s Schema) Has(name string) bool { return find(s.core, name) != nil }

// CaseExact implements filter.Types. Attributes without a schema ignore case,
// the default of RFC 7643 section 2.2.
func (s Schema) CaseExact(path string) bool {
	a := s.at(path)
	return a != nil && a.caseExact
}

// Boolean tells of an attribute whose values are true and false.
func (s Schema) Boolean(path string) bool {
	a := s.at(path)
	return a != nil && a.kind == boolean
}

// at finds the attribute or sub-attribute of a path; of a complex one it is its value.
func (s Schema) at(path string) *attribute {
	urn, name := splitURN(path)
	name, sub, _ := strings.Cut(name, ".")
	var a *attribute
	if canonicalURN(urn) != EnterpriseURN {
		a = find(s.core, name)
	}
	if a == nil {
		a = find(enterpriseSchema, name)
	}
	if a == nil || a.kind != complexValue {
		return a
	}
	if sub == "" {
		sub = "value"
	}
	return a.sub(sub)
}

// splitURN takes the schema prefix off an attribute path.
func splitURN(path string) (urn, rest string) {
	if i := strings.LastIndexByte(path, ':'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// canonicalURN gives the spelling in which an extension is stored, and nothing
// for the core schemas, whose attributes sit at the top level. A URN that we do
// not know is its own canonical spelling.
func canonicalURN(urn string) string {
	switch {
	case strings.EqualFold(urn, UserURN), strings.EqualFold(urn, GroupURN):
		return ""
	case strings.EqualFold(urn, EnterpriseURN), strings.EqualFold(urn, misspeltEnterpriseURN):
		return EnterpriseURN
	}
	return urn
}

// hasURN reports whether a key or path begins with a schema.
func hasURN(s string) bool {
	return len(s) > len("urn:") && strings.EqualFold(s[:len("urn:")], "urn:")
}

// isSchema reports whether the text names a schema rather than an attribute in
// one: a known one, or one that ends like urn:…:2.0:User.
func isSchema(s string) bool {
	if !hasURN(s) {
		return false
	}
	if canonicalURN(s) != s || s == EnterpriseURN {
		return true
	}
	urn, last := splitURN(s)
	_, version := splitURN(urn)
	isResource := strings.EqualFold(last, "User") || strings.EqualFold(last, "Group")
	return isResource && version != "" && version[0] >= '0' && version[0] <= '9'
}

// isExtension reports whether a key with this value is a schema and holds its
// attributes. A URN that does not look like one is a schema where its value is
// an object, unless what stands before its last part is a schema already.
func isExtension(key string, value any) bool {
	if isSchema(key) || !hasURN(key) {
		return isSchema(key)
	}
	_, isObject := value.(map[string]any)
	urn, _ := splitURN(key)
	return isObject && !isSchema(urn)
}
