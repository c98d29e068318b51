package filter_test

import (
	"encoding/json"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/scim/filter"
)

// leaf is one value of a resource with the path to it in lower case, and the
// element of a multi-valued attribute that it stands in.
type leaf struct {
	path    string
	element int
	value   any
}

// leaves flattens a resource: all that the twin knows of it is this table.
func leaves(object map[string]any) (table []leaf) {
	for name, v := range object {
		name = strings.ToLower(name)
		values, several := v.([]any)
		if !several {
			values = []any{v}
		}
		for i, v := range values {
			inner, complexValue := v.(map[string]any)
			if !complexValue {
				table = append(table, leaf{name, i, v})
				continue
			}
			joint := "."
			if strings.HasPrefix(name, "urn:") {
				joint = ":"
			}
			for _, l := range leaves(inner) {
				table = append(table, leaf{name + joint + l.path, max(i, l.element), l.value})
			}
		}
	}
	return table
}

// twin evaluates a filter on the table in the way in which one would by hand:
// find the rows that an attribute names, compare each.
func twin(e filter.Expr, table []leaf, within string) bool {
	switch e := e.(type) {
	case filter.And:
		return twin(e.Left, table, within) && twin(e.Right, table, within)
	case filter.Or:
		return twin(e.Left, table, within) || twin(e.Right, table, within)
	case filter.Not:
		return !twin(e.Expr, table, within)
	case filter.ValuePath:
		prefix := named(e.Attr, table)
		for i := range 4 {
			var element []leaf
			for _, l := range table {
				if rest, ok := strings.CutPrefix(l.path, prefix+"."); ok && l.element == i {
					element = append(element, leaf{rest, 0, l.value})
				} else if l.path == prefix && l.element == i {
					element = append(element, leaf{"value", 0, l.value})
				}
			}
			if element != nil && twin(e.Filter, element, prefix+".") {
				return true
			}
		}
		return false
	case filter.Compare:
		return compareTwin(e, table, within)
	}
	panic("unknown expression")
}

// named is the path of an attribute; without a prefix it may be an extension's.
func named(a filter.Attr, table []leaf) string {
	path := strings.ToLower(a.String())
	has := func(path string) bool {
		return slices.ContainsFunc(table, func(l leaf) bool { return l.path == path || strings.HasPrefix(l.path, path+".") })
	}
	plain := strings.ToLower(a.Name)
	if a.URN == "" && !has(plain) {
		for _, l := range table {
			if urn, rest, ok := cutLast(l.path); ok && (rest == plain || strings.HasPrefix(rest, plain+".")) {
				return urn + ":" + path
			}
		}
	}
	return path
}

func cutLast(path string) (before, after string, found bool) {
	i := strings.LastIndexByte(path, ':')
	return path[:max(i, 0)], path[i+1:], i >= 0
}

func compareTwin(c filter.Compare, table []leaf, within string) bool {
	path := named(c.Attr, table)
	var values []any
	for _, l := range table {
		exact := l.path == path || c.Op != filter.Present && c.Attr.Sub == "" && l.path == path+".value"
		if exact || c.Op == filter.Present && c.Attr.Sub == "" && strings.HasPrefix(l.path, path+".") {
			values = append(values, l.value)
		}
	}
	if c.Op == filter.Present {
		return slices.ContainsFunc(values, func(v any) bool { return v != "" })
	}
	if len(values) == 0 {
		return (c.Op == filter.Equal) == (c.Value == nil) && (c.Op == filter.Equal || c.Op == filter.NotEqual)
	}
	return slices.ContainsFunc(values, func(v any) bool { return holdsTwin(v, c.Op, c.Value, within+path) })
}

// holdsTwin compares texts, numbers and booleans each by their own kind.
func holdsTwin(v any, op filter.Op, want any, path string) bool {
	if want == nil {
		return op == filter.NotEqual
	}
	written := strings.Trim(asText(want), `"`)
	switch v := v.(type) {
	case bool:
		return (strconv.FormatBool(v) == strings.ToLower(written)) == (op == filter.Equal)
	case json.Number:
		x, _ := v.Float64()
		number, isNumber := want.(json.Number)
		if !isNumber {
			return op == filter.NotEqual
		}
		y, _ := number.Float64()
		return orderedTwin(x < y, x == y, op)
	}
	text := v.(string)
	if !(caseExact{}).CaseExact(path) {
		text, written = strings.ToLower(text), strings.ToLower(written)
	}
	x, errX := time.Parse(time.RFC3339, strings.ToUpper(text))
	y, errY := time.Parse(time.RFC3339, strings.ToUpper(written))
	instants := errX == nil && errY == nil
	switch op {
	case filter.Contains:
		return strings.Contains(text, written)
	case filter.StartsWith:
		return strings.HasPrefix(text, written)
	case filter.EndsWith:
		return strings.HasSuffix(text, written)
	}
	if instants {
		return orderedTwin(x.Before(y), x.Equal(y), op)
	}
	return orderedTwin(text < written, text == written, op)
}

