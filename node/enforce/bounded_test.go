package enforce

import (
	"testing"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// memory is a table that keeps its rows and answers as the gates do.
type memory struct {
	tokens   map[policy.TokenKey]policy.TokenEntry
	subjects map[policy.Subject]policy.SubjectEntry
	programs map[string]*policy.Program
	removed  []string
	swept    map[policy.Subject]bool
}

func newMemory() *memory {
	return &memory{
		map[policy.TokenKey]policy.TokenEntry{}, map[policy.Subject]policy.SubjectEntry{},
		map[string]*policy.Program{}, nil, map[policy.Subject]bool{},
	}
}

func (m *memory) SetKey(uint64, uint64) error { return nil }

func (m *memory) Guard(string) error { return nil }

func (m *memory) SetService(listen, _ string, _ uint32, program *policy.Program) error {
	m.programs[listen] = program
	return nil
}

func (m *memory) RemoveService(listen string) error {
	m.removed = append(m.removed, listen)
	delete(m.programs, listen)
	return nil
}

func (m *memory) PutSubject(s policy.Subject, e policy.SubjectEntry) error {
	m.subjects[s] = e
	return nil
}

func (m *memory) DeleteSubject(s policy.Subject) error {
	delete(m.subjects, s)
	return nil
}

func (m *memory) PutToken(k policy.TokenKey, e policy.TokenEntry) error {
	m.tokens[k] = e
	return nil
}

func (m *memory) DeleteToken(k policy.TokenKey) error {
	delete(m.tokens, k)
	return nil
}

func (m *memory) Sweep(s policy.Subject) { m.swept[s] = true }

func (m *memory) Token(k policy.TokenKey) (policy.TokenEntry, bool) {
	e, ok := m.tokens[k]
	return e, ok
}

func (m *memory) Subject(s policy.Subject) (policy.SubjectEntry, bool) {
	e, ok := m.subjects[s]
	return e, ok
}

// still is a clock by which every time of the log is later than now.
type still struct{}

func (still) BootAt(t directory.Time) uint64 { return uint64(t) }

const boundedListen = "127.0.0.1:8641"

// boundedWorld is a service, a service account with three rights, and three tokens
// of it: one of its own, one of a client for two permissions, and one of the same
// client whose scope names one.
type boundedWorld struct {
	*organizations
	org        directory.OrgID
	projection *projection
	rows       *memory
}

var (
	account                                  = directory.UserID{15: 21}
	robot                                    = directory.ClientID{15: 31}
	ofAccount, ofClient, ofScope             = directory.SessionID{15: 41}, directory.SessionID{15: 42}, directory.SessionID{15: 43}
	readPatients, writePatients, readReports = directory.Permission("read:patients"), directory.Permission("write:patients"), directory.Permission("read:reports")
)

func newBoundedWorld(t *testing.T, o *organizations, org directory.OrgID) *boundedWorld {
	t.Helper()
	o.apply(org, &fsm.CreateService{Service: directory.Service{
		ID: directory.ServiceID{1}, Name: "patients", Listen: []string{boundedListen},
		Policies: []directory.RoutePolicy{
			{Path: "/read", Permissions: []directory.Permission{readPatients}},
			{Path: "/write", Permissions: []directory.Permission{writePatients}},
			{Path: "/reports", Permissions: []directory.Permission{readReports}},
			{Path: "/role", Roles: []string{"reader"}},
			{Path: "/any"},
		},
	}})
	role := directory.RoleID{1}
	o.apply(org, &fsm.CreateRole{Role: directory.Role{ID: role, Name: "reader", Permissions: []directory.Permission{"read:*", writePatients}}})
	owner := directory.UserID{15: 20}
	o.apply(org, &fsm.CreateUser{User: directory.User{ID: owner, UserName: "ada", Active: true, Source: directory.SourceAPI}})
	o.apply(org, &fsm.CreateUser{User: robotUser(true, owner)})
	o.apply(org, &fsm.AssignRole{ID: directory.AssignmentID{1}, Role: role, User: account})
	o.apply(org, &fsm.CreateClient{Client: directory.Client{
		ID: robot, Name: "robot", Secret: [32]byte{1}, Grants: []directory.GrantType{directory.GrantClientCredentials},
		Permissions: []directory.Permission{readPatients, writePatients}, Account: account,
	}})
	rows := newMemory()
	w := &boundedWorld{o, org, newProjection(rows, still{}, func(string) bool { return true }, nil), rows}
	w.session(ofAccount, &fsm.StartSession{})
	w.session(ofClient, &fsm.StartSession{Client: robot, Bounded: true, Permissions: []directory.Permission{readPatients, writePatients}})
	w.session(ofScope, &fsm.StartSession{Client: robot, Bounded: true, Permissions: []directory.Permission{readPatients}})
	w.row(org, directory.RowService)
	w.row(org, directory.RowSession, ofAccount, ofClient, ofScope)
	return w
}

func robotUser(active bool, owner directory.UserID) directory.User {
	return directory.User{ID: account, UserName: "robot", Active: active, Source: directory.SourceAPI, Service: true, Owner: owner}
}

// session starts a session whose token has the session's id for its key.
func (w *boundedWorld) session(id directory.SessionID, start *fsm.StartSession) {
	w.t.Helper()
	start.ID, start.User = id, account
	start.Token = directory.AccessToken{Key: id, Length: 8, NotBefore: 1, Expires: 1 << 60}
	if start.Client.IsZero() {
		start.Refresh = [32]byte{id[15]}
		w.apply(w.org, start)
		return
	}
	w.applyAs(w.org, directory.Actor{Kind: directory.ActorNode}, start)
}

func (w *boundedWorld) row(org directory.OrgID, kind directory.RowKind, ids ...[16]byte) {
	w.t.Helper()
	for _, id := range append(ids, [16]byte{})[:max(1, len(ids))] {
		if err := w.projection.row(w.machine.Root(), org, directory.Row{Kind: kind, ID: id}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ask is the verdict on a request with the token of a session.
func (w *boundedWorld) ask(path string, id directory.SessionID) policy.Reason {
	program := w.rows.programs[boundedListen]
	state := program.Start()
	for i := range len(path) {
		state = program.Next(state, path[i])
	}
	flow := policy.Flow{State: state, HasToken: true, Token: tokenKey(id), Length: 8}
	return policy.Verdict(program, flow, w.rows, 1<<40, 1<<41)
}

// A token of a client may do what its user and its client may. The gates knew what
// a user may do and refused such tokens as unknown.
func TestBoundedTokensMayDoWhatTheirClientMay(t *testing.T) {
	id := directory.OrgID{1}
	w := newBoundedWorld(t, newOrganizations(t, id), id)
	const yes, no, gone, revoked = policy.ReasonAllowed, policy.ReasonRights, policy.ReasonInactive, policy.ReasonRevoked
	check := func(when string, session directory.SessionID, want map[string]policy.Reason) {
		t.Helper()
		for path, reason := range want {
			if got := w.ask(path, session); got != reason {
				t.Errorf("%s, session %d, %s: %v, want %v", when, session[15], path, got, reason)
			}
		}
	}
	check("at first", ofAccount, map[string]policy.Reason{"/read": yes, "/write": yes, "/reports": yes, "/role": yes, "/any": yes})
	check("at first", ofClient, map[string]policy.Reason{"/read": yes, "/write": yes, "/reports": no, "/role": no, "/any": yes})
	check("at first", ofScope, map[string]policy.Reason{"/read": yes, "/write": no, "/reports": no, "/role": no, "/any": yes})

	w.apply(id, &fsm.UpdateRole{Role: directory.RoleID{1}, SetPermissions: true, Permissions: []directory.Permission{"read:*"}})
	w.row(id, directory.RowRole)
	check("the account may write no more", ofAccount, map[string]policy.Reason{"/read": yes, "/write": no})
	check("the account may write no more", ofClient, map[string]policy.Reason{"/read": yes, "/write": no})

	more := []directory.Permission{readPatients, readReports, writePatients}
	w.apply(id, &fsm.UpdateClient{ID: robot, Permissions: &more})
	w.row(id, directory.RowClient, robot)
	check("the client may have more than its tokens", ofClient, map[string]policy.Reason{"/read": yes, "/reports": no})

	w.apply(id, &fsm.EndSession{ID: ofScope})
	w.row(id, directory.RowSession, ofScope)
	check("one session ended", ofScope, map[string]policy.Reason{"/read": revoked})
	check("one session ended", ofClient, map[string]policy.Reason{"/read": yes})
	if !w.rows.swept[policy.Subject(ofScope)] || w.rows.swept[policy.Subject(ofClient)] || w.rows.swept[policy.Subject(account)] {
		t.Errorf("swept %v", w.rows.swept)
	}

	w.apply(id, &fsm.UpdateUser{User: robotUser(false, directory.UserID{15: 20})})
	w.row(id, directory.RowUser, account)
	check("the account deactivated", ofAccount, map[string]policy.Reason{"/any": gone})
	check("the account deactivated", ofClient, map[string]policy.Reason{"/any": gone})
	if !w.rows.swept[policy.Subject(ofClient)] || !w.rows.swept[policy.Subject(account)] {
		t.Errorf("swept %v", w.rows.swept)
	}
}

// The rows of a client that is gone from the state are as those of nobody, also
// where its sessions have not been heard of yet.
func TestBoundedTokensEndWithTheirClient(t *testing.T) {
	id := directory.OrgID{1}
	w := newBoundedWorld(t, newOrganizations(t, id), id)
	w.apply(id, &fsm.DeleteClient{ID: robot})
	w.row(id, directory.RowClient, robot)
	if got := w.ask("/any", ofClient); got != policy.ReasonInactive {
		t.Errorf("before the sessions' rows: %v", got)
	}
	w.row(id, directory.RowSession, ofClient, ofScope)
	if got := w.ask("/any", ofClient); got != policy.ReasonRevoked {
		t.Errorf("after them: %v", got)
	}
	if got := w.ask("/any", ofAccount); got != policy.ReasonAllowed {
		t.Errorf("the account's own: %v", got)
	}
}
