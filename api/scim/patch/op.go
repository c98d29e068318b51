package patch

import (
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
)

// Kind is what an operation does.
type Kind string

// The kinds of operation. The zero Kind is invalid.
const (
	Add     Kind = "add"
	Replace Kind = "replace"
	Remove  Kind = "remove"
)

// Op is one canonical operation on one attribute. Names have their canonical
// case; URN is set for extensions only; Attr is empty only where a whole
// extension is removed. Value has the attribute's type, and is nil for a Remove
// that is not limited to the elements listed in it. An attribute that no schema
// has keeps its name and value as they came.
type Op struct {
	Kind  Kind
	Path  filter.Path
	Value any
}

// Parse reads the body of a PATCH. Operations without a path are spread over
// their attributes, in byte order of their keys; what changes nothing, and what
// only the server assigns, is left out.
func Parse(body []byte) ([]Op, error) {
	request, err := decode(body, limits{MaxBody, MaxValues})
	if err != nil {
		return nil, err
	}
	if err := checkSchemas(request); err != nil {
		return nil, err
	}
	list, _ := member(request, "Operations")
	operations, ok := list.([]any)
	if !ok {
		return nil, fault(InvalidSyntax, "Operations must be an array")
	}
	if len(operations) > MaxOps {
		return nil, fault(TooMany, "more than %d operations", MaxOps)
	}
	var r reader
	for _, v := range operations {
		if err := r.operation(v); err != nil {
			return nil, err
		}
	}
	return r.ops, nil
}

// checkSchemas asks for the right type only: providers leave the list out, or
// leave URNs out of it.
func checkSchemas(object map[string]any) error {
	v, _ := member(object, "schemas")
	switch v := v.(type) {
	case nil, string:
		return nil
	case []any:
		for _, urn := range v {
			if _, ok := urn.(string); !ok {
				return fault(InvalidSyntax, "schemas must be an array of strings")
			}
		}
		return nil
	}
	return fault(InvalidSyntax, "schemas must be an array of strings")
}

// reader collects canonical operations.
type reader struct{ ops []Op }

func (r *reader) operation(v any) error {
	object, ok := v.(map[string]any)
	if !ok {
		return fault(InvalidSyntax, "an operation must be an object")
	}
	name, _ := member(object, "op")
	op, _ := name.(string)
	kind := Kind(strings.ToLower(op))
	if kind != Add && kind != Replace && kind != Remove {
		return fault(InvalidSyntax, "op %.20q is not add, replace or remove", op)
	}
	value, given := member(object, "value")
	if kind != Remove && !given {
		return fault(InvalidValue, "%s needs a value", kind)
	}
	target, _ := member(object, "path")
	path, ok := target.(string)
	if !ok && target != nil {
		return fault(InvalidPath, "path must be a string")
	}
	path = strings.TrimSpace(path)
	if a := readOnly(path); a != nil {
		return fault(Mutability, "%s is assigned by the server and cannot be changed", a.name)
	}
	return r.at(kind, path, value)
}

// readOnly finds the attribute that only the server assigns, if the path names
// one. In a value without a path it is ignored, since Okta renames a group by a
// value that carries the id, too.
func readOnly(path string) *attribute {
	p, err := filter.ParsePath(path)
	if err != nil {
		return nil
	}
	if a := resolve(p).attr; a != nil && a.readOnly {
		return a
	}
	return nil
}

func (r *reader) at(kind Kind, path string, value any) error {
	switch {
	case path == "" && kind == Remove:
		return fault(NoTarget, "remove needs a path")
	case path == "":
		return r.spread(kind, "", value)
	case isSchema(path) && kind == Remove:
		if urn := canonicalURN(path); urn != "" {
			r.ops = append(r.ops, Op{Kind: Remove, Path: filter.Path{URN: urn}})
			return nil
		}
		return fault(InvalidPath, "a resource cannot be removed by PATCH")
	case isExtension(path, value):
		return r.spread(kind, canonicalURN(path), value)
	}
	return r.attribute(kind, path, value)
}

