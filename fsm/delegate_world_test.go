package fsm_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// The small organization in which delegated administrators try everything.

func userID(n int) directory.UserID   { return id[directory.UserID](n) }
func groupID(n int) directory.GroupID { return id[directory.GroupID](n) }
func roleID(n int) directory.RoleID   { return id[directory.RoleID](n) }

// The users.
const (
	attacker   = iota // the delegate
	owner             // directly, by the built-in role
	chair             // owns by a group that is nested in the board
	tycoon            // owns by manage:*
	retired           // would own, but is deactivated
	settler           // manages settings and sees patients
	plain             // holds nothing
	gone              // like the settler, but deactivated
	robot             // a service account of the settler that sees patients
	overlord          // a service account of the plain user that owns
	gatekeeper        // has the role that a route policy asks for
	newcomer          // does not exist yet
	users
)

// The groups and roles.
const (
	board   = iota // its members own
	chairs         // is in the board
	lunch          // brings nothing
	doctors        // see patients
	newGroup
	groups
)

const (
	ownerRole = iota
	directoryAdminRole
	auditorRole
	everythingRole // manage:*
	settingsRole
	doctorRole
	gateRole // no permission, but its name is in a route policy
	attackerRole
	newRole
	roles
)

const (
	gateName     = "gate"     // a role of this name exists
	strangerName = "stranger" // and none of this one
)

const seePatients directory.Permission = "read:patients"

// allPermissions are those of the world.
var allPermissions = []directory.Permission{
	directory.ManageUsers, directory.ManageGroups, directory.ManageRoles, directory.ManageSettings, directory.ManageSessions,
	directory.ManageOrganization, directory.ReadDirectory, directory.ReadAuditLogs, seePatients, "manage:*", "read:*",
}

// world is the organization with a delegate who holds some permissions, and the key
// by which the delegate acts, if any.
func world(t *testing.T, held []directory.Permission) *ward {
	w := &ward{t: t, m: openEmpty(t), org: id[directory.OrgID](0), now: 1_700_000_000_000, index: 1}
	begin(t, w.m)
	w.must(&fsm.CreateOrganization{
		Organization: directory.Organization{ID: w.org, Slug: "a", Name: "a"}, Key: directory.SigningKey{ID: "k"},
		Roles: []directory.RoleID{roleID(ownerRole), roleID(directoryAdminRole), roleID(auditorRole)},
	})
	for n := range newcomer {
		u := directory.User{ID: userID(n), UserName: fmt.Sprintf("user-%d", n), Email: fmt.Sprintf("%d@x.example", n), Active: true}
		switch n {
		case robot:
			u.Service, u.Owner = true, userID(settler)
		case overlord:
			u.Service, u.Owner = true, userID(plain)
		}
		w.must(&fsm.CreateUser{User: u})
	}
	for n, members := range [][]int{board: {}, chairs: {chair}, lunch: {owner, plain, settler}, doctors: {settler}} {
		var ids []directory.UserID
		for _, m := range members {
			ids = append(ids, userID(m))
		}
		w.must(&fsm.CreateGroup{Group: directory.Group{ID: groupID(n), Name: fmt.Sprintf("group-%d", n)}, Members: ids})
	}
	w.must(&fsm.NestGroup{Parent: groupID(board), Child: groupID(chairs)})
	for n, ps := range map[int][]directory.Permission{
		everythingRole: {"manage:*"}, settingsRole: {directory.ManageSettings}, doctorRole: {seePatients},
		gateRole: {}, attackerRole: held,
	} {
		name := fmt.Sprintf("role-%d", n)
		if n == gateRole {
			name = gateName
		}
		w.must(&fsm.CreateRole{Role: directory.Role{ID: roleID(n), Name: name, Permissions: ps}})
	}
	w.assign()
	w.must(&fsm.CreateService{Service: directory.Service{ID: id[directory.ServiceID](0), Name: "charts", Listen: []string{"192.0.2.1:80"}}})
	w.must(&fsm.SetPolicies{Service: id[directory.ServiceID](0), Policies: []directory.RoutePolicy{{Path: "/", Roles: []string{gateName, strangerName}}}})
	w.must(&fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](0), Provider: "okta"}})
	w.must(&fsm.PutEventStream{Stream: worldStream()})
	w.clients()
	for _, n := range []int{owner, settler} {
		w.must(&fsm.StartSession{ID: id[directory.SessionID](n), User: userID(n)})
		w.must(&fsm.CreateAPIKey{Key: directory.APIKey{ID: id[directory.APIKeyID](n), Name: "k", Owner: userID(n), Permissions: []directory.Permission{directory.ManageSettings}}})
	}
	return w
}

