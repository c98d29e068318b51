package patch

import (
	"encoding/json"
	"strings"
)

// ApplyUser gives the user after the operations, and whether it differs. The
// resource is the canonical form that CanonicalUser gives; it is not altered,
// and on an error nothing of the PATCH applies.
func ApplyUser(resource map[string]any, ops []Op, opts Options) (out map[string]any, changed bool, err error) {
	out, _ = clone(resource).(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	if err := checkSize(ops); err != nil {
		return nil, false, err
	}
	for _, op := range ops {
		if err := applyUser(out, op, opts); err != nil {
			return nil, false, err
		}
	}
	after, err := json.Marshal(out)
	if err != nil || len(after) > MaxUser {
		return nil, false, fault(TooMany, "the user would be larger than %d bytes", MaxUser)
	}
	return out, !same(out, resource), nil
}

// checkSize keeps the work for one user within what one user's body may ask:
// Parse allows a PATCH as large as a group needs.
func checkSize(ops []Op) error {
	values := 0
	for _, op := range ops {
		list, _ := op.Value.([]any)
		values += 1 + len(list)
	}
	if values > MaxUserValues {
		return fault(TooMany, "more than %d values for one user", MaxUserValues)
	}
	return nil
}

func applyUser(user map[string]any, op Op, opts Options) error {
	if urn, whole := wholeExtension(user, op); whole {
		delete(user, urn)
		return nil
	}
	t := resolve(op.Path)
	if t.attr == nil || t.path.URN == "" && find(userSchema, t.attr.name) == nil {
		return opts.unknown(op.Path.String())
	}
	if t.attr.ignored {
		return nil
	}
	if op.Kind == Remove && t.attr.required {
		return fault(Mutability, "%s is required and cannot be removed", t.attr.name)
	}
	if op.Kind == Remove && t.attr.kept {
		return nil
	}
	if t.path.URN == "" {
		return t.apply(user, op, opts)
	}
	t.path.URN = opts.spelling(t.path.URN)
	a, err := opts.attribute(t.path.URN, t.path.Attr)
	if err != nil {
		return err
	}
	if opts.declared(t.path.URN, t.path.Attr) != nil {
		if t, op, err = t.typed(a, op); err != nil || op.Kind == "" {
			return err
		}
	}
	return inExtension(user, t.path.URN, func(extension map[string]any) error {
		return t.apply(extension, op, opts)
	})
}

// wholeExtension gives the key of the extension that an operation removes. A
// URN that does not look like a schema was read as an attribute of one.
func wholeExtension(user map[string]any, op Op) (urn string, whole bool) {
	if op.Path.Attr == "" {
		return spelling(user, op.Path.URN), true
	}
	if op.Kind != Remove || op.Path.URN == "" || op.Path.Sub != "" || op.Path.Filter != nil {
		return "", false
	}
	urn = spelling(user, op.Path.String())
	_, whole = user[urn]
	return urn, whole
}

// inExtension runs change on an extension, which exists only while it holds
// something.
func inExtension(user map[string]any, urn string, change func(map[string]any) error) error {
	key := spelling(user, urn)
	extension, ok := user[key].(map[string]any)
	if !ok {
		extension = map[string]any{}
	}
	if err := change(extension); err != nil {
		return err
	}
	if len(extension) == 0 {
		delete(user, key)
	} else {
		user[key] = extension
	}
	return nil
}

// spelling gives the key that an object already has for a name without regard
// to case, or the name itself.
func spelling(object map[string]any, name string) string {
	if _, ok := object[name]; ok {
		return name
	}
	for _, key := range keys(object) {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return name
}

// apply changes one attribute of the object that holds it: the user itself or
// one of its extensions.
func (t target) apply(holder map[string]any, op Op, opts Options) error {
	name := t.attr.name
	if t.attr.kind == verbatim {
		name = spelling(holder, name)
	}
	value := clone(op.Value)
	switch {
	case t.attr.multi || t.path.Filter != nil:
		return t.applyList(holder, name, Op{op.Kind, op.Path, value}, opts)
	case t.sub != nil:
		return t.applySub(holder, name, op.Kind, value)
	case op.Kind == Remove:
		delete(holder, name)
	default:
		holder[name] = join(holder[name], value, op.Kind)
	}
	return nil
}

func (t target) applySub(holder map[string]any, name string, kind Kind, value any) error {
	object, ok := holder[name].(map[string]any)
	if !ok && holder[name] != nil && kind != Remove {
		return fault(InvalidPath, "%s has no sub-attributes", name)
	}
	if object == nil {
		object = map[string]any{}
	}
	if set(object, t.sub.name, kind, value); len(object) > 0 {
		holder[name] = object
	} else if ok {
		delete(holder, name)
	}
	return nil
}

func set(object map[string]any, name string, kind Kind, value any) {
	if name = spelling(object, name); kind == Remove {
		delete(object, name)
	} else {
		object[name] = value
	}
}

// join merges an object into an object, since sub-attributes that are not sent
// stay as they are, and adds to a list what it lacks; any other value takes the
// old one's place.
func join(old, value any, kind Kind) any {
	switch v := value.(type) {
	case map[string]any:
		if object, ok := old.(map[string]any); ok {
			for key, sub := range v {
				object[key] = sub
			}
			return object
		}
	case []any:
		if list, ok := old.([]any); ok && kind == Add && len(list) <= MaxElements {
			return union(list, v)
		}
	}
	return value
}

func union(list, more []any) []any {
	for _, v := range more {
		if !contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

func contains(list []any, v any) bool {
	for _, have := range list {
		if same(have, v) {
			return true
		}
	}
	return false
}
