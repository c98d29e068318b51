package admin

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/directory"
)

const (
	// listTimeMax bounds the one pass over all objects that a filter, or an order
	// that the state does not keep, costs: at 100,000 users a pass takes some tens
	// of milliseconds, so only a filter of many comparisons of long texts gets
	// there, or a node that has much else to do.
	listTimeMax = 5 * time.Second
	// checkEvery is how many objects are looked at between two looks at the clock.
	checkEvery = 256
)

// listRequest is a request for a list that can be searched, filtered and sorted.
type listRequest interface {
	GetOrgId() string
	GetLimit() int32
	GetCursor() string
	GetQ() string
	GetFilter() string
	GetSort() string
}

// listing is what the objects of one noun in one organization can be asked for,
// at one index.
type listing[T any] struct {
	noun    string
	total   int
	each    func(after [16]byte, yield func(T) bool) // in id order
	id      func(T) [16]byte
	find    func(q string, after [16]byte, limit int) (page []T, total int, more bool) // as state.Found
	columns map[string]column[T]                                                       // that a filter may name
	inner   func(field, name string) (column[T], bool)
	sorts   map[string]func(T) string // besides id: a key whose bytes are in order
	kept    map[string]orderedWalk[T] // sorts that the state keeps, in which no two objects have one key
	exact   map[string]lookup[T]      // equalities that the state can answer
}

// orderedWalk walks in one order or, descending, in the other, from behind a key;
// an empty key is before all.
type orderedWalk[T any] func(key string, descending bool, yield func(T) bool)

// lookup yields the objects whose field has exactly this value, and maybe others.
type lookup[T any] func(value string, yield func(T) bool)

// list answers a request for a part of a list: the page, how many objects the
// whole list has, and the cursor of the next page, which is empty on the last.
//
// The place of an object is its sort value and its id, and a cursor holds the
// place of the last one shown. So an object that stays as it is keeps its place,
// whatever is written between two pages: it is shown exactly once.
//
// A page costs what it shows where the state keeps the order; with q in the order
// of ids it costs what q finds. Everything else is one pass.
func list[T any](c *call, of *listing[T], r listRequest) (items []T, total int, cursor string, err error) {
	s, err := newSearch(of, r)
	if err != nil {
		return nil, 0, "", err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId(), r.GetQ(), r.GetFilter(), r.GetSort())
	if err != nil {
		return nil, 0, "", err
	}
	if walk, ok := s.inOrder(p); ok {
		items, cursor, err = s.take(p, walk)
		return items, of.total, cursor, err
	}
	if s.filter == nil && s.sort == sortID {
		return s.found(p)
	}
	return s.pass(c.ctx, p, time.Now().Add(listTimeMax))
}

// search is a request that has been understood.
type search[T any] struct {
	of         *listing[T]
	sort       string // with its hyphen
	field      string // without
	key        func(T) string
	descending bool
	q          string
	filter     func(T) bool             // nil: any
	candidates func(yield func(T) bool) // a part of the list that holds all that match
}

const sortID = "id"

func newSearch[T any](of *listing[T], r listRequest) (*search[T], error) {
	s := &search[T]{of: of, q: r.GetQ()}
	if err := s.orderBy(r.GetSort()); err != nil {
		return nil, err
	}
	if err := directory.CheckText("q", s.q, directory.NameMax, false); err != nil {
		return nil, err
	}
	s.candidates = func(yield func(T) bool) { of.each([16]byte{}, yield) }
	if s.q != "" {
		s.candidates = s.eachFound
	}
	return s, s.restrict(r.GetFilter())
}

// eachFound yields all that q finds. The state counts to a bound, but a page of
// it holds as many as are asked for.
func (s *search[T]) eachFound(yield func(T) bool) {
	all, _, _ := s.of.find(s.q, [16]byte{}, s.of.total)
	for _, item := range all {
		if !yield(item) {
			return
		}
	}
}

// orderBy reads the name of an order. The order of ids needs no key.
func (s *search[T]) orderBy(name string) error {
	s.sort = name
	if name == "" {
		s.sort = sortID
	}
	s.field, s.descending = strings.CutPrefix(s.sort, "-")
	switch key, ok := s.of.sorts[s.field]; {
	case ok:
		s.key = key
	case s.field != sortID:
		names := append([]string{sortID}, slices.Sorted(maps.Keys(s.of.sorts))...)
		return directory.Invalid("sort", "must be one of %s, with a hyphen before it for the other direction", strings.Join(names, ", "))
	case s.descending:
		s.key = func(item T) string { id := s.of.id(item); return string(id[:]) }
	default:
		s.key = func(T) string { return "" }
	}
	return nil
}