// The clients of the world.
const (
	portal   = iota // carries everything that its users hold
	charts          // carries read:patients
	overseer        // acts as the overlord
	clients
)

func (w *ward) clients() {
	for n, c := range []directory.Client{
		portal:   {Unbounded: true, Redirects: []string{"https://portal.example/back"}},
		charts:   {Permissions: []directory.Permission{seePatients}, Redirects: []string{"https://charts.example/back"}},
		overseer: {Unbounded: true, Account: userID(overlord)},
	} {
		c.ID, c.Name, c.Secret = id[directory.ClientID](n), fmt.Sprintf("client-%d", n), [32]byte{byte(n + 1)}
		c.Grants = []directory.GrantType{directory.GrantAuthorizationCode}
		if n == overseer {
			c.Grants = []directory.GrantType{directory.GrantClientCredentials}
		}
		w.must(&fsm.CreateClient{Client: c})
	}
}

func (w *ward) assign() {
	n := 0
	give := func(role int, user, group int) {
		n++
		c := &fsm.AssignRole{ID: id[directory.AssignmentID](n), Role: roleID(role)}
		if user >= 0 {
			c.User = userID(user)
		} else {
			c.Group = groupID(group)
		}
		w.must(c)
	}
	give(ownerRole, owner, 0)
	give(ownerRole, -1, board)
	give(everythingRole, tycoon, 0)
	give(ownerRole, retired, 0)
	give(ownerRole, overlord, 0)
	give(settingsRole, settler, 0)
	give(settingsRole, gone, 0)
	give(doctorRole, -1, doctors)
	give(doctorRole, robot, 0)
	give(gateRole, gatekeeper, 0)
	give(attackerRole, attacker, 0)
	w.must(&fsm.SetUserActive{User: userID(retired)})
	w.must(&fsm.SetUserActive{User: userID(gone)})
}

// attempt is a command with what the table of operations demands for it; no
// permission: what users may do about themselves.
type attempt struct {
	name     string
	required directory.Permission
	command  fsm.OrgCommand
}

type attempts []attempt

func (a *attempts) add(required directory.Permission, c fsm.OrgCommand, format string, args ...any) {
	*a = append(*a, attempt{fmt.Sprintf("%T ", c)[5:] + fmt.Sprintf(format, args...), required, c})
}

// allAttempts are commands of every kind that somebody may be delegated, over what
// there is in the world and what one of them may have made.
func allAttempts(w *ward) (all attempts) {
	all.onUsers(w)
	all.onGroups()
	all.onRoles(w)
	all.onSettings()
	all.onEventStreams(w)
	all.onSessions()
	return all
}

func (a *attempts) onUsers(w *ward) {
	one := func(n int) directory.User {
		if u, ok := w.view().User(userID(n)); ok {
			return *u
		}
		return directory.User{ID: userID(n), UserName: "newcomer", Active: true}
	}
	create := one(newcomer)
	a.add(directory.ManageUsers, &fsm.CreateUser{User: create}, "newcomer")
	for _, of := range []int{attacker, owner, plain, retired} {
		create.Service, create.Owner = true, userID(of)
		a.add(directory.ManageUsers, &fsm.CreateUser{User: create}, "service account of %d", of)
	}
	for n := range users {
		known, off, moved := one(n), one(n), one(n)
		known.Email, known.UserName = "attacker@x.example", "taken-over"
		off.Active = !off.Active
		a.add(directory.ManageUsers, &fsm.UpdateUser{User: known}, "%d is known otherwise", n)
		a.add(directory.ManageUsers, &fsm.UpdateUser{User: off}, "%d active %v", n, off.Active)
		if moved.Service {
			moved.Owner = userID(attacker)
			a.add(directory.ManageUsers, &fsm.UpdateUser{User: moved}, "%d owned by the attacker", n)
		}
		a.add(directory.ManageUsers, &fsm.SetUserActive{User: userID(n), Active: off.Active}, "%d %v", n, off.Active)
		a.add(directory.ManageUsers, &fsm.DeleteUser{User: userID(n)}, "%d", n)
		for i, p := range []directory.Permission{directory.ManageUsers, directory.ManageSettings, seePatients, "read:*", "manage:*"} {
			key := directory.APIKey{ID: id[directory.APIKeyID](100 + 10*n + i), Name: "x", Owner: userID(n), Permissions: []directory.Permission{p}}
			a.add(directory.ManageUsers, &fsm.CreateAPIKey{Key: key}, "of %d for %s", n, p)
			if n == attacker {
				a.add("", &fsm.CreateAPIKey{Key: key}, "of their own for %s", p)
			}
		}
	}
	for _, n := range []int{owner, settler} {
		a.add(directory.ManageUsers, &fsm.RevokeAPIKey{ID: id[directory.APIKeyID](n)}, "of %d", n)
		a.add("", &fsm.RevokeAPIKey{ID: id[directory.APIKeyID](n)}, "of %d, as if their own", n)
	}
}

