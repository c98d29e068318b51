package enforce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Table is where a projection's rows go: the kernel's maps or the gate's.
type Table interface {
	SetKey(k0, k1 uint64) error
	// Guard refuses everything at an address that is open, until SetService.
	Guard(listen string) error
	// SetService starts or replaces the enforcement of one address.
	SetService(listen string, upstream string, org uint32, program *policy.Program) error
	RemoveService(listen string) error
	PutSubject(subject policy.Subject, entry policy.SubjectEntry) error
	DeleteSubject(subject policy.Subject) error
	PutToken(key policy.TokenKey, entry policy.TokenEntry) error
	DeleteToken(key policy.TokenKey) error
	// Sweep ends the open connections of a subject after sweepGrace.
	Sweep(subject policy.Subject)
}

// sweepGrace is what a client gets between losing access and losing its open
// connections. Its next request is refused at once, and it shall read that
// answer instead of a reset; only streams and idle connections are left then.
const sweepGrace = 250 * time.Millisecond

// projection is what the table should hold. It is used by one goroutine.
type projection struct {
	table  Table
	clock  Clock
	listen func(address string) bool // which addresses this node enforces
	secret func(*state.System) (k0, k1 uint64, err error)

	orgs     map[directory.OrgID]*org
	subjects map[directory.UserID]*subject
	sessions map[directory.SessionID]*session
	services map[string]owner         // by address
	waiting  map[directory.OrgID]bool // organizations with an address that an older service has
	gone     []string                 // addresses without a service, still enforced
	followed *following
	lastOrg  uint32
}

// Clock converts the log's wall time to the boot clock of the gates.
type Clock interface{ BootAt(directory.Time) uint64 }

// owner is the service that an address belongs to.
type owner struct {
	org     directory.OrgID
	service directory.ServiceID
}

type org struct {
	ordinal  uint32
	numbers  *policy.Numbering
	subjects map[directory.UserID]*subject // users with live tokens
}

type subject struct {
	org      *org
	orgID    directory.OrgID
	sessions map[directory.SessionID]bool
	entry    policy.SubjectEntry
}

type session struct {
	user   directory.UserID
	tokens map[policy.TokenKey]policy.TokenEntry
	// Of a bounded session, which is a subject of its own: its tokens may do less
	// than their user.
	bounded bool
	entry   policy.SubjectEntry
}

// subject is whom the session's tokens name.
func (s *session) subject(id directory.SessionID) policy.Subject {
	if s.bounded {
		return policy.Subject(id)
	}
	return policy.Subject(s.user)
}

func newProjection(table Table, clock Clock, listen func(string) bool, secret func(*state.System) (uint64, uint64, error)) *projection {
	return &projection{
		table: table, clock: clock, listen: listen, secret: secret,
		orgs: map[directory.OrgID]*org{}, subjects: map[directory.UserID]*subject{},
		sessions: map[directory.SessionID]*session{}, services: map[string]owner{}, followed: new(following),
		waiting: map[directory.OrgID]bool{},
	}
}

// rebuild makes the table equal to a root from nothing. All addresses are guarded before
// the first program is written, whose application may have to be tested, and set before
// the first token; one that fails keeps no other waiting. An address that no earlier
// process guarded is open until then.
func (p *projection) rebuild(root *state.Root) error {
	if err := p.key(root.System()); err != nil {
		return err
	}
	var failed []error
	root.EachOrg(directory.OrgID{}, func(view *state.Org) bool {
		p.claimAll(view)
		return true
	})
	root.EachOrg(directory.OrgID{}, func(view *state.Org) bool {
		failed = append(failed, p.guardAll(view))
		return true
	})
	root.EachOrg(directory.OrgID{}, func(view *state.Org) bool {
		failed = append(failed, p.place(view))
		return true
	})
	err := errors.Join(failed...)
	if err == nil {
		err = p.handOverAll(root)
	}
	root.EachOrg(directory.OrgID{}, func(view *state.Org) bool {
		view.EachSession(func(s *directory.Session) bool {
			if err == nil {
				err = p.session(view, s.ID)
			}
			return err == nil
		})
		return err == nil
	})
	return err
}

