package admin

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/keyring"
)

// numbers is a listing of the numbers below n, of which a question counts at most
// half.
func numbers(n int) *listing[int] {
	id := func(i int) (id [16]byte) { binary.BigEndian.PutUint64(id[8:], uint64(i)+1); return id }
	return &listing[int]{
		noun: "number", total: n, id: id,
		each: func(after [16]byte, yield func(int) bool) {
			for i := range n {
				if at := id(i); slices.Compare(at[:], after[:]) > 0 && !yield(i) {
					return
				}
			}
		},
		find: func(_ string, after [16]byte, limit int) (page []int, total int, more bool) {
			for i := range n {
				if at := id(i); slices.Compare(at[:], after[:]) > 0 && len(page) < limit {
					page = append(page, i)
				}
			}
			return page, n / 2, true
		},
		sorts: map[string]func(int) string{"size": func(i int) string { return string(rune('a' + i%26)) }},
	}
}

type asking struct {
	listRequest
	q, sort string
}

func (r asking) GetQ() string      { return r.q }
func (r asking) GetSort() string   { return r.sort }
func (r asking) GetFilter() string { return "" }

func firstPage(t *testing.T, limit int) *page {
	t.Helper()
	ring, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return &page{ring: ring, purpose: "test", limit: limit}
}

// A state that has stopped counting does not make a total that is too small.
func TestTotalIsCompleteBeyondWhatTheStateCounts(t *testing.T) {
	s, err := newSearch(numbers(1000), asking{q: "x"})
	if err != nil {
		t.Fatal(err)
	}
	items, total, cursor, err := s.found(firstPage(t, 7))
	if len(items) != 7 || total != 1000 || cursor == "" || err != nil {
		t.Errorf("%d items of %d, cursor %q, %v", len(items), total, cursor, err)
	}
}

// A pass ends at its deadline and when nobody waits for it any more, after the
// objects of one look at the clock and not before.
func TestPassEnds(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		what     string
		objects  int
		ctx      context.Context
		deadline time.Time
		ends     func(error) bool
	}{
		{"in time", checkEvery, t.Context(), time.Now().Add(time.Hour), func(err error) bool { return err == nil }},
		{"before it looks at the clock", checkEvery - 1, t.Context(), time.Now(), func(err error) bool { return err == nil }},
		{"at the deadline", checkEvery, t.Context(), time.Now(), func(err error) bool { return directory.KindOf(err) == directory.KindExhausted }},
		{"when the caller has gone", checkEvery, gone, time.Now().Add(time.Hour), func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		s, err := newSearch(numbers(row.objects), asking{sort: "size"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := s.pass(row.ctx, firstPage(t, 1), row.deadline); !row.ends(err) {
			t.Errorf("%s: %v", row.what, err)
		}
	}
}
