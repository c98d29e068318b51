package admin

import (
	"context"
	"strconv"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// The answers that are asked for all the time are written as JSON without a message
// in between: to make one, and to read it again by reflection, was more work than to
// find out what it says. A test compares them with what the messages become.

// appendCheck is Check with its answer as both dialects of JSON write it.
func (a *api) appendCheck(ctx context.Context, b []byte, r *authfiv1.CheckRequest) ([]byte, error) {
	return inquire(ctx, a, r, func(pass *access.Pass, asked *inquiry) ([]byte, error) {
		return appendCheckAnswer(b, pass, asked)
	})
}

func appendCheckAnswer(b []byte, pass *access.Pass, asked *inquiry) ([]byte, error) {
	index := uint64(pass.View().Applied())
	if asked.one {
		of, ways, err := ask(pass, asked, 0)
		if err != nil {
			return nil, err
		}
		b = strconv.AppendBool(append(b, `{"allowed":`...), len(ways) > 0)
		b = strconv.AppendUint(append(b, `,"index":`...), index, 10)
		b = newWaysJSON(of).appendList(append(b, `,"source":`...), ways)
		return append(b, `,"results":[]}`...), nil
	}
	b = strconv.AppendUint(append(b, `{"allowed":null,"index":`...), index, 10)
	b = append(b, `,"source":[],"results":[`...)
	for i := range asked.checks {
		of, ways, err := ask(pass, asked, i)
		if err != nil {
			return nil, err
		}
		b = strconv.AppendBool(append(separated(b, i), `{"allowed":`...), len(ways) > 0)
		b = newWaysJSON(of).appendList(append(b, `,"source":`...), ways)
		b = append(b, '}')
	}
	return append(b, "]}"...), nil
}

// appendPermissions is ListPermissions with its answer as REST writes it.
func (a *api) appendPermissions(ctx context.Context, b []byte, user string) ([]byte, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", user)
	if err != nil {
		return nil, err
	}
	if err := pass.About(id); err != nil {
		return nil, err
	}
	org := pass.View()
	held := org.Held().Holdings(id) // in order of permissions
	b = append(b, `{"effective":[`...)
	for i, grant := range held.Grants {
		if first(held.Grants, i) {
			b = rest.AppendString(separated(b, i), string(grant.Permission))
		}
	}
	b = append(b, `],"source":{`...)
	b = newWaysJSON(sources{org: org, user: id}).appendHoldings(b, held)
	b = strconv.AppendUint(append(b, `},"index":`...), uint64(org.Applied()), 10)
	return append(b, '}'), nil
}

// first says that a grant is the first one of its permission.
func first(grants []effective.Holding, i int) bool {
	return i == 0 || grants[i].Permission != grants[i-1].Permission
}

func separated(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ',')
}

// waysJSON writes what sources tells, as JSON.
type waysJSON struct {
	sources
	steps map[directory.GroupID]step // of the groups that were looked up
}

// step is a group as ways show it.
type step struct{ id, name string }

func newWaysJSON(of sources) waysJSON { return waysJSON{of, map[directory.GroupID]step{}} }

// appendList appends an array of ways that say what their roles name.
func (w waysJSON) appendList(b []byte, ways []effective.Source) []byte {
	b = append(b, '[')
	for i, way := range ways {
		b = w.appendWay(separated(b, i), way)
		b = append(rest.AppendString(b, string(way.Names)), '}')
	}
	return append(b, ']')
}

// appendHoldings appends the members of an object: the ways by permission. Each is
// written once, up to what its role names, and copied from there on.
func (w waysJSON) appendHoldings(b []byte, held effective.Holdings) []byte {
	type span struct{ from, to int } // of b; none as long as to is zero
	written := make([]span, len(held.Ways))
	for i, grant := range held.Grants {
		if first(held.Grants, i) {
			if i > 0 {
				b = append(b, "],"...)
			}
			b = append(rest.AppendString(b, string(grant.Permission)), ":["...)
		} else {
			b = append(b, ',')
		}
		if text := &written[grant.Way]; text.to > 0 {
			b = append(b, b[text.from:text.to]...)
		} else {
			text.from = len(b)
			b = w.appendWay(b, held.Ways[grant.Way])
			text.to = len(b)
		}
		b = append(rest.AppendString(b, string(grant.Names)), '}')
	}
	if len(held.Grants) > 0 {
		b = append(b, ']')
	}
	return b
}

// appendWay appends a way up to its last member, what the role names, the value of
// which and the end of the object are the caller's.
func (w waysJSON) appendWay(b []byte, way effective.Source) []byte {
	role, via, path, a := "", step{}, []directory.GroupID(nil), new(directory.Assignment)
	if r, ok := w.org.Role(way.Role); ok {
		role = r.Name
	}
	if !way.Group.IsZero() {
		via, path = w.stepOf(way.Group), w.path(way)
	}
	assignment, by := "", ""
	if found, ok := w.assignment(way); ok {
		a, assignment, by = found, found.ID.String(), found.By.String()
	}
	b = rest.AppendString(append(b, `{"role":`...), role)
	b = rest.AppendString(append(b, `,"via":`...), via.name)
	b = rest.AppendString(append(b, `,"role_id":`...), way.Role.String())
	b = rest.AppendString(append(b, `,"via_id":`...), via.id)
	b = rest.AppendString(append(b, `,"assignment_id":`...), assignment)
	b = appendTime(append(b, `,"since":`...), a.Created)
	b = rest.AppendString(append(b, `,"by":`...), by)
	b = appendTime(append(b, `,"expires":`...), a.Expires)
	b = append(b, `,"path":[`...)
	for i, group := range path {
		at := w.stepOf(group)
		b = rest.AppendString(append(separated(b, i), `{"id":`...), at.id)
		b = append(rest.AppendString(append(b, `,"name":`...), at.name), '}')
	}
	return append(b, `],"permission":`...)
}

func (w waysJSON) stepOf(id directory.GroupID) step {
	at, known := w.steps[id]
	if !known {
		at = step{id: id.String()}
		if g, ok := w.org.Group(id); ok {
			at.name = g.Name
		}
		w.steps[id] = at
	}
	return at
}

// appendTime is timestamp: null for what has not happened.
func appendTime(b []byte, t directory.Time) []byte {
	if t == 0 {
		return append(b, "null"...)
	}
	return rest.AppendTime(b, t.Std())
}
