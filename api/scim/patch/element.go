package patch

import (
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
)

// applyList changes a multi-valued attribute.
func (t target) applyList(holder map[string]any, name string, op Op, opts Options) error {
	list, ok := holder[name].([]any)
	if !ok && holder[name] != nil {
		list = []any{holder[name]}
	}
	list, written, err := t.change(list, op, opts)
	if err != nil {
		return err
	}
	onePrimary(list, written)
	if len(list) == 0 {
		delete(holder, name)
	} else {
		holder[name] = list
	}
	return nil
}

// change gives the list after the operation, and the elements that it wrote.
func (t target) change(list []any, op Op, opts Options) (after, written []any, err error) {
	if t.path.Filter != nil {
		return t.changeMatching(list, op, opts)
	}
	values, _ := op.Value.([]any)
	switch {
	case t.sub != nil:
		return t.changeElements(list, list, op)
	case op.Kind == Remove && op.Value == nil:
		return nil, nil, nil
	case op.Kind == Remove:
		return without(list, values), nil, nil
	case op.Kind == Replace:
		list = nil
	}
	if len(list)+len(values) > MaxElements {
		return nil, nil, fault(TooMany, "%s has more than %d elements", t.attr.name, MaxElements)
	}
	after, written = addAll(list, values)
	return after, written, nil
}

// addAll adds each value, or merges it into the element that has the same value
// and type: a repeated Add does not duplicate.
func addAll(list, values []any) (after, written []any) {
	for _, v := range values {
		if have := counterpart(list, v); have != nil {
			value := v.(map[string]any)
			for key, sub := range value {
				have[key] = sub
			}
			written = append(written, have)
			continue
		}
		if !contains(list, v) {
			list, written = append(list, v), append(written, v)
		}
	}
	return list, written
}

// counterpart finds the element with the value and type of v.
func counterpart(list []any, v any) map[string]any {
	wanted, ok := v.(map[string]any)
	if !ok || wanted["value"] == nil {
		return nil
	}
	for _, have := range list {
		element, ok := have.(map[string]any)
		if ok && same(element["value"], wanted["value"]) && same(element["type"], wanted["type"]) {
			return element
		}
	}
	return nil
}

// without takes out the elements that agree with one of the values in all that
// the value says.
func without(list, values []any) []any {
	var rest []any
	for _, have := range list {
		if !described(have, values) {
			rest = append(rest, have)
		}
	}
	return rest
}

func described(have any, values []any) bool {
	element, ok := have.(map[string]any)
	for _, v := range values {
		wanted, isObject := v.(map[string]any)
		if !ok || !isObject {
			if same(have, v) {
				return true
			}
			continue
		}
		if agrees(element, wanted) {
			return true
		}
	}
	return false
}

// agrees compares identity, not decoration: where a value is given, it and the
// type decide.
func agrees(element, wanted map[string]any) bool {
	for key, v := range wanted { // order-free: all must agree
		if wanted["value"] != nil && key != "value" && key != "type" {
			continue
		}
		if !same(element[key], v) {
			return false
		}
	}
	return true
}

func (t target) changeMatching(list []any, op Op, opts Options) (after, written []any, err error) {
	matching, err := t.matching(list)
	if err != nil {
		return nil, nil, err
	}
	if len(matching) > 0 || op.Kind == Remove {
		return t.changeElements(list, matching, op)
	}
	if op.Kind == Replace && opts.ReplaceMissing == ReplaceNeedsTarget {
		return nil, nil, fault(NoTarget, "no element of %s satisfies the filter", t.attr.name)
	}
	element := map[string]any{}
	if err := t.describe(element, t.path.Filter); err != nil {
		return nil, nil, err
	}
	if have := sameType(list, element); have != nil {
		for key, v := range element {
			have[key] = v
		}
		return t.changeElements(list, []any{have}, op)
	}
	if len(list) >= MaxElements {
		return nil, nil, fault(TooMany, "%s has more than %d elements", t.attr.name, MaxElements)
	}
	list = append(list, element)
	return t.changeElements(list, list[len(list)-1:], op)
}

// sameType finds the element that lacks nothing but what a filter says beyond
// its type: an address of type work that was never called primary is the one
// that emails[type eq "work" and primary eq true] means, for providers have one
// element of each type.
func sameType(list []any, described map[string]any) map[string]any {
	if described["type"] == nil || len(described) == 1 {
		return nil
	}
	for _, v := range list {
		have, ok := v.(map[string]any)
		if !ok || have["type"] == nil {
			continue
		}
		fits := true
		for key, wanted := range described { // order-free: all must fit
			fits = fits && (have[key] == nil || equalFolded(have[key], wanted))
		}
		if fits {
			return have
		}
	}
	return nil
}

