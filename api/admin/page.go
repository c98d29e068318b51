package admin

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/keyring"
)

// Sizes of a page.
const (
	pageDefault = 50
	pageMax     = 1000 // an answer of 1,000 users stays around 500 KB
	// cursorMax has room for a sealed user name of 320 bytes, which may be half as
	// long again when it is folded. Most cursors are a tenth of that.
	cursorMax = 1024
)

// page is one request for a part of a list. Cursors are sealed, so that a
// client can neither read nor make one, and bound to the list that they came
// from and to who was shown it.
type page struct {
	ring    *keyring.Keyring
	purpose string
	limit   int
	after   []byte // the place of the last item already seen; empty at the start
}

// page reads limit and cursor; of is what the list depends on besides the
// operation.
func (c *call) page(limit int32, cursor string, of ...string) (*page, error) {
	p := &page{ring: c.api.Ring, purpose: "cursor " + string(c.op) + " of " + c.caller.Actor.String(), limit: int(limit)}
	for _, part := range of {
		p.purpose += " " + strconv.Quote(part) // so that no two lists have one purpose
	}
	switch {
	case limit == 0:
		p.limit = pageDefault
	case limit < 0 || limit > pageMax:
		return nil, directory.Invalid("limit", "must be 1 to %d", pageMax)
	}
	if cursor == "" {
		return p, nil
	}
	if len(cursor) > cursorMax {
		return nil, errCursor()
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, errCursor()
	}
	if p.after, err = p.ring.Open(p.purpose, sealed); err != nil {
		return nil, errCursor()
	}
	return p, nil
}

func errCursor() error { return directory.Invalid("cursor", "is not one of this list") }

func (p *page) cursor(last []byte) (string, error) {
	sealed, err := p.ring.Seal(p.purpose, last)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// afterID is the place in a list that is ordered by id.
func afterID[ID ~[16]byte](p *page) (id ID) {
	copy(id[:], p.after)
	return id
}

// collect takes one page of a walk in id order. walk may start before the page:
// what is not after it is passed over. The cursor is empty on the last page.
func collect[T any](p *page, walk func(yield func(T) bool), id func(T) [16]byte) (items []T, cursor string, err error) {
	return collectAt(p, walk, func(item T) []byte { place := id(item); return place[:] })
}

// collectAt is collect for a walk in the order of places that are not ids.
func collectAt[T any](p *page, walk func(yield func(T) bool), place func(T) []byte) (items []T, cursor string, err error) {
	more := false
	walk(func(item T) bool {
		if len(p.after) > 0 && bytes.Compare(place(item), p.after) <= 0 {
			return true
		}
		if more = len(items) == p.limit; more {
			return false
		}
		items = append(items, item)
		return true
	})
	if more {
		cursor, err = p.cursor(place(items[len(items)-1]))
	}
	return items, cursor, err
}

// count walks a list to its end; for lists that are bounded.
func count[T any](walk func(yield func(T) bool)) (n int) {
	walk(func(T) bool { n++; return true })
	return n
}

// collectIDs takes one page of ids that were asked for with one more than the
// limit.
func collectIDs[ID ~[16]byte](p *page, ids []ID) ([]ID, string, error) {
	return collect(p, func(yield func(ID) bool) {
		for _, id := range ids {
			if !yield(id) {
				return
			}
		}
	}, func(id ID) [16]byte { return id })
}