func asText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if s, ok := v.(string); ok {
		return s
	}
	return string(b)
}

func orderedTwin(less, equal bool, op filter.Op) bool {
	return map[filter.Op]bool{
		filter.Equal: equal, filter.NotEqual: !equal, filter.Less: less, filter.LessOrEqual: less || equal,
		filter.Greater: !less && !equal, filter.GreaterOrEqual: !less,
	}[op]
}

// author writes random filters and resources over few names and values, so that
// they often have to do with each other.
type author struct{ *rand.Rand }

func (a author) one(of ...string) string { return of[a.Intn(len(of))] }

func (a author) text() string {
	return a.one("a", "A", "b", "ab", "Äb", "", "work", "true", "7", "2026-01-02T03:04:05Z", "2026-01-02T04:04:05.0+01:00", "2026-01-02T03:04:06Z")
}

func (a author) scalar() any {
	switch a.Intn(6) {
	case 0:
		return a.Intn(2) == 0
	case 1:
		return json.Number(a.one("7", "7.0", "-1", "1e3"))
	}
	return a.text()
}

func (a author) complexValue() map[string]any {
	object := map[string]any{} // never empty: a canonical resource holds nothing unassigned
	for range 1 + a.Intn(3) {
		object[a.one("value", "type", "primary", "display")] = a.scalar()
	}
	return object
}

const extensionURN = "urn:x:2.0:User"

func (a author) resource() map[string]any {
	r := map[string]any{"id": a.text()}
	for range a.Intn(6) {
		switch name := a.one("userName", "emails", "emails", "name", "tags", "age", extensionURN); name {
		case "emails":
			var list []any
			for range a.Intn(4) {
				list = append(list, a.complexValue())
			}
			r[name] = list
		case "name":
			r[name] = a.complexValue()
		case "tags":
			r[name] = []any{a.text(), a.text()}
		case extensionURN:
			r[name] = map[string]any{"department": a.scalar(), "manager": a.complexValue()}
		default:
			r[name] = a.scalar()
		}
	}
	return r
}

func (a author) filter(depth int, names ...string) string {
	if depth > 0 {
		switch a.Intn(5) {
		case 0:
			return "(" + a.filter(depth-1, names...) + ") and " + a.filter(depth-1, names...)
		case 1:
			return a.filter(depth-1, names...) + " OR " + a.filter(depth-1, names...)
		case 2:
			return "not (" + a.filter(depth-1, names...) + ")"
		case 3:
			if len(names) > 4 {
				return a.one("emails", "EMAILS", "name", "tags", "manager") + "[" + a.filter(depth-1, "value", "type", "Primary") + "]"
			}
		}
	}
	name := a.one(names...)
	if a.Intn(5) == 0 {
		return name + " pr"
	}
	literal := asText(a.scalar())
	if a.Intn(8) == 0 {
		literal = "null"
	}
	if !json.Valid([]byte(literal)) {
		literal = strconv.Quote(literal)
	}
	// To order a boolean is refused, which is a test of its own.
	return name + " " + a.one("eq", "NE", "co", "sw", "ew", "gt", "ge", "lt", "le", "eq") + " " + literal
}

func compareWithTwin(t *testing.T, seed int64) {
	a := author{rand.New(rand.NewSource(seed))}
	text := a.filter(3, "id", "userName", "USERNAME", "emails", "emails.value", "emails.type", "emails.primary", "name.value", "tags", "age",
		"department", "manager", "manager.value", extensionURN+":department", "urn:X:2.0:USER:manager.type", "nobody")
	e, err := filter.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	resource := a.resource()
	got, err := filter.Match(e, resource, caseExact{})
	if err != nil {
		return // a boolean was ordered
	}
	if want := twin(e, leaves(resource), ""); got != want {
		t.Fatalf("seed %d: %s on %s is %v, by hand %v", seed, text, asText(resource), got, want)
	}
}

func TestMatchAgainstItsTwin(t *testing.T) {
	for seed := range int64(20_000) {
		compareWithTwin(t, seed)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add(int64(1))
	f.Fuzz(compareWithTwin)
}
