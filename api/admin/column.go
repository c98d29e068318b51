package admin

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
)

// column is a field of an object that a filter may compare.
type column[T any] interface {
	// test makes a predicate of an operator and a literal, or says what is wrong
	// with them, in words that follow the name of the field. It is not asked about
	// null or presence.
	test(op filter.Op, value any) (holds func(T) bool, problem string)
	present(T) bool
}

// textColumn compares without regard to case, as names are compared everywhere.
// Text that is not there is the empty text.
type textColumn[T any] func(T) string

func (get textColumn[T]) present(item T) bool { return get(item) != "" }

func (get textColumn[T]) test(op filter.Op, value any) (func(T) bool, string) {
	holds, problem := textTest(op, value)
	return func(item T) bool { return holds(get(item)) }, problem
}

func textTest(op filter.Op, value any) (func(string) bool, string) {
	text, ok := value.(string)
	if !ok {
		return nil, "is compared with a quoted text"
	}
	want := directory.Fold(text)
	compare := orderTest(op)
	return func(s string) bool {
		s = directory.Fold(s)
		switch op {
		case filter.Contains:
			return strings.Contains(s, want)
		case filter.StartsWith:
			return strings.HasPrefix(s, want)
		case filter.EndsWith:
			return strings.HasSuffix(s, want)
		}
		return compare(strings.Compare(s, want))
	}, ""
}

// exactColumn is text of another system, which need not think of case as we do.
type exactColumn[T any] func(T) string

func (get exactColumn[T]) present(item T) bool { return get(item) != "" }

func (get exactColumn[T]) test(op filter.Op, value any) (func(T) bool, string) {
	want, ok := value.(string)
	if !ok || op != filter.Equal && op != filter.NotEqual && op != filter.StartsWith {
		return nil, "is compared by eq, ne or sw with a quoted text"
	}
	if op == filter.StartsWith {
		return func(item T) bool { return strings.HasPrefix(get(item), want) }, ""
	}
	return func(item T) bool { return (get(item) == want) == (op == filter.Equal) }, ""
}

// idColumn is the id of an object; the zero id is none.
type idColumn[T any, ID interface {
	~[16]byte
	comparable
}] struct {
	get   func(T) ID
	parse func(string) (ID, error)
}

func (c idColumn[T, ID]) present(item T) bool { return c.get(item) != ID{} }

func (c idColumn[T, ID]) test(op filter.Op, value any) (func(T) bool, string) {
	text, _ := value.(string)
	want, err := c.parse(text)
	if err != nil || op != filter.Equal && op != filter.NotEqual {
		return nil, "is compared by eq or ne with a quoted id of its kind"
	}
	return func(item T) bool { return (c.get(item) == want) == (op == filter.Equal) }, ""
}

// flagColumn is true or false, and always there.
type flagColumn[T any] func(T) bool

func (get flagColumn[T]) present(T) bool { return true }

func (get flagColumn[T]) test(op filter.Op, value any) (func(T) bool, string) {
	holds, problem := flagTest(op, value)
	return func(item T) bool { return holds(get(item)) }, problem
}

func flagTest(op filter.Op, value any) (func(bool) bool, string) {
	want, ok := value.(bool)
	if !ok || op != filter.Equal && op != filter.NotEqual {
		return nil, "is compared by eq or ne with true or false"
	}
	return func(b bool) bool { return (b == want) == (op == filter.Equal) }, ""
}

// timeColumn is a time; zero is none.
type timeColumn[T any] func(T) directory.Time

func (get timeColumn[T]) present(item T) bool { return get(item) != 0 }

func (get timeColumn[T]) test(op filter.Op, value any) (func(T) bool, string) {
	text, _ := value.(string)
	want, err := time.Parse(time.RFC3339Nano, text)
	holds := orderTest(op)
	if err != nil || holds == nil {
		return nil, `is compared by eq, ne, gt, ge, lt or le with a time as in "2026-01-31T08:00:00Z"`
	}
	return func(item T) bool {
		t := get(item)
		if t == 0 {
			return op == filter.NotEqual
		}
		return holds(t.Std().Compare(want))
	}, ""
}

// numberColumn is a number, and always there.
type numberColumn[T any] func(T) float64

func (get numberColumn[T]) present(T) bool { return true }

func (get numberColumn[T]) test(op filter.Op, value any) (func(T) bool, string) {
	holds, problem := numberTest(op, value)
	return func(item T) bool { return holds(get(item)) }, problem
}

// numberTest compares as floating point: the numbers of this system and its JSON
// are exact in it, being below 2^53.
func numberTest(op filter.Op, value any) (func(float64) bool, string) {
	number, _ := value.(json.Number)
	want, err := number.Float64()
	holds := orderTest(op)
	if err != nil || holds == nil {
		return nil, "is compared by eq, ne, gt, ge, lt or le with a number"
	}
	return func(n float64) bool { return holds(cmp.Compare(n, want)) }, ""
}

// listColumn holds several texts: a comparison holds when it does for one of
// them, and ne of an empty list.
type listColumn[T any] func(T) []string

func (get listColumn[T]) present(item T) bool { return len(get(item)) > 0 }

func (get listColumn[T]) test(op filter.Op, value any) (func(T) bool, string) {
	holds, problem := textTest(op, value)
	return func(item T) bool {
		texts := get(item)
		return len(texts) == 0 && op == filter.NotEqual || slices.ContainsFunc(texts, holds)
	}, problem
}

// objectColumn is an object, of which a filter can only ask whether there is one.
type objectColumn[T any] func(T) bool

func (get objectColumn[T]) present(item T) bool { return get(item) }

func (get objectColumn[T]) test(filter.Op, any) (func(T) bool, string) {
	return nil, "is an object, which a filter can ask for by pr alone"
}

// orderTest says which results of a comparison an operator accepts; nil when the
// operator is not about order.
func orderTest(op filter.Op) func(int) bool {
	switch op {
	case filter.Equal:
		return func(order int) bool { return order == 0 }
	case filter.NotEqual:
		return func(order int) bool { return order != 0 }
	case filter.Greater:
		return func(order int) bool { return order > 0 }
	case filter.GreaterOrEqual:
		return func(order int) bool { return order >= 0 }
	case filter.Less:
		return func(order int) bool { return order < 0 }
	case filter.LessOrEqual:
		return func(order int) bool { return order <= 0 }
	}
	return nil
}
