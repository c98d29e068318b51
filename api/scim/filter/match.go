package filter

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"
	"time"
)

// Types is what evaluation must know of the schema.
type Types interface {
	// CaseExact reports whether strings of the attribute compare with regard to
	// case. The path is dotted, with its extension's URN in front if it has
	// one, in the case in which the client wrote it.
	CaseExact(path string) bool
	// Has reports whether the core of the schema has an attribute, which is then not
	// looked for in the extensions.
	Has(name string) bool
}

// Match reports whether the resource satisfies the filter. The resource is the
// canonical JSON form: multi-valued complex attributes as []any of
// map[string]any, extensions under their URN. An attribute without a prefix
// that the core does not have is looked up in the extensions, because providers
// send manager eq "X". The resource is only read.
func Match(e Expr, resource map[string]any, types Types) (bool, error) {
	return matcher{types}.match(e, resource, "")
}

type matcher struct{ types Types }

// match evaluates e on one object; within names the attribute whose element
// the object is, or is empty for the resource itself.
func (m matcher) match(e Expr, object map[string]any, within string) (bool, error) {
	switch e := e.(type) {
	case And:
		ok, err := m.match(e.Left, object, within)
		if err != nil || !ok {
			return false, err
		}
		return m.match(e.Right, object, within)
	case Or:
		ok, err := m.match(e.Left, object, within)
		if err != nil || ok {
			return ok, err
		}
		return m.match(e.Right, object, within)
	case Not:
		ok, err := m.match(e.Expr, object, within)
		return !ok && err == nil, err
	case ValuePath:
		return m.element(e, object)
	case Compare:
		return m.compare(e, object, within)
	default:
		return false, &Error{0, "filter is empty"}
	}
}

