package enforce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

const lateToken = "token.of.who.came.late"

var (
	late   = directory.UserID{15: 22}
	ofLate = directory.SessionID{15: 44}
)

// filler is a row that nobody has.
func filler(n int) (id [16]byte) {
	id[0] = 0xff
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// fillUp writes rows until there is room for no more.
func (s *site) fillUp(write func(n int) error) {
	s.t.Helper()
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		err = write(n)
	}
	if !errors.Is(err, bpf.ErrNoRoom) {
		s.t.Fatalf("row %d: %v", n, err)
	}
}

// comes has one more user sign in.
func (s *site) comes() {
	s.t.Helper()
	s.apply(s.org, &fsm.CreateUser{User: directory.User{ID: late, UserName: "eve", Active: true, Source: directory.SourceAPI}})
	s.apply(s.org, &fsm.AssignRole{ID: directory.AssignmentID{15: 2}, Role: directory.RoleID{15: 1}, User: late})
	s.apply(s.org, &fsm.StartSession{ID: ofLate, User: late, Refresh: [32]byte{3}, Token: accessToken(lateToken)})
	s.changed(directory.Row{Kind: directory.RowUser, ID: late}, directory.Row{Kind: directory.RowSession, ID: ofLate})
	s.enforced()
}

// refusedForRoom asserts that one row has no room, that it is told, and that nothing of
// whose row it is gets through, and everything of the others.
func (s *site) refusedForRoom(kind, verdict string) {
	s.t.Helper()
	for range siegeMin {
		if got := send(s.address, requestFor("/read", lateToken, hostileMark)); got != verdict {
			s.t.Fatalf("without room for %s: %s", kind, got)
		}
	}
	s.becomes("/read", ownToken, "200")
	counters, _, _, err := s.kernel.Report()
	if n := counters[kind+"_without_room"]; n != 1 || err != nil {
		s.t.Errorf("%d %s have no room, %v", n, kind, err)
	}
	if line := s.kernel.Lacking(); !strings.HasSuffix(line, ": 1 "+kind) {
		s.t.Errorf("it lacks %q", line)
	}
	if n := strings.Count(s.log.String(), "has no room for more "+kind); n != 1 {
		s.t.Errorf("logged %d times: %s", n, s.log)
	}
	if err := s.enforcer.Failing(); err != nil {
		s.t.Errorf("the node follows no more: %v", err)
	}
}

// One row too many had the node fill all its tables anew, each second, and refuse
// everybody. It refuses whom it has no room for, and says so, until others go.
func TestSiegeOfFullTables(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	subject := func(s *site, n int) error {
		return s.kernel.Enforcer.PutSubject(filler(n), policy.SubjectEntry{Org: 1})
	}
	token := func(s *site, n int) error {
		return s.kernel.Enforcer.PutToken(tokenKey(filler(n)), policy.TokenEntry{Org: 1, Length: 1})
	}
	for _, c := range []struct {
		kind, verdict string
		write         func(*site, int) error
		remove        func(*site, int) error
	}{
		{"users", "401 user_inactive", subject, func(s *site, n int) error { return s.kernel.DeleteSubject(filler(n)) }},
		{"tokens", "401 unknown_token", token, func(s *site, n int) error { return s.kernel.DeleteToken(tokenKey(filler(n))) }},
	} {
		t.Run(c.kind, func(t *testing.T) {
			s := newSite(t)
			s.opened()
			s.besieged("no room for "+c.kind, func() {
				s.fillUp(func(n int) error { return c.write(s, n) })
				s.comes()
				s.refusedForRoom(c.kind, c.verdict)
				if err := c.remove(s, 0); err != nil {
					t.Fatal(err)
				}
				s.becomes("/read", lateToken, "200")
				if line := s.kernel.Lacking(); line != "" {
					t.Errorf("with room it lacks %q", line)
				}
				s.apply(s.org, &fsm.UpdateUser{User: robotUser(false, directory.UserID{15: 20})})
				s.changed(directory.Row{Kind: directory.RowUser, ID: account}) // a row that is there
				s.becomes("/read", ownToken, "401 user_inactive")
			})
		})
	}
}

// long is a service of 6,000 path states at each of its addresses.
func long(listen ...string) directory.Service {
	service := directory.Service{ID: directory.ServiceID{15: 2}, Name: "long", Listen: listen}
	for i := range 100 {
		path := fmt.Sprintf("/%02d/%s", i, strings.Repeat("x", 56))
		service.Policies = append(service.Policies, directory.RoutePolicy{Path: path, Public: true})
	}
	return service
}

