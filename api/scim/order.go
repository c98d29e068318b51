package scim

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
)

// place is where a resource stands in a list: by the value that the list is sorted
// by, and then by id, so that no two have the same place and the order of equals
// never changes. Without sortBy the key is empty.
type place struct{ Key, ID string }

// compare is the order of a list.
func (q *query) compare(a, b place) int {
	order := cmp.Compare(a.Key, b.Key)
	if q.descending {
		order = -order
	}
	return cmp.Or(order, cmp.Compare(a.ID, b.ID))
}

// What a key begins with: a resource without the value comes last in ascending
// order and first in descending order (RFC 7644 section 3.4.2.3).
const (
	keyPresent = "0"
	keyMissing = "1"
)

// keyMax bounds a key in bytes, but not that of a user name, which has a bound of its
// own, and with it a cursor and what a sorted list holds.
// Values that differ only after it are in the order of their ids.
const keyMax = 256

// keyOf makes the value that a resource is sorted by into text of the same order.
func (q *query) keyOf(resource map[string]any, types filter.Types) string {
	if q.sortBy == "" {
		return ""
	}
	if name, ok := resource["userName"].(string); ok && attrName(q.sortPath) == "username" {
		return nameKey(name)
	}
	switch v := filter.Sorted(resource, q.sortPath, types).(type) {
	case nil:
		return keyMissing
	case bool:
		if v {
			return keyPresent + "1"
		}
		return keyPresent + "0"
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return keyMissing
		}
		return keyPresent + orderedFloat(f)
	case string:
		return keyPresent + textKey(v, types.CaseExact(q.sortPath.String()))
	}
	return keyMissing
}

// nameKey is whole, and its order that of the index of user names: a page of either has
// the same next one.
func nameKey(userName string) string { return keyPresent + directory.Fold(userName) }

func textKey(s string, exact bool) string {
	if t, ok := instant(s); ok {
		return t
	}
	if !exact {
		s = strings.ToLower(s)
	}
	return s[:min(len(s), keyMax)]
}

// instant writes a dateTime so that the order of the texts is that of the moments:
// in one zone, and with all digits of the second.
func instant(s string) (string, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[10] != 'T' && s[10] != 't' {
		return "", false
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z"), err == nil
}

// orderedFloat gives eight bytes in the order of the numbers: of negative ones all
// bits are turned around, of others the sign.
func orderedFloat(f float64) string {
	bits := math.Float64bits(f)
	if bits>>63 != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return string(binary.BigEndian.AppendUint64(nil, bits))
}

// best keeps the first places of a list of any length, with room for twice as many:
// a sorted page holds no more than the pages before it.
type best struct {
	query *query
	limit int
	kept  []place
}

func (b *best) add(p place) {
	if b.limit == 0 {
		return
	}
	if b.kept = append(b.kept, p); len(b.kept) >= 2*b.limit {
		b.trim()
	}
}

func (b *best) trim() {
	slices.SortFunc(b.kept, b.query.compare)
	b.kept = b.kept[:min(len(b.kept), b.limit)]
}
