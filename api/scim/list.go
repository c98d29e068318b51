package scim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

const (
	listURN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	// countDefault is the page size of Okta's imports.
	countDefault = 100
	// countMax bounds an answer: 1000 users are about 2 MB.
	countMax = 1000
	// checkEvery is how many resources are compared between two looks at the
	// deadline.
	checkEvery = 256
)

// page collects the resources of one page and counts all.
type page struct {
	filter       filter.Expr // nil: everything
	start, count int
	total        int
	resources    []any
}

func (r *request) parsePage() (*page, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	p := &page{resources: []any{}}
	if p.start, err = number(q.Get("startIndex"), "startIndex", 1); err != nil {
		return nil, err
	}
	if p.count, err = number(q.Get("count"), "count", countDefault); err != nil {
		return nil, err
	}
	p.start, p.count = max(p.start, 1), min(max(p.count, 0), countMax)
	if q.Has("filter") {
		p.filter, err = filter.Parse(q.Get("filter"))
	}
	return p, err
}

func number(text, name string, otherwise int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &patch.Error{ScimType: patch.InvalidValue, Detail: name + " must be an integer"}
	}
	return n, nil
}

// next counts one resource and tells whether it is on the page.
func (p *page) next() bool {
	p.total++
	return p.total >= p.start && p.total-p.start < p.count
}

func (r *request) writePage(p *page) error {
	return r.write(http.StatusOK, map[string]any{
		"schemas":      []string{listURN},
		"totalResults": p.total,
		"startIndex":   p.start,
		"itemsPerPage": len(p.resources),
		"Resources":    p.resources,
	})
}

// hints are equalities that hold for every match, by lower-case attribute. An
// index can answer each of them; the filter is evaluated on what it gives.
func hints(e filter.Expr, into map[string]string) map[string]string {
	switch e := e.(type) {
	case filter.And:
		hints(e.Right, hints(e.Left, into))
	case filter.Compare:
		if value, ok := e.Value.(string); ok && e.Op == filter.Equal {
			into[attrName(e.Attr)] = value
		}
	case filter.ValuePath:
		for sub, value := range hints(e.Filter, map[string]string{}) {
			into[attrName(e.Attr)+"."+sub] = value
		}
	}
	return into
}

func attrName(a filter.Attr) string { return coreName(strings.ToLower(a.String())) }

func listUsers(r *request) error {
	p, err := r.parsePage()
	if err != nil {
		return err
	}
	pass, err := r.admit("scim.users.read")
	if err != nil {
		return err
	}
	view, seen := pass.View(), 0
	eachCandidateUser(view, p.filter, func(u *directory.User) bool {
		if seen++; seen%checkEvery == 0 && r.Context().Err() != nil {
			err = r.Context().Err()
			return false
		}
		err = r.offerUser(p, view, u)
		return err == nil
	})
	if err != nil {
		return err
	}
	return r.writePage(p)
}

func (r *request) offerUser(p *page, view *state.Org, u *directory.User) error {
	if p.filter == nil && !p.next() {
		return nil
	}
	resource, err := r.userResource(view, u)
	if err != nil {
		return err
	}
	if p.filter != nil {
		match, err := filter.Match(p.filter, resource, patch.User)
		if err != nil || !match || !p.next() {
			return err
		}
	}
	p.resources = append(p.resources, r.fields.apply(resource))
	return nil
}

// eachCandidateUser yields every user that can match, from the narrowest index.
func eachCandidateUser(view *state.Org, e filter.Expr, yield func(*directory.User) bool) {
	known := hints(e, map[string]string{})
	if text, ok := known["id"]; ok {
		if id, err := directory.ParseUserID(text); err == nil {
			if u, ok := view.User(id); ok {
				yield(u)
			}
		}
		return
	}
	if name, ok := known["username"]; ok {
		if u, ok := view.UserByName(name); ok {
			yield(u)
		}
		return
	}
	if external, ok := known["externalid"]; ok {
		view.EachUserByExternalID(external, yield)
		return
	}
	view.EachUser(directory.UserID{}, yield)
}

func listGroups(r *request) error {
	p, err := r.parsePage()
	if err != nil {
		return err
	}
	pass, err := r.admit("scim.groups.read")
	if err != nil {
		return err
	}
	view, seen := pass.View(), 0
	eachCandidateGroup(view, p.filter, func(g *directory.Group) bool {
		if seen++; seen%checkEvery == 0 && r.Context().Err() != nil {
			err = r.Context().Err()
			return false
		}
		err = r.offerGroup(p, view, g)
		return err == nil
	})
	if err != nil {
		return err
	}
	return r.writePage(p)
}

func (r *request) offerGroup(p *page, view *state.Org, g *directory.Group) error {
	if p.filter != nil {
		resource := r.groupResource(g)
		if members := r.comparable(view, g.ID, p.filter); len(members) > 0 {
			resource["members"] = members
		}
		match, err := filter.Match(p.filter, resource, patch.Group)
		if err != nil || !match {
			return err
		}
	}
	if p.next() {
		p.resources = append(p.resources, r.groupAnswer(view, g))
	}
	return nil
}

// comparable gives the members that a filter has to see: of equalities only
// those it names, which costs the same for a group of any size.
func (r *request) comparable(view *state.Org, g directory.GroupID, e filter.Expr) (members []any) {
	named, all := namedMembers(e)
	if all {
		return r.membersOf(view, g)
	}
	asked := membersFrom(named)
	for _, u := range asked.users {
		if view.Permissions().IsMember(g, u) {
			members = append(members, r.member("User", u.String()))
		}
	}
	for _, nested := range asked.groups {
		if slices.Contains(view.Permissions().Parents(nested), g) {
			members = append(members, r.member("Group", nested.String()))
		}
	}
	return members
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

// eachCandidateGroup yields every group that can match.
func eachCandidateGroup(view *state.Org, e filter.Expr, yield func(*directory.Group) bool) {
	known := hints(e, map[string]string{})
	if text, ok := known["id"]; ok {
		if id, err := directory.ParseGroupID(text); err == nil {
			if g, ok := view.Group(id); ok {
				yield(g)
			}
		}
		return
	}
	if name, ok := known["displayname"]; ok {
		if g, ok := view.GroupByName(name); ok {
			yield(g)
		}
		return
	}
	if external, ok := known["externalid"]; ok {
		view.EachGroupByExternalID(external, yield)
		return
	}
	view.EachGroup(directory.GroupID{}, yield)
}
