package enforce

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Table is where a projection's rows go: the kernel's maps or the gate's.
type Table interface {
	SetKey(k0, k1 uint64) error
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
	services map[string]owner // by address
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
}

func newProjection(table Table, clock Clock, listen func(string) bool, secret func(*state.System) (uint64, uint64, error)) *projection {
	return &projection{
		table: table, clock: clock, listen: listen, secret: secret,
		orgs: map[directory.OrgID]*org{}, subjects: map[directory.UserID]*subject{},
		sessions: map[directory.SessionID]*session{}, services: map[string]owner{}, followed: new(following),
	}
}

// rebuild makes the table equal to a root from nothing.
func (p *projection) rebuild(root *state.Root) error {
	if err := p.key(root.System()); err != nil {
		return err
	}
	var err error
	root.EachOrg(directory.OrgID{}, func(view *state.Org) bool {
		if err = p.compile(view); err != nil {
			return false
		}
		view.EachSession(func(s *directory.Session) bool {
			err = p.session(view, s.ID)
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
		view, ok := root.Org(delta.Org)
		if !ok {
			continue
		}
		if err := p.row(view, row); err != nil {
			return fmt.Errorf("enforce index %d: %w", delta.Index, err)
		}
	}
	return nil
}

func (p *projection) row(view *state.Org, row directory.Row) error {
	switch row.Kind {
	case directory.RowSession:
		return p.session(view, row.ID)
	case directory.RowUser, directory.RowMember:
		if s, ok := p.subjects[row.ID]; ok {
			return p.subject(view, row.ID, s)
		}
	case directory.RowGroup, directory.RowRole, directory.RowOrganization:
		return p.everybody(view)
	case directory.RowService:
		return p.compile(view)
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
		return nil
	}
	if err := p.table.PutSubject(policy.Subject(id), entry); err != nil {
		return err
	}
	s.entry = entry
	if entry.Disabled != 0 {
		p.table.Sweep(policy.Subject(id))
	}
	return nil
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
		known = &session{user: stored.User, tokens: map[policy.TokenKey]policy.TokenEntry{}}
		p.sessions[id] = known
	}
	s, err := p.subjectOf(view, stored)
	if err != nil {
		return err
	}
	wanted := p.tokens(stored, s)
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
		p.table.Sweep(policy.Subject(stored.User))
	}
	return nil
}

// tokens are the rows of a session's access tokens: an ended session's are
// marked and stay until they expire, because revoked and unknown differ.
func (p *projection) tokens(stored *directory.Session, s *subject) map[policy.TokenKey]policy.TokenEntry {
	if stored.Bounded {
		// The table knows what a user may do, and this token may do less: it is
		// unknown here, and so refused.
		return nil
	}
	wanted := make(map[policy.TokenKey]policy.TokenEntry, len(stored.Tokens))
	for _, t := range stored.Tokens {
		key := policy.TokenKey{
			H0: binary.LittleEndian.Uint64(t.Key[:]),
			H1: binary.LittleEndian.Uint64(t.Key[8:]),
		}
		entry := policy.TokenEntry{
			ExpiresNs:   p.clock.BootAt(t.Expires),
			NotBeforeNs: p.clock.BootAt(t.NotBefore),
			Subject:     policy.Subject(stored.User),
			Org:         s.org.ordinal,
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
	s, ok := p.subjects[known.user]
	if !ok {
		return nil
	}
	p.table.Sweep(policy.Subject(known.user))
	delete(s.sessions, id)
	if len(s.sessions) > 0 {
		return nil
	}
	delete(p.subjects, known.user)
	delete(s.org.subjects, known.user)
	return p.table.DeleteSubject(policy.Subject(known.user))
}

// compile brings the services of an organization up to the root. The numbers of
// roles and permissions are the organization's, so all its programs are made
// anew together, and then all its subjects.
func (p *projection) compile(view *state.Org) error {
	o := p.org(view.ID())
	var services []*directory.Service
	view.EachService(func(s *directory.Service) bool { services = append(services, s); return true })
	numbers := policy.NewNumbering(allRoutes(services))
	o.numbers = numbers
	wanted := map[string]bool{}
	for _, s := range services {
		program, closed, err := compiled(s, o.ordinal, numbers)
		if err != nil {
			return err
		}
		for _, address := range s.Listen {
			if !p.listen(address) {
				continue
			}
			if won, err := p.claim(view, address, owner{view.ID(), s.ID}); err != nil || !won {
				if err != nil {
					return err
				}
				continue
			}
			wanted[address] = true
			p.services[address] = owner{view.ID(), s.ID}
			if err := p.table.SetService(address, s.Upstream, o.ordinal, program); err != nil {
				return err
			}
			p.followed.set(followed(view.ID(), s, address, closed))
		}
	}
	if err := p.retire(view, wanted); err != nil {
		return err
	}
	return p.everybody(view)
}

// claim gives an address to a service unless an older one has it, or one that it
// overlaps with: another organization must never decide about what reaches a
// listener. Ids are in the order of creation, so that it is the same service after
// a restart; a younger one that came first gives way.
func (p *projection) claim(view *state.Org, address string, by owner) (won bool, err error) {
	for held, other := range p.services {
		if other == by || !overlap(held, address) {
			continue
		}
		if _, alive := view.Service(other.service); other.org == by.org && !alive {
			continue // deleted, and about to be retired
		}
		if bytes.Compare(other.service[:], by.service[:]) < 0 {
			return false, nil
		}
	}
	for held, other := range p.services {
		if other != by && overlap(held, address) {
			delete(p.services, held)
			p.followed.forget(held)
			if held == address {
				continue // the row is about to be written anew
			}
			if err := p.table.RemoveService(held); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// overlap reports whether a connection can reach both addresses: they have one
// port, and one IP address or one that means all.
func overlap(a, b string) bool {
	left, errA := netip.ParseAddrPort(a)
	right, errB := netip.ParseAddrPort(b)
	if errA != nil || errB != nil {
		return a == b
	}
	return left.Port() == right.Port() && (left.Addr().Unmap() == right.Addr().Unmap() ||
		left.Addr().IsUnspecified() || right.Addr().IsUnspecified())
}

// retire ends the enforcement of this organization's addresses whose service is
// gone.
func (p *projection) retire(view *state.Org, wanted map[string]bool) error {
	var gone []string
	for address, first := range p.services {
		if first.org == view.ID() && !wanted[address] {
			gone = append(gone, address)
		}
	}
	slices.Sort(gone)
	for _, address := range gone {
		delete(p.services, address)
		p.followed.forget(address)
		if err := p.table.RemoveService(address); err != nil {
			return err
		}
	}
	return nil
}

func allRoutes(services []*directory.Service) (routes []policy.Route) {
	for _, s := range services {
		routes = append(routes, serviceOf(s).Routes...)
	}
	return routes
}