// spread makes one operation of each member of an object, whose keys are paths
// of their own: dotted, with a URN in front, or with a value filter.
func (r *reader) spread(kind Kind, urn string, value any) error {
	if value == nil {
		if kind == Replace && urn != "" { // an extension that is to be nothing
			r.ops = append(r.ops, Op{Kind: Remove, Path: filter.Path{URN: urn}})
		}
		return nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return fault(InvalidValue, "the value of an operation without an attribute must be an object")
	}
	for _, key := range keys(object) {
		if err := r.member(kind, urn, key, object[key]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) member(kind Kind, urn, key string, value any) error {
	switch {
	case key == "":
		return fault(InvalidPath, "an attribute needs a name")
	case urn != "" && !hasURN(key):
		return r.attribute(kind, urn+":"+key, value)
	}
	return r.at(kind, key, value)
}

func (r *reader) attribute(kind Kind, text string, value any) error {
	path, err := filter.ParsePath(text)
	if err != nil {
		return pathFault(text, err)
	}
	t := resolve(path)
	switch {
	case t.attr == nil:
		r.ops = append(r.ops, Op{kind, path, value})
		return nil
	case t.attr.ignored:
		return nil
	}
	if err := t.check(); err != nil {
		return err
	}
	op, err := t.operation(kind, value)
	if err != nil {
		return err
	}
	emptied := t.emptied(kind, value)
	if op.Kind != "" && (op.Kind == kind || len(emptied) == 0) {
		r.ops = append(r.ops, op)
	}
	r.ops = append(r.ops, emptied...)
	return nil
}

// emptied removes the sub-attributes that a replacement of a complex value names and
// gives nothing: null is unassigned (RFC 7643 section 2.5), and those that it does not
// name stay as they are (RFC 7644 section 3.5.2.3).
func (t target) emptied(kind Kind, value any) (ops []Op) {
	if kind != Replace || t.attr.kind != complexValue || t.attr.multi || t.sub != nil {
		return nil
	}
	object := sole(value)
	for i := range t.attr.subs {
		sub := &t.attr.subs[i]
		v, found := member(object, sub.name)
		if !found {
			continue
		}
		if left, err := sub.canonical(v); err == nil && left == nil {
			path := t.path
			path.Sub = sub.name
			ops = append(ops, Op{Kind: Remove, Path: path})
		}
	}
	return ops
}

// target is a path with the schema it points into. attr is nil where no schema
// has the attribute, or the attribute has no such sub-attribute.
type target struct {
	path filter.Path
	attr *attribute
	sub  *attribute
}

// resolve finds the attribute and gives the path its canonical spelling. A name
// without a URN that is not in the core is looked up in the enterprise
// extension, because providers send a bare manager.
func resolve(path filter.Path) target {
	t := target{path: path}
	urn := canonicalURN(path.URN)
	switch {
	case urn == "":
		t.attr = find(userSchema, path.Attr)
		if t.attr == nil {
			t.attr = find(groupSchema, path.Attr)
		}
		if t.attr == nil && path.URN == "" {
			if t.attr = find(enterpriseSchema, path.Attr); t.attr != nil {
				urn = EnterpriseURN
			}
		}
		if t.attr == nil {
			return t
		}
	case urn == EnterpriseURN:
		t.attr = find(enterpriseSchema, path.Attr)
	}
	if t.attr == nil {
		t.attr = &attribute{name: path.Attr, kind: verbatim}
	}
	t.path.URN, t.path.Attr = urn, t.attr.name
	return t.resolveSub()
}

func (t target) resolveSub() target {
	if t.path.Sub == "" {
		return t
	}
	switch t.attr.kind {
	case verbatim:
		t.sub = &attribute{name: t.path.Sub, kind: verbatim}
	case complexValue:
		if t.sub = t.attr.sub(t.path.Sub); t.sub == nil {
			return target{path: t.path}
		}
		t.path.Sub = t.sub.name
		if t.attr.name == "members" && t.sub.name == "value" && t.path.Filter == nil {
			t.sub, t.path.Sub = nil, "" // a member is its value
		}
	}
	return t
}

func (t target) check() error {
	if t.path.Filter != nil && !t.attr.multi && t.attr.kind != verbatim {
		return fault(InvalidPath, "%s has one value and takes no value filter", t.attr.name)
	}
	if t.path.Sub != "" && t.sub == nil {
		return fault(InvalidPath, "%s has no sub-attributes", t.attr.name)
	}
	return nil
}

// operation gives the canonical operation, or the zero Op if it changes nothing.
// To replace by nothing is to remove: practice, not the RFC.
func (t target) operation(kind Kind, value any) (Op, error) {
	if kind == Remove {
		return t.removal(value)
	}
	v, err := t.value(value)
	if err != nil {
		return Op{}, err
	}
	list, isList := v.([]any)
	switch {
	case v == nil && t.saysNothing(value):
		return Op{}, nil
	case kind == Replace && v == nil && t.attr.name == "members":
		return Op{Replace, t.path, []any{}}, nil
	case kind == Replace && v == nil:
		return Op{Kind: Remove, Path: t.path}, nil
	case kind == Add && (v == nil || isList && len(list) == 0):
		return Op{}, nil
	}
	return Op{kind, t.path, v}, nil
}

// saysNothing is true of an object in which there is no sub-attribute that we
// keep: a manager's display name alone, say, does not remove the manager.
func (t target) saysNothing(value any) bool {
	object, ok := value.(map[string]any)
	if !ok || len(object) == 0 || t.attr.kind != complexValue || t.sub != nil {
		return false
	}
	for i := range t.attr.subs {
		if _, found := member(object, t.attr.subs[i].name); found {
			return false
		}
	}
	return true
}

// value gives the typed value of an addition or replacement.
func (t target) value(v any) (any, error) {
	switch {
	case t.sub != nil:
		return t.sub.canonical(v)
	case t.path.Filter != nil && t.attr.kind != verbatim:
		return t.attr.single(v)
	}
	return t.attr.canonical(v)
}

// removal keeps the listed elements of Remove members with a value, which
// removes exactly these. An empty list therefore removes nothing; only a
// missing value removes the attribute.
func (t target) removal(value any) (Op, error) {
	whole := Op{Kind: Remove, Path: t.path}
	if t.attr.kind == verbatim && t.sub == nil {
		whole.Value = clone(value) // a declared attribute may have several
		return whole, nil
	}
	if value == nil || !t.attr.multi || t.sub != nil || t.path.Filter != nil {
		return whole, nil
	}
	v, err := t.attr.list(value)
	if err != nil {
		return Op{}, err
	}
	if list := v.([]any); len(list) == 0 {
		return Op{}, nil
	}
	return Op{Remove, t.path, v}, nil
}
