package authzen

import (
	"slices"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

const (
	opSubjects access.Operation = "permissions.who"
	opHeld     access.Operation = "permissions.list"

	// anyResource is the id of the one resource that a search finds: all of the
	// type. Like every id of a resource it evaluates to what the type does.
	anyResource = "*"
)

// searchAnswer has the page first, as the specification recommends.
type searchAnswer struct {
	Page    pageAnswer `json:"page"`
	Context grounds    `json:"context"`
	Results []any      `json:"results"`
}

type pageAnswer struct {
	NextToken string `json:"next_token"` // empty on the last page
	Count     int    `json:"count"`
	Total     int    `json:"total"`
}

// subjectResult, resourceResult and actionResult are the entities that searches
// find.
type subjectResult struct {
	Type       string            `json:"type"`
	ID         string            `json:"id"`
	Properties map[string]string `json:"properties"`
}

type resourceResult struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type actionResult struct {
	Name string `json:"name"`
}

// searchSubject is the Subject Search API: who may do an action on a type.
func searchSubject(a *asked) (any, error) {
	subject, err := a.body.entity("subject", "type")
	if err != nil {
		return nil, err
	}
	action, err := a.body.entity("action", "name")
	if err != nil {
		return nil, err
	}
	resource, err := a.body.entity("resource", "type", "id")
	if err != nil {
		return nil, err
	}
	s, err := a.search(opSubjects)
	if err != nil {
		return nil, err
	}
	p, ok := permission(action[0], resource[0])
	if !ok || subject[0] != typeUser {
		return s.answer(nil, 0, nil)
	}
	var after directory.UserID
	copy(after[:], s.after)
	ids, total := s.org.Held().Who(p, after, s.limit+1)
	return s.answer(texts(ids), total, func(text string) any { return foundUser(s.org, directory.UserID([]byte(text))) })
}

// texts are ids as a page's token holds them.
func texts(ids []directory.UserID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = string(id[:])
	}
	return all
}

func foundUser(org *state.Org, id directory.UserID) subjectResult {
	found := subjectResult{Type: typeUser, ID: id.String(), Properties: map[string]string{}}
	if u, ok := org.User(id); ok {
		found.Properties["user_name"] = u.UserName
	}
	return found
}

// searchResource is the Resource Search API: whether an action may be done on a
// type, since the directory holds no resources.
func searchResource(a *asked) (any, error) {
	action, err := a.body.entity("action", "name")
	if err != nil {
		return nil, err
	}
	resource, err := a.body.entity("resource", "type")
	if err != nil {
		return nil, err
	}
	s, user, err := a.searchOf()
	if err != nil {
		return nil, err
	}
	var found []string
	if p, ok := permission(action[0], resource[0]); ok && user != nil && s.org.Held().Has(user.ID, p) {
		found = []string{anyResource}
	}
	return s.cut(found, func(id string) any { return resourceResult{resource[0], id} })
}

// searchAction is the Action Search API: what a user may do on a type.
func searchAction(a *asked) (any, error) {
	resource, err := a.body.entity("resource", "type", "id")
	if err != nil {
		return nil, err
	}
	s, user, err := a.searchOf()
	if err != nil {
		return nil, err
	}
	var found []string
	if user != nil {
		for _, p := range s.org.Held().Permissions(user.ID) {
			verb, wild := p.Verb()
			if named, ok := permission(verb, resource[0]); ok && (named == p || wild) {
				found = append(found, verb)
			}
		}
	}
	slices.Sort(found)
	return s.cut(slices.Compact(found), func(verb string) any { return actionResult{verb} })
}

// searchOf begins a search about one user, who need not exist.
func (a *asked) searchOf() (*search, *directory.User, error) {
	subject, err := a.body.entity("subject", "type", "id")
	if err != nil {
		return nil, nil, err
	}
	s, err := a.search(opHeld)
	if err != nil {
		return nil, nil, err
	}
	e := &evaluator{pass: s.pass, org: s.org}
	user, err := e.subject(subject[0], subject[1])
	if err != nil || !e.unknown || len(s.token) > 0 {
		return s, user, err
	}
	a.fresh.Linearizable = true // another node may have made them a moment ago
	if s, err = a.search(opHeld); err != nil {
		return nil, nil, err
	}
	user, err = (&evaluator{pass: s.pass, org: s.org}).subject(subject[0], subject[1])
	return s, user, err
}