// key hands the token secret over, once there is one.
func (p *projection) key(system *state.System) error {
	if _, ok := system.TokenSecret(); !ok {
		return nil // a cluster that is being initialised has no tokens either
	}
	k0, k1, err := p.secret(system)
	if err != nil {
		return err
	}
	return p.table.SetKey(k0, k1)
}

// apply brings the rows that a delta names up to the root, which is at or
// beyond the delta's index.
func (p *projection) apply(root *state.Root, delta directory.Delta) error {
	for _, row := range delta.Rows {
		if row.Kind == directory.RowTokenSecret {
			if err := p.key(root.System()); err != nil {
				return err
			}
			continue
		}
		if err := p.row(root, delta.Org, row); err != nil {
			return fmt.Errorf("enforce index %d: %w", delta.Index, err)
		}
	}
	return nil
}

func (p *projection) row(root *state.Root, org directory.OrgID, row directory.Row) error {
	view, ok := root.Org(org)
	if !ok {
		return p.drop(root, org)
	}
	switch row.Kind {
	case directory.RowSession:
		return p.session(view, row.ID)
	case directory.RowUser, directory.RowMember:
		if s, ok := p.subjects[row.ID]; ok {
			return p.subject(view, row.ID, s)
		}
	case directory.RowGroup, directory.RowRole, directory.RowOrganization:
		return p.everybody(view)
	case directory.RowClient:
		return p.ofClient(view, row.ID)
	case directory.RowService:
		return p.compile(root, view)
	}
	return nil
}