func (a *attempts) onGroups() {
	me := []directory.UserID{userID(attacker)}
	a.add(directory.ManageGroups, &fsm.CreateGroup{Group: directory.Group{ID: groupID(newGroup), Name: "new"}, Members: me}, "with the attacker")
	name := "renamed"
	for g := range groups {
		a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(g), Name: &name}, "%d", g)
		a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(g), Add: []directory.UserID{userID(plain), userID(attacker)}}, "%d add", g)
		a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(g), Add: []directory.UserID{userID(newcomer)}}, "%d add the newcomer", g)
		a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(g), SetMembers: true, Set: me}, "%d set", g)
		for _, n := range []int{owner, chair, settler} {
			a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(g), Remove: []directory.UserID{userID(n)}}, "%d remove %d", g, n)
		}
		a.add(directory.ManageGroups, &fsm.DeleteGroup{Group: groupID(g)}, "%d", g)
		for child := range groups {
			if child != g {
				a.add(directory.ManageGroups, &fsm.NestGroup{Parent: groupID(g), Child: groupID(child)}, "%d in %d", child, g)
				a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(g), AddNested: []directory.GroupID{groupID(child)}}, "%d among the members of %d", child, g)
			}
		}
	}
	a.add(directory.ManageGroups, &fsm.UnnestGroup{Parent: groupID(board), Child: groupID(chairs)}, "")
	a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(board), RemoveNested: []directory.GroupID{groupID(chairs)}}, "chairs out of the board")
	a.add(directory.ManageGroups, &fsm.ChangeGroup{Group: groupID(board), SetNested: true}, "no group in the board")
}

func (a *attempts) onRoles(w *ward) {
	for i, ps := range [][]directory.Permission{{}, {directory.ManageUsers}, {directory.ManageOrganization}, {"manage:*"}, {seePatients}, {"read:*"}} {
		a.add(directory.ManageRoles, &fsm.CreateRole{Role: directory.Role{ID: roleID(newRole), Name: "new", Permissions: ps}}, "%v", ps)
		if i == 0 {
			a.add(directory.ManageRoles, &fsm.CreateRole{Role: directory.Role{ID: roleID(newRole), Name: strangerName}}, "that a policy asks for")
		}
	}
	stranger, harmless, gate := strangerName, "harmless", gateName
	for r := range roles {
		for _, p := range []directory.Permission{directory.ManageUsers, directory.ManageSettings, directory.ManageOrganization, "manage:*", seePatients} {
			a.add(directory.ManageRoles, &fsm.UpdateRole{Role: roleID(r), Add: []directory.Permission{p}}, "%d add %s", r, p)
		}
		a.add(directory.ManageRoles, &fsm.UpdateRole{Role: roleID(r), SetPermissions: true}, "%d without permissions", r)
		for _, name := range []*string{&stranger, &harmless, &gate} {
			a.add(directory.ManageRoles, &fsm.UpdateRole{Role: roleID(r), Name: name}, "%d named %s", r, *name)
		}
		a.add(directory.ManageRoles, &fsm.DeleteRole{Role: roleID(r)}, "%d", r)
		for i, ends := range []directory.Time{0, w.now + 1000} {
			for _, n := range []int{attacker, owner, retired, plain, newcomer, robot, overlord} {
				assign := &fsm.AssignRole{ID: id[directory.AssignmentID](1000 + 100*r + 10*i + n), Role: roleID(r), User: userID(n), Expires: ends}
				a.add(directory.ManageRoles, assign, "%d to %d until %d", r, n, ends)
			}
			for _, g := range []int{board, chairs, lunch, newGroup} {
				assign := &fsm.AssignRole{ID: id[directory.AssignmentID](2000 + 100*r + 10*i + g), Role: roleID(r), Group: groupID(g), Expires: ends}
				a.add(directory.ManageRoles, assign, "%d to group %d until %d", r, g, ends)
			}
		}
		for _, n := range []int{owner, tycoon, retired, overlord, settler, attacker} {
			a.add(directory.ManageRoles, &fsm.UnassignRole{Role: roleID(r), User: userID(n)}, "%d from %d", r, n)
		}
		for _, g := range []int{board, doctors} {
			a.add(directory.ManageRoles, &fsm.UnassignRole{Role: roleID(r), Group: groupID(g)}, "%d from group %d", r, g)
		}
	}
	a.add(directory.ManageRoles, &fsm.DescribePermission{Permission: seePatients, Description: "x"}, "")
}

