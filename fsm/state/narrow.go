package state

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/authfi/authfi/directory"
)

// What follows narrows down whom a filter can mean: every user for whom it holds is
// among the answer, in any order and perhaps twice, and others may be. Texts compare
// without case, except external ids. By begins it is asked for how a text begins, and
// without for all of it; a text of nothing narrows nothing down, and is not asked for.

// UsersByName narrows down by user name.
func (r *rows) UsersByName(text string, begins bool) (ids []directory.UserID) {
	r.eachOf(derivedUserName, directory.Fold(text), begins, func(id directory.UserID) { ids = append(ids, id) })
	return ids
}

// UsersByExternalID narrows down by external id.
func (r *rows) UsersByExternalID(text string, begins bool) (ids []directory.UserID) {
	r.eachOf(derivedUserExtern, text, begins, func(id directory.UserID) { ids = append(ids, id) })
	return ids
}

// UsersByAddress narrows down by any of the e-mail addresses of a user.
func (r *rows) UsersByAddress(text string, begins bool) (ids []directory.UserID) {
	folded := directory.Fold(text)
	// An address that is the user name has no row of its own.
	for _, table := range []byte{derivedUserName, derivedUserEmail, derivedUserAddress} {
		r.eachOf(table, folded, begins, func(id directory.UserID) { ids = append(ids, id) })
	}
	r.eachNamed(derivedManyAddresses, "", func(id directory.UserID) { ids = append(ids, id) })
	return ids
}

// UsersByWord narrows down by how the display, given or family name begins. It is
// false where the text has no word.
func (r *rows) UsersByWord(text string) (ids []directory.UserID, ok bool) {
	key := cutWord(strings.TrimLeftFunc(directory.Fold(text), unicode.IsSpace))
	if key == "" {
		return nil, false
	}
	add := func(id directory.UserID) { ids = append(ids, id) }
	for _, table := range []byte{derivedUserName, derivedUserEmail, derivedUserWord} { // a word has a row in the first that knows it
		r.eachOf(table, key, true, add)
	}
	r.eachNamed(derivedManyWords, "", add)
	return ids, true
}

// eachOf yields the users whose row in a table of texts is, or begins with, the text.
func (r *rows) eachOf(table byte, text string, begins bool, yield func(directory.UserID)) {
	switch {
	case begins:
		r.eachNamed(table, text, yield)
	case table == derivedUserName:
		if id, ok := r.tree.Get(textKey(table, text)); ok {
			yield(id.(directory.UserID))
		}
	default:
		r.eachNamed(table, text+"\x00", yield)
	}
}

// AddressesPerUserMax bounds the rows of a user's further addresses: providers send two
// or three, and the attributes have room for thousands. Who has more is looked at
// whatever address is asked for, and so is who has one longer than any address.
const AddressesPerUserMax = 16

// furtherAddresses are the folded e-mail addresses in the attributes of a user that are
// not the one in the record: a provider sends several, and looks for any. Of one address
// nothing is read, for it is that of the record, or shows as it. There may be more,
// which are left out.
func furtherAddresses(u *directory.User) (addresses []string, leftOut bool) {
	list, several := emailsIn(u.Attributes)
	if !several {
		return nil, false
	}
	var elements []any
	if json.Unmarshal(list, &elements) != nil {
		return nil, false
	}
	own := directory.Fold(u.Email)
	for _, element := range elements {
		if object, ok := element.(map[string]any); ok {
			element = object["value"]
		}
		text, _ := element.(string)
		text = directory.Fold(text)
		switch {
		case text == "" || text == own || slices.Contains(addresses, text):
		case len(addresses) < AddressesPerUserMax && len(text) <= directory.IdentifierMax:
			addresses = append(addresses, text)
		default:
			leftOut = true
		}
	}
	return addresses, leftOut
}

// emailsIn cuts the list of e-mail addresses out of the JSON of a user's
// attributes, and tells whether it has several elements. Every change of a user and
// every load reads this, so that it costs a look at each byte and no more.
func emailsIn(attributes []byte) (list []byte, several bool) {
	depth, begin := 0, -1
	for i := 0; i < len(attributes); i++ {
		switch attributes[i] {
		case '"':
			if depth == 1 && begin < 0 {
				begin = listOf(attributes, i, `"emails"`)
			}
			for i++; i < len(attributes) && attributes[i] != '"'; i++ {
				if attributes[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case ',':
			several = several || begin >= 0 && depth == 2
		case '}', ']':
			if depth--; begin >= 0 && depth == 1 {
				return attributes[begin : i+1], several
			}
		}
	}
	return nil, false
}

// listOf is where the list begins whose key stands at i; -1 if it is another key, or no
// list.
func listOf(object []byte, i int, key string) int {
	rest, ok := bytes.CutPrefix(object[i:], []byte(key))
	if !ok {
		return -1
	}
	if rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(":")); !ok {
		return -1
	}
	if rest = bytes.TrimLeft(rest, " \t\r\n"); len(rest) == 0 || rest[0] != '[' {
		return -1
	}
	return len(object) - len(rest)
}