// everybody recomputes the subjects of an organization: only users with live
// tokens have one, so a change of a group of a million members costs as much as
// there are people signed in.
func (p *projection) everybody(view *state.Org) error {
	o, ok := p.orgs[view.ID()]
	if !ok {
		return nil
	}
	for id, s := range o.subjects {
		if err := p.subject(view, id, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *projection) org(id directory.OrgID) *org {
	o, ok := p.orgs[id]
	if !ok {
		p.lastOrg++
		o = &org{ordinal: p.lastOrg, numbers: new(policy.Numbering), subjects: map[directory.UserID]*subject{}}
		p.orgs[id] = o
	}
	return o
}

// subject writes one user's row if it changed. A user who lost access loses the
// open connections too.
func (p *projection) subject(view *state.Org, id directory.UserID, s *subject) error {
	entry := policy.SubjectEntry{Disabled: 1, Org: s.org.ordinal}
	user, ok := view.User(id)
	if ok && user.Active && view.Record().Status == directory.OrganizationActive {
		entry.Disabled = 0
		entry.Rights = rights(view, id, s.org)
	}
	if entry == s.entry {
		return nil // nor has a bounded session's changed: it is a part of this one
	}
	if err := p.table.PutSubject(policy.Subject(id), entry); err != nil {
		return err
	}
	s.entry = entry
	if entry.Disabled != 0 {
		p.table.Sweep(policy.Subject(id))
	}
	return p.bounded(view, s)
}

// rights are the numbered roles and permissions that routes of the
// organization ask for and the user has.
func rights(view *state.Org, id directory.UserID, o *org) policy.Rights {
	index := view.Permissions()
	var roles []string
	for _, roleID := range index.Roles(id) {
		if role, ok := view.Role(roleID); ok {
			roles = append(roles, role.Name)
		}
	}
	// What routes ask for is asked of the index, as a check does: a wildcard of
	// the user's covers names that no role has.
	return o.numbers.Rights(roles, func(p directory.Permission) bool { return index.Has(id, p) })
}

// session brings the tokens of one session up to the root.
func (p *projection) session(view *state.Org, id directory.SessionID) error {
	stored, ok := view.Session(id)
	if !ok {
		return p.forget(id)
	}
	known, ok := p.sessions[id]
	if !ok {
		known = &session{user: stored.User, tokens: map[policy.TokenKey]policy.TokenEntry{}, bounded: stored.Bounded}
		p.sessions[id] = known
	}
	s, err := p.subjectOf(view, stored)
	if err != nil {
		return err
	}
	if known.bounded {
		if err := p.bound(view, id, known, s); err != nil {
			return err
		}
	}
	wanted := p.tokens(stored, known.subject(id), s.org.ordinal)
	for key := range known.tokens {
		if _, ok := wanted[key]; !ok {
			if err := p.table.DeleteToken(key); err != nil {
				return err
			}
		}
	}
	for key, entry := range wanted {
		if known.tokens[key] == entry {
			continue
		}
		if err := p.table.PutToken(key, entry); err != nil {
			return err
		}
	}
	known.tokens = wanted
	if stored.Ended != 0 {
		p.table.Sweep(known.subject(id))
	}
	return nil
}

// tokens are the rows of a session's access tokens: an ended session's are
// marked and stay until they expire, because revoked and unknown differ.
func (p *projection) tokens(stored *directory.Session, subject policy.Subject, ordinal uint32) map[policy.TokenKey]policy.TokenEntry {
	if stored.Bound() {
		// These tokens are good only with a proof that nobody looks at here: they are
		// unknown, and so refused.
		return nil
	}
	wanted := make(map[policy.TokenKey]policy.TokenEntry, len(stored.Tokens))
	for _, t := range stored.Tokens {
		key := tokenKey(t.Key)
		entry := policy.TokenEntry{
			ExpiresNs:   p.clock.BootAt(t.Expires),
			NotBeforeNs: p.clock.BootAt(t.NotBefore),
			Subject:     subject,
			Org:         ordinal,
			Length:      t.Length,
		}
		if stored.MFA() {
			entry.MFA = 1
		}
		if stored.Ended != 0 {
			entry.Revoked = 1
		}
		wanted[key] = entry
	}
	return wanted
}

func tokenKey(key [16]byte) policy.TokenKey {
	return policy.TokenKey{H0: binary.LittleEndian.Uint64(key[:]), H1: binary.LittleEndian.Uint64(key[8:])}
}

// subjectOf finds or makes the row of a session's user. The row is there before
// the first token that names it.
func (p *projection) subjectOf(view *state.Org, stored *directory.Session) (*subject, error) {
	s, ok := p.subjects[stored.User]
	if !ok {
		s = &subject{
			org: p.org(view.ID()), orgID: view.ID(), sessions: map[directory.SessionID]bool{},
		}
		p.subjects[stored.User] = s
		s.org.subjects[stored.User] = s
	}
	s.sessions[stored.ID] = true
	return s, p.subject(view, stored.User, s)
}

// forget drops a session that is gone from the state, and its user's row with
// the last of them.
func (p *projection) forget(id directory.SessionID) error {
	known, ok := p.sessions[id]
	if !ok {
		return nil
	}
	for key := range known.tokens {
		if err := p.table.DeleteToken(key); err != nil {
			return err
		}
	}
	delete(p.sessions, id)
	p.table.Sweep(known.subject(id))
	if known.bounded {
		if err := p.table.DeleteSubject(policy.Subject(id)); err != nil {
			return err
		}
	}
	s, ok := p.subjects[known.user]
	if !ok {
		return nil
	}
	delete(s.sessions, id)
	if len(s.sessions) > 0 {
		return nil
	}
	delete(p.subjects, known.user)
	delete(s.org.subjects, known.user)
	return p.table.DeleteSubject(policy.Subject(known.user))
}

func allRoutes(services []*directory.Service) (routes []policy.Route) {
	for _, s := range services {
		routes = append(routes, serviceOf(s).Routes...)
	}
	return routes
}