// A policy that did not fit had the node fill all its tables anew, each second, refuse
// everybody, and leave the addresses that came after it open. Its address refuses
// everything, and no other.
func TestSiegeOfAPolicyThatDoesNotFit(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	s := newSite(t)
	s.opened()
	listeners := []string{s.serve(plain(t, "127.0.0.1:0")), s.serve(plain(t, "127.0.0.1:0")), s.serve(plain(t, "127.0.0.1:0"))}
	service := long(listeners...)
	after := s.serve(plain(t, "127.0.0.1:0"))
	fits := func(address string) bool {
		got := send(address, requestFor(service.Policies[0].Path, "", ""))
		if got != "200" && got != "503 enforcement_unavailable" {
			t.Errorf("%s answers %s", address, got)
		}
		return got == "200"
	}
	s.besieged("does not fit", func() {
		s.apply(s.org, &fsm.CreateService{Service: service})
		s.apply(s.org, &fsm.CreateService{Service: directory.Service{
			ID: directory.ServiceID{15: 3}, Name: "after", Listen: []string{after}, Policies: []directory.RoutePolicy{{Path: "/after", Public: true}},
		}})
		for _, rebuilt := range []bool{false, true} {
			if rebuilt { // the entry that has come last is in the tables when they are
				s.apply(s.org, &fsm.UpdateRole{Role: directory.RoleID{15: 1}, SetPermissions: true, Permissions: []directory.Permission{readPatients, writePatients}})
				s.enforcer.Changed(nil, true)
			} else {
				s.changed(directory.Row{Kind: directory.RowService})
			}
			s.enforced()
			s.becomes("/read", ownToken, "200")
			if !fits(listeners[0]) || !fits(listeners[1]) || fits(listeners[2]) {
				t.Errorf("rebuilt %v: not the third alone is closed: %+v", rebuilt, s.kernel.Standings())
			}
			if got := send(after, requestFor("/read", "", hostileMark)); got != "403 no_route" {
				t.Errorf("the address that came after: %s", got)
			}
			if line := s.kernel.Lacking(); !strings.HasSuffix(line, ": "+listeners[2]) {
				t.Errorf("it lacks %q", line)
			}
		}
		s.apply(s.org, &fsm.SetPolicies{Service: service.ID, Policies: service.Policies[:1]})
		s.changed(directory.Row{Kind: directory.RowService})
		s.enforced()
		if !fits(listeners[2]) || s.kernel.Lacking() != "" {
			t.Errorf("shorter, it lacks %q", s.kernel.Lacking())
		}
	})
}

// An address that waited for room had its policy of before written into tables that had
// been emptied.
func TestPolicyOfBeforeDoesNotComeBack(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	p := newPair(t)
	other, all := netip.MustParseAddrPort("127.9.9.9:1000"), &policy.Program{Rows: make([]policy.Row, 16384), Accepts: make([]policy.Accept, 1)}
	if err := p.Enforcer.SetService(other, all); err != nil {
		t.Fatal(err)
	}
	ask := func(why, want string) {
		t.Helper()
		if got := send(p.plain, requestFor("/data/a", "", "")); got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
	}
	p.set(p.plain)
	ask("without room", "503 enforcement_unavailable")
	if err := errors.Join(p.Reset(), p.Reap()); err != nil {
		t.Fatal(err)
	}
	ask("emptied", "503 enforcement_unavailable")
	p.set(p.plain)
	ask("set again", "401 no_token")
}

// narrow is a table that takes no token, and not one address.
type narrow struct {
	*memory
	not string
}

var errNarrow = errors.New("narrow")

func (n narrow) PutToken(policy.TokenKey, policy.TokenEntry) error { return errNarrow }

func (n narrow) SetService(listen, upstream string, org uint32, program *policy.Program) error {
	if listen == n.not {
		return errNarrow
	}
	return n.memory.SetService(listen, upstream, org, program)
}

// What could not be written kept the addresses from being guarded that came after it.
func TestAddressesAreGuardedWhateverElseFails(t *testing.T) {
	first, second := directory.OrgID{1}, directory.OrgID{2}
	o := newOrganizations(t, first, second)
	newBoundedWorld(t, o, first)
	o.apply(first, &fsm.CreateService{Service: directory.Service{ID: directory.ServiceID{2}, Name: "next", Listen: []string{"127.0.0.1:2"}}})
	o.apply(second, &fsm.CreateService{Service: directory.Service{ID: directory.ServiceID{3}, Name: "other", Listen: []string{"127.0.0.1:3"}}})
	for _, not := range []string{"", boundedListen} {
		rows := newMemory()
		p := newProjection(narrow{rows, not}, still{}, func(string) bool { return true }, nil)
		if err := p.rebuild(o.machine.Root()); !errors.Is(err, errNarrow) {
			t.Errorf("rebuilt: %v", err)
		}
		for _, listen := range []string{boundedListen, "127.0.0.1:2", "127.0.0.1:3"} {
			if guarded := rows.programs[listen] != nil; guarded == (listen == not) {
				t.Errorf("without %q: %s is guarded: %v", not, listen, guarded)
			}
		}
	}
}

// Each application is tested before the next address was set, and the last one was open
// for as long as all tests took.
func TestAddressesAreGuardedBeforeTheFirstTest(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	s := newSite(t)
	s.populate()
	last := s.address
	for i := range 12 {
		last = s.serve(plain(t, "127.0.0.1:0"))
		s.apply(s.org, &fsm.CreateService{Service: directory.Service{ID: directory.ServiceID{14: 1, 15: byte(i)}, Name: fmt.Sprint("service ", i), Listen: []string{last}}})
	}
	open := send(last, requestFor("/anything", "", ""))
	s.open(s.quorum(), siegeLease, siegeEvery)
	for !strings.Contains(s.log.String(), "a service is guarded by the kernel") { // the first was tested
		pause(t.Context(), time.Millisecond)
	}
	if got := send(last, requestFor("/anything", "", hostileMark)); open != "200" || s.hostile.Load() != 0 {
		t.Errorf("the last address answered %s before the gate, and %s when the first was tested", open, got)
	}
	s.enforced()
	s.becomes("/read", ownToken, "200")
}