// inOrder is the walk behind the cursor, if the state keeps what is asked for in
// the order that is asked for.
func (s *search[T]) inOrder(p *page) (walk func(yield func(T) bool), ok bool) {
	if s.q != "" || s.filter != nil {
		return nil, false
	}
	after, _ := s.placeIn(p.after)
	if s.sort == sortID {
		return func(yield func(T) bool) { s.of.each(after.id, yield) }, true
	}
	kept, ok := s.of.kept[s.field]
	return func(yield func(T) bool) { kept(after.key, s.descending, yield) }, ok
}

// take is the page at the start of a walk.
func (s *search[T]) take(p *page, walk func(yield func(T) bool)) (items []T, cursor string, err error) {
	more := false
	walk(func(item T) bool {
		if more = len(items) == p.limit; !more {
			items = append(items, item)
		}
		return !more
	})
	if more {
		cursor, err = s.cursor(p, s.placeOf(items[len(items)-1]))
	}
	return items, cursor, err
}

// found is a page of what q finds, in the order of ids.
func (s *search[T]) found(p *page) (items []T, total int, cursor string, err error) {
	after, _ := s.placeIn(p.after)
	page, total, more := s.of.find(s.q, after.id, p.limit+1)
	if more {
		total = count(s.eachFound)
	}
	items, cursor, err = s.take(p, func(yield func(T) bool) {
		for _, item := range page {
			if !yield(item) {
				return
			}
		}
	})
	return items, total, cursor, err
}

// place is where an object stands in a list.
type place[T any] struct {
	key  string
	id   [16]byte
	item T
}

func (s *search[T]) placeOf(item T) place[T] { return place[T]{s.key(item), s.of.id(item), item} }

// compare puts places in the order of the list. Objects of one sort value are in
// id order in both directions.
func (s *search[T]) compare(a, b place[T]) int {
	order := strings.Compare(a.key, b.key)
	if s.descending {
		order = -order
	}
	if order == 0 {
		order = slices.Compare(a.id[:], b.id[:])
	}
	return order
}

// pass looks at every candidate once, counts what matches and keeps the page.
func (s *search[T]) pass(ctx context.Context, p *page, deadline time.Time) (items []T, total int, cursor string, err error) {
	first := &worstFirst[T]{compare: s.compare}
	after, begun := s.placeIn(p.after)
	seen, left := 0, 0 // left: how many stand behind the cursor
	s.candidates(func(item T) bool {
		if seen++; seen%checkEvery == 0 {
			if err = mayGoOn(ctx, deadline); err != nil {
				return false
			}
		}
		if s.filter != nil && !s.filter(item) {
			return true
		}
		total++
		if at := s.placeOf(item); !begun || s.compare(after, at) < 0 {
			left++
			first.offer(at, p.limit)
		}
		return true
	})
	if err != nil {
		return nil, 0, "", err
	}
	slices.SortFunc(first.places, s.compare)
	items = convert(first.places, func(at place[T]) T { return at.item })
	if left > len(items) {
		cursor, err = s.cursor(p, first.places[len(items)-1])
	}
	return items, total, cursor, err
}

func (s *search[T]) cursor(p *page, last place[T]) (string, error) {
	return p.cursor(append([]byte(last.key), last.id[:]...))
}

// placeIn reads the place that a cursor holds; false at the start of the list.
func (s *search[T]) placeIn(cursor []byte) (at place[T], begun bool) {
	if len(cursor) < len(at.id) {
		return at, false
	}
	key := cursor[:len(cursor)-len(at.id)]
	copy(at.id[:], cursor[len(key):])
	at.key = string(key)
	return at, true
}

func mayGoOn(ctx context.Context, deadline time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(deadline) {
		return directory.Exhausted("filter", "the list takes longer than %v; a narrower filter or another order may not", listTimeMax)
	}
	return nil
}

// worstFirst is a heap of the best places so far, the last of them on top.
type worstFirst[T any] struct {
	places  []place[T]
	compare func(a, b place[T]) int
}

// Len and its siblings implement heap.Interface; Push and Pop are not used.
func (w *worstFirst[T]) Len() int           { return len(w.places) }
func (w *worstFirst[T]) Less(i, j int) bool { return w.compare(w.places[i], w.places[j]) > 0 }
func (w *worstFirst[T]) Swap(i, j int)      { w.places[i], w.places[j] = w.places[j], w.places[i] }
func (w *worstFirst[T]) Push(any)           {}
func (w *worstFirst[T]) Pop() any           { return nil }

// offer keeps a place if it is among the first limit.
func (w *worstFirst[T]) offer(at place[T], limit int) {
	if len(w.places) < limit {
		w.places = append(w.places, at)
		heap.Fix(w, len(w.places)-1)
	} else if w.compare(at, w.places[0]) < 0 {
		w.places[0] = at
		heap.Fix(w, 0)
	}
}