func (a *attempts) onSettings() {
	name := "renamed"
	service, own := id[directory.ServiceID](0), id[directory.ServiceID](1)
	policies := []directory.RoutePolicy{{Path: "/", Roles: []string{"role-7"}}}
	a.add(directory.ManageSettings, &fsm.UpdateOrganization{Name: &name}, "name")
	a.add(directory.ManageSettings, &fsm.UpdateOrganization{SetDomains: true, Domains: []directory.Domain{{Name: "x.example", Challenge: "c"}}}, "domains")
	a.add(directory.ManageSettings, &fsm.VerifyDomain{Name: "x.example", Challenge: "c"}, "")
	a.add(directory.ManageSettings, &fsm.PutSchema{}, "")
	a.add(directory.ManageSettings, &fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](1), Provider: "okta"}}, "")
	a.add(directory.ManageSettings, &fsm.DeleteConnection{ID: id[directory.ConnectionID](0)}, "")
	connection, disabled, enabled := id[directory.ConnectionID](0), true, false
	token := directory.ConnectionToken{Hash: [32]byte{7}}
	a.add(directory.ManageSettings, &fsm.UpdateConnection{ID: connection, Disabled: &disabled}, "")
	a.add(directory.ManageSettings, &fsm.UpdateConnection{ID: connection, Disabled: &enabled, NoTarget: &enabled}, "enabled")
	issuer, audience := "https://sts.windows.net/tenant/", "scim"
	a.add(directory.ManageSettings, &fsm.UpdateConnection{ID: connection, Issuer: &issuer, Audience: &audience}, "trusting")
	a.add(directory.ManageSettings, &fsm.UpdateConnection{ID: connection, SeesAll: &disabled, SharesNames: &disabled}, "sees all")
	a.add(directory.ManageSettings, &fsm.RotateConnectionToken{ID: connection, Token: token}, "")
	a.add(directory.ManageSettings, &fsm.RevokeConnectionToken{ID: connection, Token: token.Name()}, "")
	a.onClients()
	for n := range roles {
		a.add(directory.ManageSettings, &fsm.SetConnectionMappings{ID: connection, Mappings: []directory.Mapping{{Name: "group-9", Role: roleID(n)}}}, "role %d", n)
	}
	key := directory.SigningKey{ID: "next", Public: []byte{1}, Sealed: []byte{1}}
	a.add(directory.ManageSettings, &fsm.AnnounceKey{Key: key}, "")
	a.add(directory.ManageSettings, &fsm.MoveKey{ID: "k", To: directory.KeyRetiring}, "")
	a.add(directory.ManageSettings, &fsm.RevokeKey{ID: "k", Next: key}, "")
	a.add(directory.ManageSettings, &fsm.SetKeyPolicy{Policy: directory.KeyPolicy{Algorithms: []directory.KeyAlgorithm{directory.EdDSA}}}, "")
	a.add(directory.ManageSettings, &fsm.CreateService{Service: directory.Service{ID: own, Name: "own", Listen: []string{"192.0.2.2:80"}}}, "")
	a.add(directory.ManageSettings, &fsm.SetPolicies{Service: own, Policies: policies}, "")
	a.add(directory.ManageSettings, &fsm.WritePolicies{Service: own, Policies: policies}, "")
	a.add(directory.ManageOrganization, &fsm.SetDryRun{Service: service, On: true}, "")
	a.add(directory.ManageSettings, &fsm.SetDryRun{Service: service, On: true}, "without asking for the right")
	a.add(directory.ManageSettings, &fsm.DeleteService{ID: service}, "")
	a.add(directory.ManageOrganization, &fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}}, "")
}

