package enforce

import (
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// A bounded session is a subject of its own: what its tokens may do is what their
// user may, less what the client was not given.

// bounded writes the rows of a user's bounded sessions.
func (p *projection) bounded(view *state.Org, s *subject) error {
	for id := range s.sessions {
		if known := p.sessions[id]; known != nil && known.bounded {
			if err := p.bound(view, id, known, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// ofClient writes the rows of a client's sessions.
func (p *projection) ofClient(view *state.Org, client directory.ClientID) error {
	for id, known := range p.sessions {
		s := p.subjects[known.user]
		if !known.bounded || s == nil || s.orgID != view.ID() {
			continue
		}
		if stored, ok := view.Session(id); !ok || stored.Client != client {
			continue
		}
		if err := p.bound(view, id, known, s); err != nil {
			return err
		}
	}
	return nil
}

// bound writes the row of a bounded session if it changed. Without its session or
// its client it may do nothing.
func (p *projection) bound(view *state.Org, id directory.SessionID, known *session, s *subject) error {
	entry := policy.SubjectEntry{Disabled: 1, Org: s.org.ordinal}
	stored, ok := view.Session(id)
	if client, has := view.Client(clientOf(stored)); ok && has && s.entry.Disabled == 0 {
		entry.Disabled = 0
		entry.Rights = boundedRights(view, stored, client, s.org)
	}
	if entry == known.entry {
		return nil
	}
	if err := p.table.PutSubject(policy.Subject(id), entry); err != nil {
		return err
	}
	known.entry = entry
	if entry.Disabled != 0 {
		p.table.Sweep(policy.Subject(id))
	}
	return nil
}

func clientOf(s *directory.Session) directory.ClientID {
	if s == nil {
		return directory.ClientID{}
	}
	return s.Client
}

// boundedRights are the permissions that routes ask for, the user holds, and both
// the session and its client may carry. Roles would bring more.
func boundedRights(view *state.Org, stored *directory.Session, client *directory.Client, o *org) policy.Rights {
	index := view.Permissions()
	return o.numbers.Rights(nil, func(p directory.Permission) bool {
		return stored.Covers(p) && client.Covers(p) && index.Has(stored.User, p)
	})
}
