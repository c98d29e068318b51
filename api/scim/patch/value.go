package patch

import (
	"encoding/json"
	"strconv"
	"strings"
)

// canonical gives the typed form of a value for an attribute, or nil where the
// value means that the attribute is unassigned: null, empty text, an object of
// nothing. A list stays a list even when it is empty. The result shares nothing
// with v.
func (a *attribute) canonical(v any) (any, error) {
	switch {
	case v == nil:
		return nil, nil
	case a.kind == verbatim:
		return clone(v), nil
	case a.multi:
		return a.list(v)
	case a.kind == complexValue:
		return a.single(v)
	default:
		return a.scalar(unwrap(v))
	}
}

// unwrap takes a single value out of the list, or the object with a value, in
// which Entra's oldest dialect sends it.
func unwrap(v any) any {
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	if object, ok := v.(map[string]any); ok {
		if inner, found := member(object, "value"); found {
			return inner
		}
	}
	return v
}

func (a *attribute) scalar(v any) (any, error) {
	if v == nil || v == "" {
		return nil, nil
	}
	switch a.kind {
	case boolean:
		return a.boolean(v)
	case integer:
		return a.integer(v)
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return nil, fault(InvalidValue, "%s must be a string", a.name)
}

// boolean accepts text, since Entra disables a user with "False".
func (a *attribute) boolean(v any) (any, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	s, _ := v.(string)
	switch {
	case strings.EqualFold(s, "true"):
		return true, nil
	case strings.EqualFold(s, "false"):
		return false, nil
	}
	return nil, fault(InvalidValue, "%s must be true or false", a.name)
}

// integer accepts text, since a provider may know no numbers.
func (a *attribute) integer(v any) (any, error) {
	digits, _ := v.(string)
	if n, ok := v.(json.Number); ok {
		digits = n.String()
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return nil, fault(InvalidValue, "%s must be a whole number", a.name)
	}
	return json.Number(strconv.FormatInt(n, 10)), nil
}

// single reads a complex attribute that has one value, such as a name, or a
// manager in any of the shapes that providers send.
func (a *attribute) single(v any) (any, error) {
	if s, ok := v.(string); ok {
		v = unquote(s)
	}
	if list, ok := v.([]any); ok {
		if len(list) == 0 {
			return nil, nil
		}
		if len(list) > 1 {
			return nil, fault(InvalidValue, "%s has one value, not %d", a.name, len(list))
		}
		v = list[0]
	}
	return a.element(v)
}

// sole is the object in any of the shapes that single reads; nil if it is none.
func sole(v any) map[string]any {
	if s, ok := v.(string); ok {
		v = unquote(s)
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	object, _ := v.(map[string]any)
	return object
}

func (a *attribute) list(v any) (any, error) {
	if s, ok := v.(string); ok && a.kind == complexValue {
		v = unquote(s)
	}
	values, ok := v.([]any)
	if !ok {
		values = []any{v}
	}
	out := make([]any, 0, len(values))
	for _, value := range values {
		element, err := a.one(value)
		if err != nil {
			return nil, err
		}
		if element != nil {
			out = append(out, element)
		}
	}
	onePrimary(out, out)
	return out, nil
}

// one reads one of several values.
func (a *attribute) one(v any) (any, error) {
	if a.kind != complexValue {
		return a.scalar(unwrap(v))
	}
	if s, ok := v.(string); ok {
		v = unquote(s)
	}
	return a.element(v)
}

// unquote reads JSON that was sent as the text of a string, the way in which
// Entra adds roles. Any other text is a value as it stands.
func unquote(s string) any {
	trimmed := strings.TrimSpace(s)
	if !strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "[") {
		return s
	}
	const key = "text"
	object, err := decode([]byte(`{"`+key+`":`+trimmed+`}`), limits{MaxUser, MaxUserValues})
	if err != nil {
		return s
	}
	return object[key]
}

// element reads one complex value. Text stands for its value; sub-attributes
// that the schema does not have are dropped.
func (a *attribute) element(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return a.object(v)
	case string, json.Number:
		if value := a.sub("value"); value != nil {
			return a.object(map[string]any{"value": v})
		}
	}
	return nil, fault(InvalidValue, "%s must be an object", a.name)
}

func (a *attribute) object(in map[string]any) (any, error) {
	out := make(map[string]any, len(in))
	for i := range a.subs {
		sub := &a.subs[i]
		v, found := member(in, sub.name)
		if !found {
			v = a.substitute(sub.name, in)
		}
		value, err := sub.canonical(v)
		if err != nil {
			return nil, fault(InvalidValue, "%s: %s", a.name, err.(*Error).Detail)
		}
		if value != nil {
			out[sub.name] = value
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// substitute finds the value of a sub-attribute that is not there under its name.
func (a *attribute) substitute(name string, in map[string]any) any {
	switch {
	case name == "display": // Entra's spelling in roles
		v, _ := member(in, "displayName")
		return v
	case name == "value" && a.reference:
		v, _ := member(in, "$ref")
		ref, _ := v.(string)
		return ref[strings.LastIndexByte(ref, '/')+1:]
	}
	return nil
}

// onePrimary leaves one primary element among all: the first of those that were
// just written, if one of them is primary (RFC 7644 section 3.5.2). Elements
// are maps, so a written element and its place in all are the same.
func onePrimary(all, written []any) {
	winner := firstPrimary(written)
	if winner == nil {
		return
	}
	winner["primary"] = false
	for _, v := range all {
		if element, ok := v.(map[string]any); ok && element["primary"] == true {
			element["primary"] = false
		}
	}
	winner["primary"] = true
}

func firstPrimary(elements []any) map[string]any {
	for _, v := range elements {
		if element, ok := v.(map[string]any); ok && element["primary"] == true {
			return element
		}
	}
	return nil
}
