package scim

import (
	"net/http"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

const (
	listURN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	// checkEvery is how many resources, or members of groups, are compared between two
	// looks at the deadline.
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
	byName   bool   // users are walked through in the order of their names
	seen     int    // compared so far
	checkAt  int    // seen, when the deadline is looked at
	long     bool   // other long walks wait for this one
	done     func() // ends the walk

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
	l := &listing{request: r, query: q, compared: q.compared(), kinds: kinds, resources: []any{}, done: func() {}}
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
	if err := l.collect(after); err != nil {
		return err
	}
	return l.write()
}

// collect takes the page. A long walk ends with it, for the client may read slowly.
func (l *listing) collect(after place) error {
	defer func() { l.done() }()
	l.order()
	if l.query.sortBy != "" && !l.byName {
		return l.sorted(after)
	}
	return l.inOrder(after)
}

// order finds out whether the list is one of users by name, in whose order there is an
// index: a page then costs what it has and what is before it, and not what there is. A
// filter that an index answers finds few, which are put in order faster.
func (l *listing) order() {
	if attrName(l.query.sortPath) != "username" || !slices.Equal(l.kinds, []string{kindUser}) {
		return
	}
	_, few := narrowed(l.query.filter, usersBy(l.view))
	l.byName = !few
}

// inOrder takes the page while walking through the resources in order, and walks on only
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
	return l.each(after, func(c *candidate) (bool, error) {
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
	err := l.each(place{}, func(c *candidate) (bool, error) {
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
	if l.byName {
		l.last.Key = nameKey(c.user.UserName)
	}
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

// each yields every resource that can match and comes after a place, in the order of
// names or else of ids, until the time of the request is over.
func (l *listing) each(after place, yield func(*candidate) (more bool, err error)) (err error) {
	one := func(c *candidate) bool {
		if l.seen++; l.seen >= l.checkAt {
			if err = l.scans(); err != nil {
				return false
			}
		}
		more := true
		if l.byName || after.ID == "" || c.id() > after.ID {
			more, err = yield(c)
		}
		return more && err == nil
	}
	for _, kind := range l.kinds {
		more := true
		users := func(u *directory.User) bool {
			more = one(&candidate{listing: l, user: u})
			return more
		}
		switch {
		case l.byName:
			l.view.EachUserByName(strings.TrimPrefix(after.Key, keyPresent), l.query.descending, func(u *directory.User) bool {
				return !l.sees.user(u) || users(u)
			})
		case kind == kindUser:
			from, _ := directory.ParseUserID(after.ID)
			l.eachCandidateUser(from, users)
		default:
			from, _ := directory.ParseGroupID(after.ID)
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

// scans is called now and then in a walk. One that is long waits for the other long ones
// of its organization.
func (l *listing) scans() error {
	l.checkAt = l.seen + checkEvery
	if l.seen >= scanFree && !l.long {
		done, err := l.server.limits.scan(l.Context(), l.org)
		if err != nil {
			return err
		}
		l.long, l.done = true, done
	}
	return l.Context().Err()
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
