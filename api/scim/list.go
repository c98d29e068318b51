package scim

import (
	"net/http"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

const (
	listURN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	// checkEvery is how many resources are compared between two looks at the
	// deadline.
	checkEvery = 256
)

// The resource types, in the order in which a list of both has them: that of ids.
const (
	kindGroup = "Group"
	kindUser  = "User"
)

// listing collects one page of the resources of some types.
type listing struct {
	*request
	query    *query
	compared *compared
	kinds    []string
	view     *state.Org
	seen     int // compared so far

	total     int // of all pages
	resources []any
	last      place // of the page
	more      bool  // something comes after the page
}

func listUsers(r *request) error  { return r.list((*request).queryOf, kindUser) }
func listGroups(r *request) error { return r.list((*request).queryOf, kindGroup) }
func listAll(r *request) error    { return r.list((*request).queryOf, kindGroup, kindUser) }

func searchUsers(r *request) error  { return r.list((*request).searchOf, kindUser) }
func searchGroups(r *request) error { return r.list((*request).searchOf, kindGroup) }
func searchAll(r *request) error    { return r.list((*request).searchOf, kindGroup, kindUser) }

// list answers with one page. Whoever asks for several types may read each.
func (r *request) list(read func(*request) (*query, error), kinds ...string) error {
	q, err := read(r)
	if err != nil {
		return err
	}
	l := &listing{request: r, query: q, compared: q.compared(), kinds: kinds, resources: []any{}}
	for _, kind := range kinds {
		pass, err := r.admit(map[string]access.Operation{kindUser: "scim.users.read", kindGroup: "scim.groups.read"}[kind])
		if err != nil {
			return err
		}
		l.view = pass.View()
	}
	after, err := l.after()
	if err != nil {
		return err
	}
	if q.sortBy != "" {
		err = l.sorted(after)
	} else {
		err = l.inOrder(after)
	}
	if err != nil {
		return err
	}
	return l.write()
}

// inOrder takes the page while walking through the resources by id, and walks on only
// to count: once for a walk from page to page by cursor, and not at all without a
// filter.
func (l *listing) inOrder(after place) error {
	q := l.query
	skip := q.start - 1
	if q.byCursor {
		skip = 0
	}
	counted, found := q.filter == nil || q.cursor != "", 0
	if q.filter == nil {
		l.total = l.all()
	}
	if counted && (q.count == 0 || skip >= l.total) {
		return nil
	}
	return l.each(after.ID, func(c *candidate) (bool, error) {
		if match, err := c.matches(q.filter); err != nil || !match {
			return true, err
		}
		found++
		if !counted {
			l.total++
		}
		switch {
		case found <= skip:
			return true, nil
		case len(l.resources) == q.count:
			l.more = true
			return !counted, nil
		}
		return true, l.take(c)
	})
}

// all is how many there are.
func (l *listing) all() (n int) {
	for _, kind := range l.kinds {
		if kind == kindUser {
			n += l.sees.users(l.view)
		} else {
			n += l.sees.groups(l.view)
		}
	}
	return n
}

// sorted compares all, and keeps the places of no more than the pages up to this one.
func (l *listing) sorted(after place) error {
	q := l.query
	skip := q.start - 1
	if q.byCursor {
		skip = 0
	}
	// Nobody has more than this many, so that the sum cannot overflow either.
	skip = min(skip, directory.UserQuotaMax+1)
	first := &best{query: q, limit: skip + q.count + 1}
	l.total = 0
	err := l.each("", func(c *candidate) (bool, error) {
		match, err := c.matches(q.filter)
		if err != nil || !match {
			return true, err
		}
		l.total++
		part, err := c.comparable()
		if err != nil {
			return false, err
		}
		at := place{q.keyOf(part, c.types()), c.id()}
		if q.cursor == "" || q.compare(at, after) > 0 {
			first.add(at)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	first.trim()
	for _, at := range first.kept[min(skip, len(first.kept)):] {
		if len(l.resources) == q.count {
			l.more = true
			break
		}
		c, ok := l.candidate(at.ID)
		if !ok {
			continue // the view does not change, so it is there
		}
		if err := l.take(c); err != nil {
			return err
		}
		l.last = at
	}
	return nil
}

// take puts a resource on the page.
func (l *listing) take(c *candidate) error {
	answer, err := c.answer()
	l.resources, l.last = append(l.resources, answer), place{ID: c.id()}
	return err
}

func (l *listing) write() error {
	answer := map[string]any{
		"schemas": []string{listURN}, "totalResults": l.total, "itemsPerPage": len(l.resources), "Resources": l.resources,
	}
	if !l.query.byCursor {
		answer["startIndex"] = l.query.start
	} else if l.more && len(l.resources) > 0 {
		cursor, err := l.cursor(l.last)
		if err != nil {
			return err
		}
		answer["nextCursor"] = cursor
	}
	return l.request.write(http.StatusOK, answer)
}

// each yields every resource that can match and comes after an id, in the order of
// ids, until the time of the request is over.
func (l *listing) each(after string, yield func(*candidate) (more bool, err error)) (err error) {
	one := func(c *candidate) bool {
		if l.seen++; l.seen%checkEvery == 0 && l.Context().Err() != nil {
			err = l.Context().Err()
			return false
		}
		more := true
		if after == "" || c.id() > after {
			more, err = yield(c)
		}
		return more && err == nil
	}
	for _, kind := range l.kinds {
		more := true
		if kind == kindUser {
			from, _ := directory.ParseUserID(after)
			l.eachCandidateUser(from, func(u *directory.User) bool {
				more = one(&candidate{listing: l, user: u})
				return more
			})
		} else {
			from, _ := directory.ParseGroupID(after)
			l.eachCandidateGroup(from, func(g *directory.Group) bool {
				more = one(&candidate{listing: l, group: g})
				return more
			})
		}
		if !more {
			return err
		}
	}
	return err
}

// candidate is a resource that may be on the page.
type candidate struct {
	*listing
	user  *directory.User // or
	group *directory.Group
	part  map[string]any // what is compared, once it was needed
}

func (l *listing) candidate(id string) (*candidate, bool) {
	c := &candidate{listing: l}
	if user, err := directory.ParseUserID(id); err == nil {
		c.user, _ = l.view.User(user)
	} else if group, err := directory.ParseGroupID(id); err == nil {
		c.group, _ = l.view.Group(group)
	}
	return c, c.user != nil || c.group != nil
}

func (c *candidate) id() string {
	if c.user != nil {
		return c.user.ID.String()
	}
	return c.group.ID.String()
}

func (c *candidate) types() filter.Types {
	if c.user != nil {
		return patch.User
	}
	return patch.Group
}

// comparable is what the query looks at.
func (c *candidate) comparable() (_ map[string]any, err error) {
	switch {
	case c.part != nil:
	case c.user != nil:
		c.part, err = c.comparableUser(c.view, c.user, c.compared)
	default:
		c.part = c.groupResource(c.view, c.group)
		c.addMembers(c.part)
	}
	return c.part, err
}

func (c *candidate) matches(e filter.Expr) (bool, error) {
	if e == nil {
		return true, nil
	}
	part, err := c.comparable()
	if err != nil {
		return false, err
	}
	return filter.Match(e, part, c.types())
}

func (c *candidate) answer() (map[string]any, error) {
	if c.group != nil {
		return c.groupAnswer(c.view, c.group), nil
	}
	return c.userAnswer(c.view, c.user)
}
