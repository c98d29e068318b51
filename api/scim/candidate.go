package scim

import (
	"bytes"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// look gives the ids of those for whom a comparison of an attribute, by its lower-case
// name, with a text can hold. It is false where no index knows.
type look[ID ~[16]byte] func(attribute string, op filter.Op, text string) (ids []ID, ok bool)

// narrowed gives the ids of those for whom a filter can hold, in order and each once.
// It is false where the filter has to be held against all. The filter is evaluated on
// whoever is found, so that an index may give too many.
func narrowed[ID ~[16]byte](e filter.Expr, find look[ID]) (ids []ID, ok bool) {
	ids, ok = find.narrow(e, "")
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids), ok
}

// narrow is what narrowed gives of a part of a filter; within names the attribute whose
// elements the part is about.
func (find look[ID]) narrow(e filter.Expr, within string) (ids []ID, ok bool) {
	switch e := e.(type) {
	case filter.And:
		left, ok := find.narrow(e.Left, within)
		right, also := find.narrow(e.Right, within)
		if !ok || also && len(right) < len(left) {
			return right, also
		}
		return left, ok
	case filter.Or:
		left, ok := find.narrow(e.Left, within)
		if !ok {
			return nil, false
		}
		right, ok := find.narrow(e.Right, within)
		return append(left, right...), ok
	case filter.ValuePath:
		return find.narrow(e.Filter, attrName(e.Attr)+".")
	case filter.Compare:
		text, isText := e.Value.(string)
		if !isText || text == "" || e.Op != filter.Equal && e.Op != filter.StartsWith {
			return nil, false
		}
		return find(within+attrName(e.Attr), e.Op, text)
	}
	return nil, false
}

func attrName(a filter.Attr) string { return coreName(strings.ToLower(a.String())) }

// usersBy asks the indexes of users. Whoever is asked for by a text that is no id of a
// user is nobody.
func usersBy(view *state.Org) look[directory.UserID] {
	return func(attribute string, op filter.Op, text string) ([]directory.UserID, bool) {
		begins := op == filter.StartsWith
		switch attribute {
		case "id":
			id, err := directory.ParseUserID(text)
			if err != nil {
				return nil, !begins
			}
			return []directory.UserID{id}, !begins
		case "username":
			return view.UsersByName(text, begins), true
		case "externalid":
			return view.UsersByExternalID(text, begins), true
		case "emails", "emails.value":
			return view.UsersByAddress(text, begins), true
		case "displayname", "name.givenname", "name.familyname":
			return view.UsersByWord(text)
		}
		return nil, false
	}
}

// groupAttributes are those that a group has. By any other no group is found.
var groupAttributes = map[string]bool{"id": true, "externalid": true, "displayname": true, "members": true, "meta": true, "schemas": true}

// groupsBy asks the indexes of groups.
func groupsBy(view *state.Org) look[directory.GroupID] {
	return func(attribute string, op filter.Op, text string) (ids []directory.GroupID, ok bool) {
		add := func(g *directory.Group) bool { ids = append(ids, g.ID); return true }
		first, _, _ := strings.Cut(attribute, ".")
		switch {
		case !groupAttributes[first]:
			return nil, true
		case op != filter.Equal:
			return nil, false
		case attribute == "id":
			if id, err := directory.ParseGroupID(text); err == nil {
				ids = append(ids, id)
			}
			return ids, true
		case attribute == "displayname":
			view.EachGroupNamed(text, add)
			return ids, true
		case attribute == "externalid":
			view.EachGroupByExternalID(text, add)
			return ids, true
		}
		return nil, false
	}
}

// eachCandidateUser yields every user that the connection sees and that can match, from
// the narrowest index.
func (l *listing) eachCandidateUser(after directory.UserID, yield func(*directory.User) bool) {
	ids, ok := narrowed(l.query.filter, usersBy(l.view))
	if !ok {
		l.sees.eachUser(l.view, after, yield)
		return
	}
	for _, id := range ids {
		if u, ok := l.sees.userOf(l.view, id); ok && !yield(u) {
			return
		}
	}
}

// eachCandidateGroup yields every group that the connection sees and that can match.
func (l *listing) eachCandidateGroup(after directory.GroupID, yield func(*directory.Group) bool) {
	ids, ok := narrowed(l.query.filter, groupsBy(l.view))
	if !ok {
		l.sees.eachGroup(l.view, after, yield)
		return
	}
	for _, id := range ids {
		if g, ok := l.sees.groupOf(l.view, id); ok && !yield(g) {
			return
		}
	}
}

// addMembers gives a group the members that the query has to see: of equalities only
// those they name, which costs the same for a group of any size, and for an order
// all.
func (c *candidate) addMembers(group map[string]any) {
	if !c.compared.names["members"] {
		return
	}
	permissions, g := c.view.Permissions(), c.group.ID
	named, all := namedMembers(c.query.filter)
	if all || strings.EqualFold(c.query.sortPath.Name, "members") {
		if members := c.membersOf(c.view, g); len(members) > 0 {
			group["members"] = members
			c.seen += len(members)
		}
		return
	}
	var members []any
	asked := membersFrom(named)
	for _, u := range asked.users {
		if permissions.IsMember(g, u) && c.sees.hasUser(c.view, u) {
			members = append(members, c.member("User", u.String()))
		}
	}
	for _, nested := range asked.groups {
		if slices.Contains(permissions.Parents(nested), g) && c.sees.hasGroup(c.view, nested) {
			members = append(members, c.member("Group", nested.String()))
		}
	}
	if len(members) > 0 {
		group["members"] = members
	}
}

// namedMembers lists the members that a filter compares with; all is set when
// it asks anything else of them.
func namedMembers(e filter.Expr) (named []string, all bool) {
	switch e := e.(type) {
	case filter.And:
		return bothMembers(e.Left, e.Right)
	case filter.Or:
		return bothMembers(e.Left, e.Right)
	case filter.Not:
		return namedMembers(e.Expr)
	case filter.ValuePath:
		if attrName(e.Attr) != "members" {
			return nil, false
		}
		if c, ok := e.Filter.(filter.Compare); ok && attrName(c.Attr) == "value" {
			return equalMember(c)
		}
		return nil, true
	case filter.Compare:
		switch name := attrName(e.Attr); {
		case name == "members" || name == "members.value":
			return equalMember(e)
		case strings.HasPrefix(name, "members."):
			return nil, true
		}
	}
	return nil, false
}

func bothMembers(left, right filter.Expr) ([]string, bool) {
	a, all := namedMembers(left)
	b, also := namedMembers(right)
	return append(a, b...), all || also
}

func equalMember(c filter.Compare) ([]string, bool) {
	value, ok := c.Value.(string)
	if c.Op != filter.Equal || !ok {
		return nil, true
	}
	return []string{value}, false
}
