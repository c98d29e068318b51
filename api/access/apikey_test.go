package access_test

import (
	"context"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/wire"
)

// clinic is a world whose clock stands still and whose first organization has
// users with roles and keys.
type clinic struct {
	*world
	machine *fsm.Machine
	now     time.Time
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	c := &clinic{machine: machine, now: time.UnixMilli(1_700_000_000_000)}
	c.world = newWorldOn(t, machine, func() time.Time { return c.now })
	return c
}

// change makes the operator's change in the first organization.
func (c *clinic) change(op access.Operation, command fsm.OrgCommand) {
	c.t.Helper()
	pass, err := c.gate.Admit(c.t.Context(), c.caller(c.operator), c.orgs[0], op, access.Freshness{})
	must(c.t, err)
	_, err = pass.Propose(c.t.Context(), command, access.IdempotencyKey{})
	must(c.t, err)
}

// user makes an active user who holds permissions through a role of their own.
func (c *clinic) user(name string, permissions ...directory.Permission) directory.UserID {
	c.t.Helper()
	id := access.NewID[directory.UserID](c.now)
	c.change("users.create", &fsm.CreateUser{User: directory.User{
		ID: id, UserName: name, Active: true, Source: directory.SourceAPI,
	}})
	if len(permissions) > 0 {
		role := access.NewID[directory.RoleID](c.now)
		c.change("roles.create", &fsm.CreateRole{Role: directory.Role{ID: role, Name: name, Permissions: permissions}})
		c.change("roles.assign", &fsm.AssignRole{ID: access.NewID[directory.AssignmentID](c.now), Role: role, User: id})
	}
	return id
}

// strip takes the role of a user away.
func (c *clinic) strip(name string) {
	c.t.Helper()
	org, _ := c.machine.Root().Org(c.orgs[0])
	role, ok := org.RoleByName(name)
	if !ok {
		c.t.Fatalf("no role %s", name)
	}
	c.change("roles.delete", &fsm.DeleteRole{Role: role.ID})
}

// key makes a key of the first organization.
func (c *clinic) key(owner directory.UserID, expires directory.Time, permissions ...directory.Permission) (directory.APIKeyID, string) {
	c.t.Helper()
	id := access.NewID[directory.APIKeyID](c.now)
	key, hash := access.NewAPIKey(c.orgs[0], id)
	c.change("api-keys.create", &fsm.CreateAPIKey{Key: directory.APIKey{
		ID: id, Name: "job", Owner: owner, Permissions: permissions, Token: hash, Expires: expires,
	}})
	return id, key
}

// admits reports whether a credential is let through to an operation.
func (c *clinic) admits(token string, op access.Operation) bool {
	c.t.Helper()
	_, err := c.gate.Admit(c.t.Context(), c.caller(token), c.orgs[0], op, access.Freshness{})
	if err != nil && directory.KindOf(err) != directory.KindDenied {
		c.t.Errorf("%s: %v", op, err)
	}
	return err == nil
}

func as(user directory.UserID, org directory.OrgID) access.Caller {
	return access.Caller{Actor: directory.Actor{Kind: directory.ActorUser, ID: user}, Org: org, Source: "api"}
}

func TestDamagedAPIKeys(t *testing.T) {
	c := newClinic(t)
	_, key := c.key(c.user("alice", directory.ReadDirectory), 0, directory.ReadDirectory)
	caller := c.caller(key)
	if caller.Actor.Kind != directory.ActorAPIKey || caller.Org != c.orgs[0] {
		t.Fatalf("the key is %+v", caller)
	}
	c.onlyWhole(key)
}

func TestForeignAPIKeys(t *testing.T) {
	c := newClinic(t)
	id, key := c.key(c.user("alice", directory.ReadDirectory), 0, directory.ReadDirectory)
	other, _ := access.NewAPIKey(c.orgs[0], id)
	c.refused("another secret for a known key", other)
	moved, _ := access.NewAPIKey(c.orgs[1], id)
	c.refused("a key under another organization", moved)
	nowhere, _ := access.NewAPIKey(access.NewID[directory.OrgID](c.now), id)
	c.refused("a key of an organization that is not there", nowhere)
	never, _ := access.NewAPIKey(c.orgs[0], access.NewID[directory.APIKeyID](c.now))
	c.refused("a key that was never made", never)
	c.refused("a key in the form of a connection's token", "afs_"+key[4:])
	c.refused("a connection's token in the form of a key", "afk_"+c.token[0][4:])

	_, foreign := c.gate.Admit(t.Context(), c.caller(key), c.orgs[1], "users.list", access.Freshness{})
	_, missing := c.gate.Admit(t.Context(), c.caller(key), access.NewID[directory.OrgID](c.now), "users.list", access.Freshness{})
	if directory.KindOf(foreign) != directory.KindNotFound || foreign.Error() != missing.Error() {
		t.Errorf("another organization answers %v, an unknown one %v", foreign, missing)
	}
}

