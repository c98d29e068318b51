package state

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/authfi/authfi/directory"
)

// Bounds of finding by prefix. The words of a user's names are a row each in
// memory: a word is cut where it has told people apart, and a name that is a whole
// sentence has only so many.
const (
	WordsPerUserMax = 32
	wordMax         = 24 // bytes; a longer word of a question is compared with the record
	// FoundMax bounds what one question counts: 50,000 matches are some
	// milliseconds. Beyond, the page is still right and the total a lower bound.
	FoundMax = 50_000
)

// Found is a page of what a question by prefix found, in id order.
type Found[T any] struct {
	Page  []*T
	Total int  // of all matches, on whatever page
	More  bool // there are more than Total, which stopped counting
}

// FindUsers finds users whose user name, e-mail address or a word of whose display,
// given or family name begins with text, without regard to case. Of a text of
// several words each must begin one of these, or the whole text the user name or
// the e-mail address. The page has at most limit users after the given id.
func (r *rows) FindUsers(text string, after directory.UserID, limit int) Found[directory.User] {
	q := question(text)
	if len(q.words) == 0 {
		return all(after, limit, r.Users(), r.EachUser)
	}
	s := search[directory.UserID]{after: after, limit: limit}
	matches := func(id directory.UserID) bool { return true }
	if q.more {
		matches = func(id directory.UserID) bool { u, ok := r.User(id); return ok && q.matches(u) }
	}
	for _, table := range []byte{derivedUserName, derivedUserEmail, derivedUserWord} {
		r.eachNamed(table, q.key, func(id directory.UserID) {
			if matches(id) {
				s.add(id)
			}
		})
		if len(q.words) > 1 && table != derivedUserWord {
			r.eachNamed(table, q.text, s.add)
		}
	}
	return found(&s, r.User)
}

// FindGroups finds groups by how their name begins, without regard to case.
func (r *rows) FindGroups(text string, after directory.GroupID, limit int) Found[directory.Group] {
	if text == "" {
		return all(after, limit, r.Groups(), r.EachGroup)
	}
	s := search[directory.GroupID]{after: after, limit: limit}
	r.scan(textKey(derivedGroupName, directory.Fold(text)), "", func(_ string, v any) bool { s.add(v.(directory.GroupID)); return true })
	r.scan(textKey(derivedGroupNamed, directory.Fold(text)), "", func(key string, _ any) bool { s.add(idAtEnd[directory.GroupID](key)); return true })
	return found(&s, r.Group)
}

// FindRoles finds roles by how their name begins, without regard to case.
func (r *rows) FindRoles(text string, after directory.RoleID, limit int) Found[directory.Role] {
	s := search[directory.RoleID]{after: after, limit: limit}
	r.scan(textKey(derivedRoleName, directory.Fold(text)), "", func(_ string, v any) bool { s.add(v.(directory.RoleID)); return true })
	return found(&s, r.Role)
}

// EachUserByName and its siblings walk in the order of the folded names, from the
// one after from, or before it when descending; an empty from is the end.
func (r *rows) EachUserByName(from string, descending bool, yield func(*directory.User) bool) {
	byName(r, derivedUserName, from, descending, r.User, yield)
}
func (r *rows) EachGroupByName(from string, descending bool, yield func(*directory.Group) bool) {
	byName(r, derivedGroupName, from, descending, r.Group, yield)
}
func (r *rows) EachRoleByName(from string, descending bool, yield func(*directory.Role) bool) {
	byName(r, derivedRoleName, from, descending, r.Role, yield)
}

func byName[ID ~[16]byte, T any](r *rows, table byte, from string, descending bool, get func(ID) (*T, bool), yield func(*T) bool) {
	pivot := textKey(table, directory.Fold(from))
	visit := func(key string, v any) bool {
		switch {
		case key[0] != table:
			return key[0] > table // a table that a descent passes on its way
		case key == pivot:
			return true
		}
		record, ok := get(v.(ID))
		return !ok || yield(record)
	}
	switch {
	case !descending:
		r.tree.Ascend(pivot, func(key string, v any) bool { return key[0] == table && visit(key, v) })
	case from == "":
		r.tree.Descend(string(rune(table+1)), visit)
	default:
		r.tree.Descend(pivot, visit)
	}
}

// query is a text that somebody looks for.
type query struct {
	text  string
	words []string
	key   string // how the rows of its longest word begin
	more  bool   // the key does not tell all
}

func question(text string) (q query) {
	q.text = strings.TrimSpace(directory.Fold(text))
	q.words = strings.Fields(q.text)
	if len(q.words) == 0 {
		return q
	}
	longest := slices.MaxFunc(q.words, func(a, b string) int { return len(a) - len(b) })
	q.key = cutWord(longest)
	q.more = len(q.words) > 1 || q.key != longest
	return q
}

