package authzen

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// evaluationsMax bounds the questions of one request.
const evaluationsMax = 1000

const opEvaluate access.Operation = "permissions.check"

// typeUser is the only type of subject.
const typeUser = "user"

// decision is the answer to one evaluation.
type decision struct {
	Decision bool    `json:"decision"`
	Context  grounds `json:"context"`
}

// grounds are where a decision comes from, or why there is none.
type grounds struct {
	Index  directory.Index `json:"index,omitempty"`
	Reason string          `json:"reason,omitempty"`
	Error  *itemError      `json:"error,omitempty"`
}

// itemError is the failure of one evaluation among several.
type itemError struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

// Reasons of a decision, as the REST dialect's explain has them, and one more.
const (
	reasonGranted    = "granted"
	reasonNotGranted = "not_granted"
	reasonInactive   = "user_inactive"
	reasonSuspended  = "organization_suspended"
	reasonUnknown    = "subject_unknown"
)

// evaluator answers at one index.
type evaluator struct {
	pass    *access.Pass
	org     *state.Org
	unknown bool // somebody was asked about whom this node does not know
}

// evaluate runs a request, and once more from the newest state when it names
// somebody whom another node may have made a moment ago.
func (a *asked) evaluate(run func(*evaluator) error) error {
	fresh := a.fresh
	for {
		pass, err := a.admit(opEvaluate, fresh)
		if err != nil {
			return err
		}
		e := &evaluator{pass: pass, org: pass.View()}
		if err := run(e); err != nil || !e.unknown || fresh.Linearizable {
			return err
		}
		fresh.Linearizable = true
	}
}

// evaluation is the Access Evaluation API.
func evaluation(a *asked) (any, error) {
	var answer decision
	err := a.evaluate(func(e *evaluator) (err error) {
		answer, err = e.decide(a.body)
		return err
	})
	return answer, err
}

// decide answers one evaluation.
func (e *evaluator) decide(o object) (decision, error) {
	subject, err := o.entity("subject", "type", "id")
	if err != nil {
		return decision{}, err
	}
	action, err := o.entity("action", "name")
	if err != nil {
		return decision{}, err
	}
	resource, err := o.entity("resource", "type", "id")
	if err != nil {
		return decision{}, err
	}
	if _, err := o.optional("context"); err != nil {
		return decision{}, err
	}
	user, err := e.subject(subject[0], subject[1])
	if err != nil {
		return decision{}, err
	}
	reason := e.reason(user, action[0], resource[0])
	return decision{reason == reasonGranted, grounds{Index: e.org.Applied(), Reason: reason}}, nil
}

// subject finds the user; nil when there is none. To somebody who may only ask
// about themselves, nobody else exists or does not.
func (e *evaluator) subject(kind, id string) (*directory.User, error) {
	var user *directory.User
	if kind == typeUser {
		user, _ = userOf(e.org, id)
	}
	about := directory.UserID{}
	if user != nil {
		about = user.ID
	}
	if err := e.pass.About(about); err != nil {
		return nil, err
	}
	e.unknown = e.unknown || user == nil && kind == typeUser
	return user, nil
}

// userOf finds a user by id or by user name. What has the form of an id is never
// a name: whoever is called like a deleted user's id would be taken for them.
func userOf(org *state.Org, text string) (*directory.User, bool) {
	if id, err := directory.ParseUserID(text); err == nil {
		return org.User(id)
	}
	return org.UserByName(text)
}

func (e *evaluator) reason(user *directory.User, action, resourceType string) string {
	p, ok := permission(action, resourceType)
	switch {
	case user == nil:
		return reasonUnknown
	case !e.org.Record().Active():
		return reasonSuspended
	case !user.Active:
		return reasonInactive
	case !ok || !e.org.Held().Has(user.ID, p):
		return reasonNotGranted
	}
	return reasonGranted
}

// evaluationsAnswer lists the decisions in the order of the questions.
type evaluationsAnswer struct {
	Evaluations []decision `json:"evaluations"`
}

// evaluations is the Access Evaluations API: all questions at one index. Without
// a list it is the Access Evaluation API.
func evaluations(a *asked) (any, error) {
	items, err := a.body.evaluations()
	if err != nil || len(items) == 0 {
		if err != nil {
			return nil, err
		}
		return evaluation(a)
	}
	enough, err := a.body.semantic()
	if err != nil {
		return nil, err
	}
	if err := a.body.defaults(); err != nil {
		return nil, err
	}
	var answer evaluationsAnswer
	err = a.evaluate(func(e *evaluator) error {
		answer.Evaluations = nil
		for i, raw := range items {
			one := e.item(a.body, fmt.Sprintf("evaluations[%d]", i), raw)
			answer.Evaluations = append(answer.Evaluations, one)
			if enough(one) {
				break
			}
		}
		return nil
	})
	return answer, err
}

func (o object) evaluations() (items []json.RawMessage, err error) {
	raw, ok := o["evaluations"]
	if !ok {
		return nil, nil
	}
	if !strings.HasPrefix(strings.TrimSpace(string(raw)), "[") || json.Unmarshal(raw, &items) != nil {
		return nil, directory.Invalid("evaluations", "must be an array")
	}
	if len(items) > evaluationsMax {
		return nil, directory.Invalid("evaluations", "more than %d", evaluationsMax)
	}
	return items, nil
}

// semantic reads after which decision no further question is answered.
func (o object) semantic() (enough func(decision) bool, err error) {
	options, err := o.optional("options")
	if err != nil {
		return nil, err
	}
	name := "execute_all"
	if _, stated := options["evaluations_semantic"]; stated {
		if name, err = options.text("options", "evaluations_semantic"); err != nil {
			return nil, err
		}
	}
	switch name {
	case "execute_all":
		return func(decision) bool { return false }, nil
	case "deny_on_first_deny":
		return func(d decision) bool { return !d.Decision }, nil
	case "permit_on_first_permit":
		return func(d decision) bool { return d.Decision }, nil
	}
	return nil, directory.Invalid("options.evaluations_semantic", "must be execute_all, deny_on_first_deny or permit_on_first_permit")
}

// defaultable are the keys that the request may state for all of its evaluations.
var defaultable = []string{"subject", "action", "resource", "context"}

// defaults refuses a request whose own entities are malformed, whoever uses them.
func (o object) defaults() error {
	for _, field := range defaultable {
		if _, ok := o[field]; !ok {
			continue
		}
		var err error
		switch field {
		case "context":
			_, err = o.optional(field)
		case "action":
			_, err = o.entity(field, "name")
		default:
			_, err = o.entity(field, "type", "id")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// item answers one evaluation of several: what it does not state comes from the
// request as a whole, and what is wrong with it denies it alone.
func (e *evaluator) item(request object, field string, raw json.RawMessage) decision {
	o, err := objectOf(field, raw)
	if err != nil {
		return denied(err)
	}
	merged := object{}
	for _, name := range defaultable {
		if own, ok := o[name]; ok {
			merged[name] = own
		} else if all, ok := request[name]; ok {
			merged[name] = all
		}
	}
	one, err := e.decide(merged)
	if err != nil {
		return denied(err)
	}
	return one
}

func denied(err error) decision {
	status, message := failure(err)
	return decision{Context: grounds{Error: &itemError{status, message}}}
}