// TestAPIKeyEnds: with its revocation, its time, its owner and its organization.
func TestAPIKeyEnds(t *testing.T) {
	for _, row := range []struct {
		what string
		end  func(c *clinic, id directory.APIKeyID, owner directory.UserID)
	}{
		{"revoked", func(c *clinic, id directory.APIKeyID, _ directory.UserID) {
			c.change("api-keys.revoke", &fsm.RevokeAPIKey{ID: id})
		}},
		{"owner deactivated", func(c *clinic, _ directory.APIKeyID, owner directory.UserID) {
			c.change("users.deactivate", &fsm.SetUserActive{User: owner})
		}},
		{"owner deactivated and back", func(c *clinic, _ directory.APIKeyID, owner directory.UserID) {
			c.change("users.deactivate", &fsm.SetUserActive{User: owner})
			c.change("users.activate", &fsm.SetUserActive{User: owner, Active: true})
		}},
		{"owner deleted", func(c *clinic, _ directory.APIKeyID, owner directory.UserID) {
			c.change("users.delete", &fsm.DeleteUser{User: owner})
		}},
		{"organization suspended", func(c *clinic, _ directory.APIKeyID, _ directory.UserID) {
			c.change("organizations.limit", &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
		}},
	} {
		t.Run(row.what, func(t *testing.T) {
			c := newClinic(t)
			owner := c.user("alice", directory.ReadDirectory, directory.ManageGroups)
			id, key := c.key(owner, 0, directory.ReadDirectory, directory.ManageGroups)
			caller := c.caller(key)
			early, err := c.gate.Admit(t.Context(), caller, c.orgs[0], "groups.create", access.Freshness{})
			must(t, err)
			row.end(c, id, owner)
			c.refused("the key", key)
			if _, err := c.gate.Admit(t.Context(), caller, c.orgs[0], "users.list", access.Freshness{}); directory.KindOf(err) != directory.KindDenied {
				t.Errorf("a caller from before is admitted: %v", err)
			}
			c.unmoved(func() {
				if _, err := early.Propose(t.Context(), aGroup(c.now), access.IdempotencyKey{}); directory.KindOf(err) != directory.KindDenied {
					t.Errorf("a pass from before proposes: %v", err)
				}
			})
		})
	}
}

// TestSuspendedOrganization: nobody of it is let through to any row, and operators
// are to all that are theirs.
func TestSuspendedOrganization(t *testing.T) {
	c := newClinic(t)
	alice := c.user("alice", directory.ManageOrganization, directory.ReadDirectory, directory.ManageUsers)
	provider := c.caller(c.token[0])
	c.change("organizations.limit", &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	c.refused("the connection's token", c.token[0])
	c.caller(c.token[1])
	for _, op := range access.Operations() {
		rule, _ := access.RuleOf(op)
		if rule.Scope != access.Organization {
			continue
		}
		for _, caller := range []access.Caller{provider, as(alice, c.orgs[0])} {
			if _, err := c.gate.Admit(t.Context(), caller, c.orgs[0], op, access.Freshness{}); directory.KindOf(err) != directory.KindDenied {
				t.Errorf("%s by %s: %v", op, caller.Actor, err)
			}
		}
		if c.admits(c.operator, op) != rule.Operator {
			t.Errorf("%s by the operator: admitted %v", op, !rule.Operator)
		}
	}
}

// TestAPIKeyExpires by the gate's clock, before anybody has proposed its end.
func TestAPIKeyExpires(t *testing.T) {
	c := newClinic(t)
	owner := c.user("alice", directory.ReadDirectory)
	end := c.now.Add(time.Hour)
	_, key := c.key(owner, directory.TimeOf(end), directory.ReadDirectory)
	c.now = end.Add(-time.Millisecond)
	caller := c.caller(key)
	c.now = end
	c.refused("an expired key", key)
	if _, err := c.gate.Admit(t.Context(), caller, c.orgs[0], "users.list", access.Freshness{}); directory.KindOf(err) != directory.KindDenied {
		t.Errorf("a caller from before is admitted: %v", err)
	}
}

// TestAPIKeyHoldsWhatBothHold: what the key names and its owner still holds.
func TestAPIKeyHoldsWhatBothHold(t *testing.T) {
	c := newClinic(t)
	owner := c.user("alice", directory.ReadDirectory, directory.ManageGroups, "read:*")
	_, narrow := c.key(owner, 0, directory.ReadDirectory)
	_, wide := c.key(owner, 0, "read:*")
	for _, row := range []struct {
		key string
		op  access.Operation
		ok  bool
	}{
		{narrow, "users.list", true},
		{narrow, "groups.create", false}, // the owner's, not the key's
		{narrow, "audit-log.read", false},
		{wide, "users.list", true},
		{wide, "audit-log.read", true},
		{wide, "groups.create", false},
	} {
		if c.admits(row.key, row.op) != row.ok {
			t.Errorf("%s: admitted %v", row.op, !row.ok)
		}
	}
	c.strip("alice")
	for _, key := range []string{narrow, wide} {
		if c.admits(key, "users.list") {
			t.Error("the owner holds nothing, and the key does")
		}
	}
}

// TestAPIKeyIsNobodysSelf walks the table: a key that names everything is admitted
// by the permission of a row and by nothing else, and one that names what no row
// asks for is admitted nowhere.
func TestAPIKeyIsNobodysSelf(t *testing.T) {
	c := newClinic(t)
	var everything []directory.Permission
	for _, op := range access.Operations() {
		if r, _ := access.RuleOf(op); r.Permission != "" {
			everything = append(everything, r.Permission)
		}
	}
	owner := c.user("alice", append(everything, "read:patients")...)
	_, all := c.key(owner, 0, everything...)
	_, none := c.key(owner, 0, "read:patients")
	for _, op := range access.Operations() {
		rule, _ := access.RuleOf(op)
		if rule.Scope == access.Instance {
			if _, err := c.gate.AdmitSystem(t.Context(), c.caller(all), op, access.Freshness{}); directory.KindOf(err) != directory.KindDenied {
				t.Errorf("%s is open to a key: %v", op, err)
			}
			continue
		}
		if want := rule.Permission != "" && !rule.NoAPIKey; c.admits(all, op) != want {
			t.Errorf("%s with every permission: admitted %v", op, !want)
		}
		if c.admits(none, op) {
			t.Errorf("%s is open to a key without its permission", op)
		}
	}
}

// TestAPIKeyMakesNoKeys also when the table would let it.
func TestAPIKeyMakesNoKeys(t *testing.T) {
	c := newClinic(t)
	owner := c.user("alice", directory.ManageUsers)
	_, key := c.key(owner, 0, directory.ManageUsers)
	if c.admits(key, "api-keys.create") {
		t.Error("a key is admitted to make keys")
	}
	pass, err := c.gate.Admit(t.Context(), c.caller(key), c.orgs[0], "users.create", access.Freshness{})
	must(t, err)
	c.unmoved(func() {
		_, err := pass.Propose(t.Context(), &fsm.CreateAPIKey{Key: directory.APIKey{
			ID: access.NewID[directory.APIKeyID](c.now), Name: "next", Owner: owner, Permissions: []directory.Permission{directory.ManageUsers},
		}}, access.IdempotencyKey{})
		if directory.KindOf(err) != directory.KindDenied {
			t.Errorf("the machine lets a key make a key: %v", err)
		}
	})
}

func aGroup(now time.Time) fsm.OrgCommand {
	return &fsm.CreateGroup{Group: directory.Group{ID: access.NewID[directory.GroupID](now), Name: "late"}}
}

// unmoved demands that nothing in the first organization changes but its log.
func (c *clinic) unmoved(try func()) {
	c.t.Helper()
	count := func() [5]int {
		org, _ := c.machine.Root().Org(c.orgs[0])
		return [5]int{org.Users(), org.Groups(), org.Roles(), org.APIKeys(), org.Connections()}
	}
	before := count()
	try()
	if after := count(); after != before {
		c.t.Errorf("users, groups, roles, keys and connections were %v and are %v", before, after)
	}
}

// commands are an empty one of each kind that changes an organization.
func commands() (all []fsm.OrgCommand) {
	for _, kind := range fsm.Kinds() {
		if c, ok := fsm.New(kind).(fsm.OrgCommand); ok {
			all = append(all, c)
		}
	}
	return all
}

// TestSelfWritesNothingButOwnKeys walks the table and the commands: whoever is
// admitted to what is about themselves can make and revoke their own keys, by the
// two rows that say so, and change nothing else.
func TestSelfWritesNothingButOwnKeys(t *testing.T) {
	c := newClinic(t)
	alice, bob := c.user("alice", "read:patients"), c.user("bob", "read:patients")
	bobs, _ := c.key(bob, 0, "read:patients")
	newKey := func(owner directory.UserID, p directory.Permission) fsm.OrgCommand {
		return &fsm.CreateAPIKey{Key: directory.APIKey{
			ID: access.NewID[directory.APIKeyID](c.now), Name: "mine", Owner: owner, Permissions: []directory.Permission{p},
		}}
	}
	attempts := append(commands(),
		aGroup(c.now), &fsm.SetUserActive{User: bob}, &fsm.SetUserActive{User: alice}, &fsm.DeleteUser{User: alice},
		&fsm.EndUserSessions{User: alice}, newKey(bob, "read:patients"), newKey(alice, directory.ManageUsers),
		&fsm.RevokeAPIKey{ID: bobs}, &fsm.RevokeAPIKey{ID: access.NewID[directory.APIKeyID](c.now)},
	)
	selves := 0
	for _, op := range access.Operations() {
		rule, _ := access.RuleOf(op)
		pass, err := c.gate.Admit(t.Context(), as(alice, c.orgs[0]), c.orgs[0], op, access.Freshness{})
		if rule.Self != (err == nil) {
			t.Errorf("%s admits a user without permissions: %v", op, err)
		}
		if err != nil {
			continue
		}
		selves++
		if self, ok := pass.Self(); !ok || self != alice {
			t.Errorf("%s: the pass is about %v, %v", op, self, ok)
		}
		c.unmoved(func() {
			for _, command := range attempts {
				if _, err := pass.Propose(t.Context(), command, access.IdempotencyKey{}); err == nil {
					t.Errorf("%s lets a user without permissions do %T", op, command)
				}
			}
		})
		own := newKey(alice, "read:patients")
		_, err = pass.Propose(t.Context(), own, access.IdempotencyKey{})
		if rule.SelfWrites != (err == nil) {
			t.Errorf("%s: a key of one's own: %v", op, err)
		}
		if err == nil {
			_, err = pass.Propose(t.Context(), &fsm.RevokeAPIKey{ID: own.(*fsm.CreateAPIKey).Key.ID}, access.IdempotencyKey{})
			must(t, err)
		}
	}
	if selves == 0 {
		t.Error("no row is open to users about themselves: nothing was checked")
	}
}

// TestMachineTrustsNoSelf: an entry that asks for no permission does nothing but
// what a user may do about themselves, whoever proposed it.
func TestMachineTrustsNoSelf(t *testing.T) {
	c := newClinic(t)
	alice := c.user("alice", directory.ManageOrganization, directory.ManageUsers, directory.ManageGroups)
	key, _ := c.key(alice, 0, directory.ManageGroups)
	for _, actor := range []directory.Actor{
		{Kind: directory.ActorUser, ID: alice}, {Kind: directory.ActorAPIKey, ID: key},
		{Kind: directory.ActorUser, ID: access.NewID[directory.UserID](c.now)}, {},
	} {
		for _, command := range append(commands(), aGroup(c.now)) {
			entry, err := wire.Encode(&fsm.Envelope{Org: c.orgs[0], Actor: actor, Now: directory.TimeOf(c.now), Command: command})
			must(t, err)
			result, err := soloLog{c.machine}.Propose(context.Background(), entry)
			must(t, err)
			if directory.KindOf(result.Err) != directory.KindDenied {
				t.Errorf("%T by %s: %v", command, actor, result.Err)
			}
		}
	}
}

// TestAPIKeysAreStoredAsHashes: neither the state nor the log holds a key.
func TestAPIKeysAreStoredAsHashes(t *testing.T) {
	c := newClinic(t)
	_, key := c.key(c.user("alice", directory.ReadDirectory), 0, directory.ReadDirectory)
	c.onlyHash(key)
}