// matches reports whether each word begins something of the user.
func (q *query) matches(u *directory.User) bool {
	return !slices.ContainsFunc(q.words, func(word string) bool { return !begins(u, word) })
}

func begins(u *directory.User, word string) bool {
	if strings.HasPrefix(directory.Fold(u.UserName), word) || strings.HasPrefix(directory.Fold(u.Email), word) {
		return true
	}
	for _, name := range namesOf(u) {
		for rest := range wordStarts(directory.Fold(name)) {
			if strings.HasPrefix(rest, word) {
				return true
			}
		}
	}
	return false
}

func namesOf(u *directory.User) [3]string { return [3]string{u.FamilyName, u.GivenName, u.DisplayName} }

// wordStarts yields the rest of a name from each beginning of a word: after a
// space, and after whatever is no letter and no digit, so that Smith is found in
// Jones-Smith.
func wordStarts(name string) func(yield func(rest string) bool) {
	return func(yield func(rest string) bool) {
		previous := ' '
		for i, c := range name {
			if !unicode.IsSpace(c) && (unicode.IsSpace(previous) || inWord(c) && !inWord(previous)) && !yield(name[i:]) {
				return
			}
			previous = c
		}
	}
}

func inWord(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) || unicode.IsMark(c) }

// cutWord is the first word of a text, at most wordMax bytes of it.
func cutWord(text string) string {
	if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
		text = text[:i]
	}
	if len(text) <= wordMax {
		return text
	}
	end := wordMax
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// wordsOf are the words by which a user is found besides the user name and the
// e-mail address, sorted: none of them begins another one or one of these. There may be
// more, which are left out.
func wordsOf(u *directory.User) (words []string, leftOut bool) {
	for _, name := range namesOf(u) {
		for rest := range wordStarts(directory.Fold(name)) {
			word := cutWord(rest)
			switch {
			case slices.Contains(words, word):
			case len(words) < WordsPerUserMax:
				words = append(words, word)
			default:
				leftOut = true
			}
		}
	}
	slices.Sort(words)
	userName, email := directory.Fold(u.UserName), directory.Fold(u.Email)
	kept := words[:0]
	for i, word := range words {
		begins := i+1 < len(words) && strings.HasPrefix(words[i+1], word)
		if !begins && !strings.HasPrefix(userName, word) && !strings.HasPrefix(email, word) {
			kept = append(kept, word)
		}
	}
	return kept, leftOut
}

// eachNamed yields the ids of the users whose rows in a table of texts begin with
// the key.
func (r *rows) eachNamed(table byte, key string, yield func(directory.UserID)) {
	r.scan(textKey(table, key), "", func(key string, v any) bool {
		if id, ok := v.(directory.UserID); ok {
			yield(id)
		} else {
			yield(idAtEnd[directory.UserID](key))
		}
		return true
	})
}

// search collects ids, which may repeat, in any order.
type search[ID ~[16]byte] struct {
	after ID
	limit int
	seen  []ID // the first FoundMax
	more  bool
	page  []ID // candidates: the page is among them
	last  ID   // of a full page: larger ids are not on it
}

func (s *search[ID]) add(id ID) {
	if len(s.seen) < FoundMax {
		s.seen = append(s.seen, id)
	} else {
		s.more = true
	}
	if s.limit <= 0 || compareIDs(id, s.after) <= 0 || s.last != *new(ID) && compareIDs(id, s.last) >= 0 {
		return
	}
	if s.page = append(s.page, id); len(s.page) >= 4*s.limit {
		s.shrink()
	}
}

func (s *search[ID]) shrink() {
	if s.page = unique(s.page); s.limit > 0 && len(s.page) >= s.limit {
		s.page = s.page[:s.limit]
		s.last = s.page[s.limit-1]
	}
}

func unique[ID ~[16]byte](ids []ID) []ID {
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids)
}

// compareIDs orders by bytes, as two numbers: half the time of a comparison of
// slices, and sorting is half of a question.
func compareIDs[ID ~[16]byte](a, b ID) int {
	left, right := [16]byte(a), [16]byte(b)
	if c := cmp.Compare(binary.BigEndian.Uint64(left[:8]), binary.BigEndian.Uint64(right[:8])); c != 0 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(left[8:]), binary.BigEndian.Uint64(right[8:]))
}

func found[ID ~[16]byte, T any](s *search[ID], get func(ID) (*T, bool)) (f Found[T]) {
	s.shrink()
	for _, id := range s.page {
		if record, ok := get(id); ok {
			f.Page = append(f.Page, record)
		}
	}
	f.Total, f.More = len(unique(s.seen)), s.more
	return f
}

// all is what is found by no text.
func all[ID ~[16]byte, T any](after ID, limit, total int, each func(ID, func(*T) bool)) (f Found[T]) {
	f.Total = total
	if limit > 0 {
		each(after, func(record *T) bool { f.Page = append(f.Page, record); return len(f.Page) < limit })
	}
	return f
}
