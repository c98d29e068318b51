package fsm_test

import (
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// mapper is a provider whose groups are given roles by name and by external id.
func mapper(t *testing.T) (w *ward, con directory.Actor) {
	w = world(t, nil)
	con = directory.Actor{Kind: directory.ActorConnection, ID: id[directory.ConnectionID](0)}
	w.must(&fsm.SetConnectionMappings{ID: id[directory.ConnectionID](0), Mappings: []directory.Mapping{
		{Name: "Wards", Role: roleID(doctorRole)}, {ExternalID: "x-7", Role: roleID(settingsRole)},
	}})
	return w, con
}

func (w *ward) by(actor directory.Actor, c fsm.Command) error {
	w.t.Helper()
	return w.send(&fsm.Envelope{Org: w.org, Actor: actor, Command: c})[0].Err
}

func (w *ward) holds(user int, p directory.Permission) bool {
	w.t.Helper()
	org, ok := w.m.Root().Org(w.org)
	if !ok {
		w.t.Fatal("no organization")
	}
	return org.Permissions().Has(userID(user), p)
}

// TestMappedGroupHasItsRolesFromTheFirstMemberOn, in the entry that makes it.
func TestMappedGroupHasItsRolesFromTheFirstMemberOn(t *testing.T) {
	w, con := mapper(t)
	group := directory.Group{ID: id[directory.GroupID](90), Name: "wards", Source: directory.SourceSCIM, Connection: id[directory.ConnectionID](0)}
	if err := w.by(con, &fsm.CreateGroup{Group: group, Members: []directory.UserID{userID(plain)}}); err != nil {
		t.Fatal(err)
	}
	if !w.holds(plain, seePatients) || w.holds(plain, directory.ManageSettings) {
		t.Error("the group has other roles than those that are mapped to its name")
	}
	other := directory.Group{ID: id[directory.GroupID](91), Name: "else", ExternalID: "x-7", Source: directory.SourceSCIM, Connection: id[directory.ConnectionID](0)}
	if err := w.by(con, &fsm.CreateGroup{Group: other, Members: []directory.UserID{userID(plain)}}); err != nil {
		t.Fatal(err)
	}
	if !w.holds(plain, directory.ManageSettings) {
		t.Error("nothing is mapped to an external id")
	}
	org, _ := w.m.Root().Org(w.org)
	a, ok := org.AssignmentOf(roleID(doctorRole), directory.UserID{}, group.ID)
	if !ok || a.By != con {
		t.Errorf("the assignment is %+v, which does not say who made it", a)
	}
}

// TestRenamedGroupHasTheRolesOfItsName: what another name gave it is gone, and what
// somebody else has assigned stays.
func TestRenamedGroupHasTheRolesOfItsName(t *testing.T) {
	w, con := mapper(t)
	group := directory.Group{ID: id[directory.GroupID](90), Name: "wards", ExternalID: "x-7", Source: directory.SourceSCIM, Connection: id[directory.ConnectionID](0)}
	if err := w.by(con, &fsm.CreateGroup{Group: group, Members: []directory.UserID{userID(plain)}}); err != nil {
		t.Fatal(err)
	}
	name := "lounge"
	if err := w.by(con, &fsm.ChangeGroup{Group: group.ID, Name: &name}); err != nil {
		t.Fatal(err)
	}
	if w.holds(plain, seePatients) || !w.holds(plain, directory.ManageSettings) {
		t.Error("a renamed group keeps what its name gave it, or loses what its external id gives")
	}
	name = "WARDS"
	if err := w.by(con, &fsm.ChangeGroup{Group: group.ID, Name: &name}); err != nil {
		t.Fatal(err)
	}
	if !w.holds(plain, seePatients) {
		t.Error("a group that is renamed to a mapped name has no role")
	}
}

// TestMappingsArriveLate: groups that the connection has sent before get the role,
// and groups of others do not.
func TestMappingsArriveLate(t *testing.T) {
	w, con := mapper(t)
	early := directory.Group{ID: id[directory.GroupID](90), Name: "early", Source: directory.SourceSCIM, Connection: id[directory.ConnectionID](0)}
	if err := w.by(con, &fsm.CreateGroup{Group: early, Members: []directory.UserID{userID(plain)}}); err != nil {
		t.Fatal(err)
	}
	w.must(&fsm.CreateGroup{Group: directory.Group{ID: id[directory.GroupID](91), Name: "local"}, Members: []directory.UserID{userID(chair)}})
	w.must(&fsm.SetConnectionMappings{ID: id[directory.ConnectionID](0), Mappings: []directory.Mapping{
		{Name: "early", Role: roleID(doctorRole)}, {Name: "local", Role: roleID(settingsRole)},
	}})
	if !w.holds(plain, seePatients) || w.m.Root().Applied() == 0 {
		t.Error("a group that was there has no role")
	}
	org, _ := w.m.Root().Org(w.org)
	if _, has := org.AssignmentOf(roleID(settingsRole), directory.UserID{}, id[directory.GroupID](91)); has {
		t.Error("a group of the organization's own was given a role by a mapping")
	}
}

func TestNobodyMapsOwnership(t *testing.T) {
	w, _ := mapper(t)
	for _, role := range []int{ownerRole, everythingRole} {
		err := w.send(&fsm.Envelope{Org: w.org, Actor: operator, Command: &fsm.SetConnectionMappings{
			ID: id[directory.ConnectionID](0), Mappings: []directory.Mapping{{Name: "wards", Role: roleID(role)}},
		}})[0].Err
		if directory.KindOf(err) != directory.KindDenied {
			t.Errorf("role %d is mapped: %v", role, err)
		}
	}
}

// TestConnectionTokens: two at a time, each revoked on its own, and a connection that
// is disabled does nothing.
func TestConnectionTokens(t *testing.T) {
	w := world(t, nil)
	con := id[directory.ConnectionID](5)
	first, second, third := directory.ConnectionToken{Hash: [32]byte{1}}, directory.ConnectionToken{Hash: [32]byte{2}}, directory.ConnectionToken{Hash: [32]byte{3}}
	w.must(&fsm.CreateConnection{Connection: directory.Connection{ID: con, Provider: "entra", Token: first.Hash}})
	w.must(&fsm.RotateConnectionToken{ID: con, Token: second})
	refused := func(c fsm.Command, kind directory.Kind) {
		t.Helper()
		if err := w.send(&fsm.Envelope{Org: w.org, Actor: operator, Command: c})[0].Err; directory.KindOf(err) != kind {
			t.Errorf("%T: %v", c, err)
		}
	}
	refused(&fsm.RotateConnectionToken{ID: con, Token: third}, directory.KindExhausted)
	refused(&fsm.RevokeConnectionToken{ID: con, Token: third.Name()}, directory.KindNotFound)
	w.must(&fsm.RevokeConnectionToken{ID: con, Token: first.Name()})
	w.must(&fsm.RotateConnectionToken{ID: con, Token: third})
	org, _ := w.m.Root().Org(w.org)
	c, _ := org.Connection(con)
	if valid := c.Valid(); len(valid) != 2 || valid[0].Hash != second.Hash || valid[1].Hash != third.Hash {
		t.Errorf("%+v", valid)
	}
	disabled := true
	w.must(&fsm.UpdateConnection{ID: con, Disabled: &disabled})
	actor := directory.Actor{Kind: directory.ActorConnection, ID: con}
	if err := w.by(actor, &fsm.CreateUser{User: directory.User{ID: userID(77), UserName: "late", Active: true}}); directory.KindOf(err) != directory.KindDenied {
		t.Errorf("a disabled connection has made a user: %v", err)
	}
}
