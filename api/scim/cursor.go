package scim

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/authfi/authfi/api/scim/patch"
)

// cursorMax bounds a cursor in bytes: a sealed place.
const cursorMax = 1024

// A cursor is the place of the last resource that was shown, sealed for the list and
// for who was shown it. The next page begins behind that place in the state of its
// own time, so whatever is there all the while is shown once, whoever comes and goes
// in between, and a cursor has no age.

// purpose binds a cursor to organization, connection and list.
func (l *listing) purpose() string {
	q := l.query
	parts := []string{l.org.String(), l.caller.Actor.String(), strings.Join(l.kinds, "+"), q.text, q.sortBy, strconv.FormatBool(q.descending)}
	for i, part := range parts {
		parts[i] = strconv.Quote(part) // so that no two lists have one purpose
	}
	return "scim cursor of " + strings.Join(parts, " ")
}

func (l *listing) cursor(last place) (string, error) {
	plain, err := json.Marshal(sealedPlace{[]byte(last.Key), last.ID, l.total})
	if err != nil {
		return "", err
	}
	sealed, err := l.server.Ring.Seal(l.purpose(), plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// sealedPlace is a place in JSON, whose text cannot hold any byte, and how many
// resources the list had when it was last counted.
type sealedPlace struct {
	Key   []byte `json:"k,omitempty"`
	ID    string `json:"i"`
	Total int    `json:"n"`
}

// after opens the cursor of the query, and takes over the number that it carries; the
// zero place is before all others.
func (l *listing) after() (place, error) {
	text := l.query.cursor
	if text == "" {
		return place{}, nil
	}
	refused := &patch.Error{ScimType: invalidCursor, Detail: "cursor is not one of this list; begin with an empty one"}
	if len(text) > cursorMax {
		return place{}, refused
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return place{}, refused
	}
	plain, err := l.server.Ring.Open(l.purpose(), sealed)
	if err != nil {
		return place{}, refused
	}
	var p sealedPlace
	if err := json.Unmarshal(plain, &p); err != nil {
		return place{}, refused
	}
	l.total = p.Total
	return place{string(p.Key), p.ID}, nil
}
