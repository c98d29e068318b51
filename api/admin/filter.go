package admin

import (
	"maps"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
)

// filterMax bounds a filter in bytes; it also has at most filter.MaxTerms
// comparisons and filter.MaxDepth levels. Forty comparisons with an id fit.
const filterMax = 2048

// restrict reads the filter of a request. All that can be wrong with it is found
// here, so that no object can make it fail.
func (s *search[T]) restrict(text string) error {
	if text == "" {
		return nil
	}
	if len(text) > filterMax {
		return directory.Invalid("filter", "longer than %d bytes", filterMax)
	}
	parsed, err := filter.Parse(text)
	if err != nil {
		return directory.Invalid("filter", "%s", err)
	}
	if s.filter, err = s.of.compile(parsed); err != nil {
		return err
	}
	if find, value, ok := s.of.narrow(parsed); ok && s.q == "" {
		s.candidates = func(yield func(T) bool) { find(value, yield) }
	}
	return nil
}

// compile makes a predicate of a filter. The parser bounds how deep it goes.
func (of *listing[T]) compile(e filter.Expr) (func(T) bool, error) {
	switch e := e.(type) {
	case filter.And:
		left, right, err := of.both(e.Left, e.Right)
		return func(item T) bool { return left(item) && right(item) }, err
	case filter.Or:
		left, right, err := of.both(e.Left, e.Right)
		return func(item T) bool { return left(item) || right(item) }, err
	case filter.Not:
		inner, err := of.compile(e.Expr)
		return func(item T) bool { return !inner(item) }, err
	case filter.Compare:
		return of.comparison(e)
	case filter.ValuePath:
		return nil, misplaced(e.Pos, "%s has no elements that a filter in brackets could choose from", e.Attr)
	}
	return nil, misplaced(0, "the filter is empty")
}

func (of *listing[T]) both(left, right filter.Expr) (l, r func(T) bool, err error) {
	if l, err = of.compile(left); err == nil {
		r, err = of.compile(right)
	}
	return l, r, err
}

// misplaced is an error that says where in the filter it is.
func misplaced(pos int, format string, args ...any) error {
	err := directory.Invalid("filter", format, args...)
	return directory.Invalid("filter", "%s at position %d", err.Message, pos)
}

func (of *listing[T]) comparison(c filter.Compare) (func(T) bool, error) {
	field, err := of.column(c.Attr, c.Pos)
	if err != nil {
		return nil, err
	}
	if c.Op == filter.Present || c.Value == nil && c.Op == filter.NotEqual {
		return field.present, nil
	}
	if c.Value == nil && c.Op == filter.Equal {
		return func(item T) bool { return !field.present(item) }, nil
	}
	holds, problem := field.test(c.Op, c.Value)
	if problem != "" {
		return nil, misplaced(c.Pos, "%s %s", c.Attr, problem)
	}
	return holds, nil
}

// column finds the field that an attribute names.
func (of *listing[T]) column(a filter.Attr, pos int) (column[T], error) {
	name := strings.ToLower(a.Name)
	if a.URN == "" && a.Sub != "" && of.inner != nil {
		if field, ok := of.inner(name, strings.ToLower(a.Sub)); ok {
			return field, nil
		}
	}
	if field, ok := of.columns[name]; ok && a.URN == "" && a.Sub == "" {
		return field, nil
	}
	fields := strings.Join(slices.Sorted(maps.Keys(of.columns)), ", ")
	return nil, directory.Invalid("filter", "%s at position %d is no field of a %s; these are: %s", a, pos, of.noun, fields)
}

// narrow finds an equality that every match has and that the state can answer.
func (of *listing[T]) narrow(e filter.Expr) (find lookup[T], value string, ok bool) {
	switch e := e.(type) {
	case filter.And:
		if find, value, ok = of.narrow(e.Left); ok {
			return find, value, ok
		}
		return of.narrow(e.Right)
	case filter.Compare:
		text, isText := e.Value.(string)
		find, known := of.exact[strings.ToLower(e.Attr.String())]
		return find, text, known && isText && e.Op == filter.Equal
	}
	return nil, "", false
}