func (m matcher) element(e ValuePath, object map[string]any) (bool, error) {
	for _, v := range list(m.lookup(object, e.Attr)) {
		element, ok := v.(map[string]any)
		if !ok {
			element = map[string]any{"value": v}
		}
		ok, err := m.match(e.Filter, element, e.Attr.String())
		if err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func (m matcher) compare(c Compare, object map[string]any, within string) (bool, error) {
	values := candidates(list(m.lookup(object, c.Attr)), c.Attr.Sub, c.Op == Present)
	if c.Op == Present {
		return len(values) > 0, nil
	}
	if len(values) == 0 {
		return c.Op == Equal && c.Value == nil || c.Op == NotEqual && c.Value != nil, nil
	}
	path := c.Attr.String()
	if within != "" {
		path = within + "." + path
	}
	for _, v := range values {
		ok, err := m.holds(v, c, path)
		if err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// candidates gives the values that a comparison looks at: the sub-attribute of
// each element, or its value where a complex attribute is named bare.
func candidates(values []any, sub string, presence bool) []any {
	var out []any
	for _, v := range values {
		if object, ok := v.(map[string]any); ok {
			switch {
			case sub != "":
				v = field(object, sub)
			case !presence:
				v = field(object, "value")
			}
		}
		if v != nil && (!presence || present(v)) {
			out = append(out, v)
		}
	}
	return out
}

// present tells whether there is anything in a value.
func present(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return slices.ContainsFunc(v, present)
	case map[string]any:
		for _, inner := range v { // order-free: any one decides
			if present(inner) {
				return true
			}
		}
		return false
	}
	return true
}

// list gives the values of an attribute, whether it has one or several.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func (m matcher) lookup(object map[string]any, a Attr) any {
	if a.URN != "" && !isCore(a.URN) {
		extension, _ := field(object, a.URN).(map[string]any)
		return field(extension, a.Name)
	}
	if v := field(object, a.Name); v != nil || a.URN != "" || m.types.Has(a.Name) {
		return v
	}
	for _, key := range extensions(object) {
		extension, _ := object[key].(map[string]any)
		if v := field(extension, a.Name); v != nil {
			return v
		}
	}
	return nil
}

// extensions lists the URN keys of a resource in a fixed order.
func extensions(object map[string]any) []string {
	var keys []string
	for key := range object { // order-free: sorted below
		if isURN(key) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return keys
}

// field finds a member without regard to case. Canonical objects do not hold
// two spellings of a name; should one, the first in byte order counts, so that
// every node answers alike.
func field(object map[string]any, name string) any {
	if v, ok := object[name]; ok {
		return v
	}
	best := ""
	for key := range object { // order-free: the least match wins
		if strings.EqualFold(key, name) && (best == "" || key < best) {
			best = key
		}
	}
	return object[best]
}

func (m matcher) holds(v any, c Compare, path string) (bool, error) {
	if c.Value == nil {
		return c.Op == NotEqual, nil
	}
	switch v := v.(type) {
	case bool:
		return boolean(v, c, path)
	case string:
		return m.text(v, c, path), nil
	}
	order, ok := numbers(v, c.Value)
	if !ok {
		return c.Op == NotEqual, nil
	}
	return ordered(order, c.Op), nil
}

// boolean compares with a literal or with its text: Entra sends primary eq "True".
func boolean(v bool, c Compare, path string) (bool, error) {
	if c.Op != Equal && c.Op != NotEqual {
		return false, &Error{0, fmt.Sprintf("operator %s does not apply to the boolean %s", c.Op, path)}
	}
	want, isBool := c.Value.(bool)
	if s, isString := c.Value.(string); isString {
		want = strings.EqualFold(s, "true")
		isBool = want || strings.EqualFold(s, "false")
	}
	return (isBool && v == want) == (c.Op == Equal), nil
}

func (m matcher) text(v string, c Compare, path string) bool {
	want, ok := c.Value.(string)
	if !ok {
		// A literal without quotes compares with text as it is written.
		want = strings.Trim(literal(c.Value), `"`)
	}
	if !m.types.CaseExact(path) {
		v, want = strings.ToLower(v), strings.ToLower(want)
	}
	switch c.Op {
	case Contains:
		return strings.Contains(v, want)
	case StartsWith:
		return strings.HasPrefix(v, want)
	case EndsWith:
		return strings.HasSuffix(v, want)
	case Equal, NotEqual:
		return (v == want || order(v, want) == 0) == (c.Op == Equal)
	}
	return ordered(order(v, want), c.Op)
}

// order compares instants as instants, whatever their zone, and other text by
// its bytes.
func order(a, b string) int {
	at, isTime := instant(a)
	bt, both := instant(b)
	if isTime && both {
		return at.Compare(bt)
	}
	return strings.Compare(a, b)
}

// instant reads a dateTime. Most text is seen not to be one by its shape, since
// to fail to read it costs a hundred times as much.
func instant(s string) (time.Time, bool) {
	const shortest = "2006-01-02T15:04:05Z"
	if len(s) < len(shortest) || s[4] != '-' || s[7] != '-' || s[13] != ':' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
	return t, err == nil
}

func ordered(order int, op Op) bool {
	switch op {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Greater:
		return order > 0
	case GreaterOrEqual:
		return order >= 0
	case Less:
		return order < 0
	case LessOrEqual:
		return order <= 0
	}
	return false
}

func numbers(a, b any) (order int, ok bool) {
	x, xok := number(a)
	y, yok := number(b)
	if !xok || !yok {
		return 0, false
	}
	return x.Cmp(y), true
}

const (
	// numberPrecision holds every 64-bit integer exactly.
	numberPrecision = 64
	// numberMax is the longest number that is compared as one, in bytes: reading
	// a number takes time quadratic in its length.
	numberMax = 64
)

func number(v any) (*big.Float, bool) {
	switch v := v.(type) {
	case float64:
		return new(big.Float).SetPrec(numberPrecision).SetFloat64(v), true
	case int64:
		return new(big.Float).SetPrec(numberPrecision).SetInt64(v), true
	case int:
		return new(big.Float).SetPrec(numberPrecision).SetInt64(int64(v)), true
	case json.Number:
		if len(v) > numberMax {
			return nil, false
		}
		f, _, err := big.ParseFloat(string(v), 10, numberPrecision, big.ToNearestEven)
		return f, err == nil
	}
	return nil, false
}

// Sorted gives the value by which a resource is sorted: of an attribute with several
// values the primary one or else the first, and of a complex one its value (RFC 7644
// section 3.4.2.3). It is nil when there is none.
func Sorted(resource map[string]any, a Attr, types Types) any {
	values := list(matcher{types}.lookup(resource, a))
	if len(values) == 0 {
		return nil
	}
	chosen := values[0]
	for _, v := range values {
		if object, ok := v.(map[string]any); ok && field(object, "primary") == true {
			chosen = v
			break
		}
	}
	if object, ok := chosen.(map[string]any); ok {
		if chosen = field(object, "value"); a.Sub != "" {
			chosen = field(object, a.Sub)
		}
	}
	return chosen
}