func equalFolded(a, b any) bool {
	x, isText := a.(string)
	y, _ := b.(string)
	return isText && strings.EqualFold(x, y) || same(a, b)
}

// changeElements writes to the chosen elements; to remove whole elements is to
// leave them out.
func (t target) changeElements(list, chosen []any, op Op) (after, written []any, err error) {
	if t.sub == nil && op.Kind == Remove {
		return except(list, chosen), nil, nil
	}
	if len(chosen) == 0 && op.Kind != Remove {
		element := map[string]any{}
		list, chosen = append(list, element), []any{element}
	}
	var emptied []any
	for _, v := range chosen {
		element, ok := v.(map[string]any)
		if !ok {
			continue
		}
		if err := t.write(element, op); err != nil {
			return nil, nil, err
		}
		if op.Kind == Remove && isHollow(element) {
			emptied = append(emptied, v)
		}
	}
	return except(list, emptied), chosen, nil
}

// write changes one element. A replaced element keeps what made it match, so
// that it can be found by the same path again.
func (t target) write(element map[string]any, op Op) error {
	if t.sub != nil {
		set(element, t.sub.name, op.Kind, clone(op.Value))
		return nil
	}
	if op.Kind == Replace {
		clear(element)
		// A filter that does not describe an element has nothing to keep.
		if err := t.describe(element, t.path.Filter); err != nil {
			clear(element)
		}
	}
	value, ok := clone(op.Value).(map[string]any)
	if !ok {
		return fault(InvalidValue, "an element of %s must be an object", t.attr.name)
	}
	for key, v := range value {
		element[key] = v
	}
	return nil
}

// isHollow reports whether nothing is left of an element but its labels.
func isHollow(element map[string]any) bool {
	for key := range element { // order-free: any one decides
		if key != "type" && key != "primary" {
			return false
		}
	}
	return true
}

// except takes out of a list some of its own elements.
func except(list, out []any) []any {
	if len(out) == 0 {
		return list
	}
	var rest []any
	next := 0 // out keeps the order of list
	for _, v := range list {
		if next < len(out) && same(v, out[next]) {
			next++
			continue
		}
		rest = append(rest, v)
	}
	return rest
}

// matching lists the elements that satisfy the path's filter.
func (t target) matching(list []any) ([]any, error) {
	var out []any
	types := elementTypes{t.path.URN, t.attr.name}
	for _, v := range list {
		element, ok := v.(map[string]any)
		if !ok {
			element = map[string]any{"value": v}
		}
		ok, err := filter.Match(t.path.Filter, element, types)
		if err != nil {
			return nil, pathFault(t.path.String(), err)
		}
		if ok {
			out = append(out, v)
		}
	}
	return out, nil
}

// elementTypes answers for the sub-attributes of one attribute.
type elementTypes struct{ urn, name string }

// Has is true, since an element has no extensions.
func (elementTypes) Has(string) bool { return true }

func (e elementTypes) CaseExact(path string) bool {
	if e.urn != "" {
		return User.CaseExact(e.urn + ":" + e.name + "." + path)
	}
	return User.CaseExact(e.name + "." + path)
}

// describe writes into an element what a filter says about it, which takes a
// filter of nothing but equalities.
func (t target) describe(element map[string]any, e filter.Expr) error {
	switch e := e.(type) {
	case filter.And:
		if err := t.describe(element, e.Left); err != nil {
			return err
		}
		return t.describe(element, e.Right)
	case filter.Compare:
		if e.Op != filter.Equal || e.Attr.URN != "" || e.Attr.Sub != "" {
			break
		}
		sub := t.attr.sub(e.Attr.Name)
		if t.attr.kind == verbatim {
			sub = &attribute{name: e.Attr.Name, kind: verbatim}
		}
		if sub == nil {
			return fault(InvalidPath, "%s has no sub-attribute %.100q", t.attr.name, e.Attr.Name)
		}
		value, err := sub.canonical(e.Value)
		if err == nil && value != nil {
			element[sub.name] = value
		}
		return err
	}
	return fault(NoTarget, "no element of %s satisfies the filter, and the filter does not describe one", t.attr.name)
}
