package rest

import (
	"errors"
	"iter"
)

// All are the items of every page, each page asked for when the one before is used up.
// page gives the items behind a cursor and the next cursor, empty on the last page. An
// error ends it.
func All[Item any](page func(cursor string) ([]Item, string, error)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var none Item
		for cursor := ""; ; {
			items, next, err := page(cursor)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == cursor {
				yield(none, errors.New("authfi: a page names itself as the next"))
				return
			}
			cursor = next
		}
	}
}
