package scim

import (
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// compared are the attributes that a query looks at: those of its filter and the one
// that it is sorted by. Of a user that is compared only these are read: to read all
// of 100,000 users takes ten times as long.
type compared struct {
	names      map[string]bool // of the core, in lower case
	stored     bool            // there are some that only the stored attributes have
	extensions bool            // one of an extension is asked for by its URN
	version    bool            // of meta, which follows from more than the user
}

// typed are what needs no look into the stored attributes of a user.
var typed = map[string]bool{
	"id": true, "username": true, "externalid": true, "displayname": true, "active": true, "meta": true, "groups": true,
}

func (q *query) compared() *compared {
	c := &compared{names: map[string]bool{}}
	if q.sortBy != "" {
		c.add(q.sortPath)
	}
	c.addAll(q.filter)
	return c
}

func (c *compared) addAll(e filter.Expr) {
	switch e := e.(type) {
	case filter.And:
		c.addAll(e.Left)
		c.addAll(e.Right)
	case filter.Or:
		c.addAll(e.Left)
		c.addAll(e.Right)
	case filter.Not:
		c.addAll(e.Expr)
	case filter.ValuePath:
		c.add(e.Attr)
	case filter.Compare:
		c.add(e.Attr)
	}
}

func (c *compared) add(a filter.Attr) {
	name := attrName(filter.Attr{URN: a.URN, Name: a.Name})
	if isURN(name) {
		c.extensions = true
	} else {
		c.names[name] = true
		c.version = c.version || name == "meta" && (a.Sub == "" || strings.EqualFold(a.Sub, "version"))
		c.stored = c.stored || !typed[name]
	}
}

func isURN(name string) bool { return strings.HasPrefix(strings.ToLower(name), "urn:") }

// comparableUser is the part of a user in which a filter and an order find what they
// would find in the whole.
func (r *request) comparableUser(view *state.Org, u *directory.User, c *compared) (map[string]any, error) {
	if c.names["schemas"] { // follows from all the others
		return r.userResource(view, u, true)
	}
	part, err := r.userPart(view, u, c)
	if err != nil || c.extensions {
		return part, err
	}
	for name := range c.names {
		if !holds(part, name) && !patch.User.Has(name) { // a filter looks in the extensions for what the core lacks
			return r.userPart(view, u, &compared{names: c.names, extensions: true})
		}
	}
	return part, nil
}

func holds(object map[string]any, name string) bool {
	for key := range object {
		if strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

func (r *request) userPart(view *state.Org, u *directory.User, c *compared) (map[string]any, error) {
	part, err := typedAttributes(u), error(nil)
	if c.stored || c.extensions {
		part, err = attributesOf(view.Schema(), u, func(key string) bool { return c.names[strings.ToLower(key)] || c.extensions && isURN(key) })
	}
	if err != nil {
		return nil, err
	}
	part["id"] = u.ID.String()
	if c.names["meta"] {
		tag := ""
		if c.version {
			tag = r.userTag(view, u)
		}
		part["meta"] = r.meta("User", u.ID.String(), u.Created, u.Modified, tag)
	}
	if c.names["groups"] {
		r.addGroups(part, view, u)
	}
	r.manager(part)
	return part, nil
}

// eachMember walks the members of one JSON object, whose values stay as they are
// written. It is false for what is no well-formed object.
func eachMember(object []byte, yield func(key, value []byte) error) (wellFormed bool, err error) {
	rest, ok := after(object, '{')
	if !ok {
		return false, nil
	}
	if _, ok := after(rest, '}'); ok {
		return true, nil
	}
	for {
		key, behind := value(rest)
		behind, ok := after(behind, ':')
		if !ok || len(key) < 2 || key[0] != '"' {
			return false, nil
		}
		v, behind := value(behind)
		if len(v) == 0 {
			return false, nil
		}
		if err := yield(key, v); err != nil {
			return false, err
		}
		if rest, ok = after(behind, ','); !ok {
			_, ok = after(behind, '}')
			return ok, nil
		}
	}
}

func space(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\n' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}

func after(text []byte, mark byte) ([]byte, bool) {
	text = space(text)
	if len(text) == 0 || text[0] != mark {
		return text, false
	}
	return text[1:], true
}

// value cuts one value off a text: up to the comma, colon or bracket that ends it.
func value(text []byte) (v, rest []byte) {
	text = space(text)
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']' || c == ',' || c == ':') && depth == 0:
			return text[:i], text[i:]
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil, nil
}
