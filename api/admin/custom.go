package admin

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
)

// customColumn is one of the organization's own attributes of a user. Where it
// has several values, a comparison holds when it does for one of them, and ne
// when there is none.
type customColumn struct {
	directory.AttributeDefinition
	member []byte // how the attribute stands in canonical JSON
	reader *customReader
}

// customColumns finds columns by the organization's schema.
func customColumns(schema *directory.Schema) func(field, name string) (column[*directory.User], bool) {
	reader := new(customReader)
	return func(field, name string) (column[*directory.User], bool) {
		i := slices.IndexFunc(schema.Attributes, func(d directory.AttributeDefinition) bool { return d.Name == name })
		if field != "custom" || i < 0 {
			return nil, false
		}
		return customColumn{schema.Attributes[i], []byte(`"` + name + `":`), reader}, true
	}
}

// customReader keeps the values of the user it read last: a filter that compares
// several attributes decodes each user once.
type customReader struct {
	of     *directory.User
	values map[string]any
}

func (r *customReader) value(u *directory.User, name string) any {
	if r.of != u {
		r.of, r.values = u, nil
		if json.Unmarshal(u.Custom, &r.values) != nil {
			r.values = nil // the machine keeps nothing but objects
		}
	}
	return r.values[name]
}

// values are those of the attribute, none when the user does not have it. Most
// users of most attributes need no decoding to say so.
func (c customColumn) values(u *directory.User) []any {
	if !bytes.Contains(u.Custom, c.member) {
		return nil
	}
	switch v := c.reader.value(u, c.Name).(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func (c customColumn) present(u *directory.User) bool {
	return slices.ContainsFunc(c.values(u), func(v any) bool { return v != "" })
}

func (c customColumn) test(op filter.Op, value any) (func(*directory.User) bool, string) {
	holds, problem := c.one(op, value)
	return func(u *directory.User) bool {
		values := c.values(u)
		return len(values) == 0 && op == filter.NotEqual || slices.ContainsFunc(values, holds)
	}, problem
}

// one makes the predicate of a single value. A value of another type than the
// schema has now is from before a change of the schema; it equals nothing.
func (c customColumn) one(op filter.Op, value any) (func(any) bool, string) {
	switch c.Type {
	case directory.AttributeBoolean:
		holds, problem := flagTest(op, value)
		return typed(holds), problem
	case directory.AttributeInteger:
		holds, problem := numberTest(op, value)
		return typed(holds), problem
	case directory.AttributeDate:
		text, _ := value.(string)
		if _, err := time.Parse(time.DateOnly, text); err != nil || orderTest(op) == nil {
			return nil, `is compared by eq, ne, gt, ge, lt or le with a date as in "2026-01-31"`
		}
	}
	holds, problem := textTest(op, value)
	return typed(holds), problem
}

func typed[V any](holds func(V) bool) func(any) bool {
	return func(v any) bool { value, ok := v.(V); return ok && holds(value) }
}