// worldStream is the event stream of the world, before it has a version.
func worldStream() directory.EventStream {
	return directory.EventStream{ID: id[directory.EventStreamID](0), Audience: "a", Delivery: directory.DeliveryPoll, Token: [32]byte{7}}
}

func (a *attempts) onEventStreams(w *ward) {
	stream := worldStream()
	there, _ := w.view().EventStream(stream.ID)
	stream.Version = there.Version
	paused := stream
	paused.Paused = true
	a.add(directory.ManageSettings, &fsm.PutEventStream{Stream: paused}, "paused")
	stream.Audience = "another"
	a.add(directory.ManageSettings, &fsm.PutEventStream{Stream: stream}, "another audience")
	stream.ID, stream.Version = id[directory.EventStreamID](1), 0
	a.add(directory.ManageSettings, &fsm.PutEventStream{Stream: stream}, "new")
	a.add(directory.ManageSettings, &fsm.DeleteEventStream{ID: paused.ID}, "")
}

func (a *attempts) onClients() {
	redirects := []string{"https://attacker.example/back"}
	for n, ps := range [][]directory.Permission{{}, {seePatients}, {"read:*"}, {directory.ManageUsers}, {directory.ManageOrganization}} {
		a.add(directory.ManageSettings, &fsm.CreateClient{Client: directory.Client{
			ID: id[directory.ClientID](100 + n), Name: "x", Public: true, Redirects: redirects, Permissions: ps,
			Grants: []directory.GrantType{directory.GrantAuthorizationCode},
		}}, "for %v", ps)
	}
	unbounded := directory.Client{
		ID: id[directory.ClientID](110), Name: "x", Public: true, Redirects: redirects, Unbounded: true,
		Grants: []directory.GrantType{directory.GrantAuthorizationCode},
	}
	a.add(directory.ManageSettings, &fsm.CreateClient{Client: unbounded}, "for everything")
	for _, n := range []int{robot, overlord, plain, owner} {
		a.add(directory.ManageSettings, &fsm.CreateClient{Client: directory.Client{
			ID: id[directory.ClientID](120 + n), Name: "x", Secret: [32]byte{7}, Unbounded: true, Account: userID(n),
			Grants: []directory.GrantType{directory.GrantClientCredentials},
		}}, "as %d", n)
	}
	all, secret := true, [32]byte{7}
	for n := range clients {
		client := id[directory.ClientID](n)
		a.add(directory.ManageSettings, &fsm.UpdateClient{ID: client, Secret: &secret}, "%d's secret", n)
		a.add(directory.ManageSettings, &fsm.UpdateClient{ID: client, Redirects: &redirects}, "%d's redirect URI", n)
		a.add(directory.ManageSettings, &fsm.UpdateClient{ID: client, Unbounded: &all}, "%d for everything", n)
		a.add(directory.ManageSettings, &fsm.DeleteClient{ID: client}, "%d", n)
	}
}

func (a *attempts) onSessions() {
	a.add(directory.ManageSessions, &fsm.EndOrganizationSessions{}, "")
	for n := range users {
		a.add(directory.ManageSessions, &fsm.StartSession{ID: id[directory.SessionID](100 + n), User: userID(n), Methods: []string{"mfa"}}, "of %d", n)
		a.add(directory.ManageSessions, &fsm.EndUserSessions{User: userID(n)}, "of %d", n)
	}
	for _, n := range []int{owner, settler} {
		a.add(directory.ManageSessions, &fsm.EndSession{ID: id[directory.SessionID](n)}, "of %d", n)
	}
}

// couldHold is what a user holds, or would if they were active.
func couldHold(o *state.Org, user directory.UserID) (ps []directory.Permission) {
	if len(o.Permissions().DirectRoles(user))+len(o.Permissions().Groups(user)) == 0 {
		return nil
	}
	for _, p := range allPermissions {
		if len(o.Permissions().WhyIfActive(user, p)) > 0 {
			ps = append(ps, p)
		}
	}
	return ps
}

// beyond are the permissions in ps that are not in held.
func beyond(ps, held []directory.Permission) []directory.Permission {
	return slices.DeleteFunc(slices.Clone(ps), func(p directory.Permission) bool { return slices.Contains(held, p) })
}
