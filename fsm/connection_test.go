package fsm_test

import (
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// TestWhatAnIdentityProviderMayDo: it takes away from whom it has provisioned, and
// gives what groups give, but no ownership; what another provider has sent is not
// its own.
func TestWhatAnIdentityProviderMayDo(t *testing.T) {
	okta := directory.Actor{Kind: directory.ActorConnection, ID: id[directory.ConnectionID](0)}
	entra := directory.Actor{Kind: directory.ActorConnection, ID: id[directory.ConnectionID](5)}
	name := "renamed"
	known := func(n int) *fsm.UpdateUser {
		return &fsm.UpdateUser{User: directory.User{ID: userID(n), UserName: "known-otherwise", Active: true}}
	}
	sent, senior := 20, 21 // users of okta, the second of whom owns
	const sentGroup, owning = 20, 21
	setup := func() *ward {
		w := world(t, nil)
		w.must(&fsm.CreateConnection{Connection: directory.Connection{ID: entra.ID, Provider: "entra"}})
		by := func(c fsm.OrgCommand) {
			if err := w.send(&fsm.Envelope{Actor: okta, Command: c})[0].Err; err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{sent, senior} {
			by(&fsm.CreateUser{User: directory.User{ID: userID(n), UserName: userID(n).String(), Active: true, Source: directory.SourceSCIM, Connection: okta.ID}})
		}
		for _, n := range []int{sentGroup, owning} {
			g := directory.Group{ID: groupID(n), Name: groupID(n).String(), Source: directory.SourceSCIM, Connection: okta.ID}
			by(&fsm.CreateGroup{Group: g, Members: []directory.UserID{userID(senior)}})
		}
		w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](90), Role: roleID(ownerRole), User: userID(senior)})
		w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](91), Role: roleID(ownerRole), Group: groupID(owning)})
		w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](92), Role: roleID(doctorRole), Group: groupID(sentGroup)})
		return w
	}
	for _, row := range []struct {
		what    string
		by      directory.Actor
		command fsm.OrgCommand
		want    directory.Kind
	}{
		{"a member into a group with a role", okta, &fsm.ChangeGroup{Group: groupID(sentGroup), Add: []directory.UserID{userID(sent)}}, 0},
		{"a member into a group of ours", okta, &fsm.ChangeGroup{Group: groupID(doctors), Add: []directory.UserID{userID(sent)}}, 0},
		{"a member into a group that owns", okta, &fsm.ChangeGroup{Group: groupID(owning), Add: []directory.UserID{userID(sent)}}, directory.KindDenied},
		{"a member into a group in one that owns", okta, &fsm.ChangeGroup{Group: groupID(chairs), Add: []directory.UserID{userID(sent)}}, directory.KindDenied},
		{"all members of a group that owns, unchanged", okta, &fsm.ChangeGroup{Group: groupID(owning), SetMembers: true, Set: []directory.UserID{userID(senior)}}, 0},
		{"its owner out of a group that owns", okta, &fsm.ChangeGroup{Group: groupID(owning), Remove: []directory.UserID{userID(senior)}}, 0},
		{"our owner out of a group that owns", okta, &fsm.ChangeGroup{Group: groupID(chairs), Remove: []directory.UserID{userID(chair)}}, directory.KindDenied},
		{"our owner out of a group that brings nothing", okta, &fsm.ChangeGroup{Group: groupID(lunch), SetMembers: true}, 0},
		{"a group that owns is deleted", okta, &fsm.DeleteGroup{Group: groupID(owning)}, directory.KindDenied},
		{"a group in one that owns is deleted", okta, &fsm.DeleteGroup{Group: groupID(chairs)}, directory.KindDenied},
		{"a group with an owner in it is deleted", okta, &fsm.DeleteGroup{Group: groupID(lunch)}, 0},
		{"its user is known otherwise", okta, known(sent), 0},
		{"its owner is known otherwise", okta, known(senior), 0},
		{"our user is known otherwise", okta, known(plain), 0},
		{"our owner is known otherwise", okta, known(owner), directory.KindDenied},
		{"our owner who is off is known otherwise", okta, known(retired), directory.KindDenied},
		{"its owner off", okta, &fsm.SetUserActive{User: userID(senior)}, 0},
		{"its owner deleted", okta, &fsm.DeleteUser{User: userID(senior)}, 0},
		{"our owner off", okta, &fsm.SetUserActive{User: userID(owner)}, directory.KindDenied},
		{"our owner deleted", okta, &fsm.DeleteUser{User: userID(owner)}, directory.KindDenied},
		{"an owner comes back", okta, &fsm.SetUserActive{User: userID(retired), Active: true}, directory.KindDenied},
		{"somebody else comes back", okta, &fsm.SetUserActive{User: userID(gone), Active: true}, 0},
		{"who owns a service account that owns is off", okta, &fsm.SetUserActive{User: userID(plain)}, 0},
		{"another's user is known otherwise", entra, known(sent), directory.KindConflict},
		{"another's user is off", entra, &fsm.SetUserActive{User: userID(sent)}, 0},
		{"another's group is renamed", entra, &fsm.ChangeGroup{Group: groupID(sentGroup), Name: &name}, directory.KindConflict},
		{"another's group gets a member", entra, &fsm.ChangeGroup{Group: groupID(sentGroup), Add: []directory.UserID{userID(plain)}}, directory.KindConflict},
		{"groups in groups", okta, &fsm.NestGroup{Parent: groupID(sentGroup), Child: groupID(lunch)}, directory.KindDenied},
		{"a role", okta, &fsm.AssignRole{ID: id[directory.AssignmentID](93), Role: roleID(doctorRole), User: userID(sent)}, directory.KindDenied},
		{"a key", okta, &fsm.CreateAPIKey{Key: directory.APIKey{ID: id[directory.APIKeyID](50), Name: "k", Owner: userID(settler), Permissions: []directory.Permission{directory.ManageSettings}}}, directory.KindDenied},
		{"another connection", okta, &fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](9), Provider: "okta"}}, directory.KindDenied},
	} {
		w := setup()
		if err := w.send(&fsm.Envelope{Actor: row.by, Command: row.command})[0].Err; directory.KindOf(err) != row.want {
			t.Errorf("%s: %v", row.what, err)
		}
	}
	w := setup()
	if err := w.send(&fsm.Envelope{Actor: okta, Command: &fsm.SetUserActive{User: userID(senior)}})[0].Err; err != nil {
		t.Fatal(err)
	}
	if err := w.send(&fsm.Envelope{Actor: okta, Command: &fsm.SetUserActive{User: userID(senior), Active: true}})[0].Err; directory.KindOf(err) != directory.KindDenied {
		t.Errorf("its own owner comes back: %v", err)
	}
}

// TestConnectionsMax: the organization takes the last connection that it may have
// and not one more.
func TestConnectionsMax(t *testing.T) {
	w := newWard(t)
	connection := func(n int) *fsm.CreateConnection {
		return &fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](n), Provider: "generic"}}
	}
	for n := range fsm.ConnectionsMax {
		w.must(connection(n))
	}
	if err := w.try(connection(fsm.ConnectionsMax)); directory.KindOf(err) != directory.KindExhausted {
		t.Errorf("one past the bound: %v", err)
	}
	w.must(&fsm.DeleteConnection{ID: id[directory.ConnectionID](3)})
	w.must(connection(fsm.ConnectionsMax))
}

// TestTrust: an owner makes a connection trust an issuer, everybody with the settings
// ends that, and no two connections of an organization take the same tokens.
func TestTrust(t *testing.T) {
	w := newWard(t)
	one, two := id[directory.ConnectionID](20), id[directory.ConnectionID](21)
	for _, con := range []directory.ConnectionID{one, two} {
		w.must(&fsm.CreateConnection{Connection: directory.Connection{ID: con, Provider: "entra"}})
	}
	text := func(s string) *string { return &s }
	trust := func(con directory.ConnectionID, application string) *fsm.UpdateConnection {
		return &fsm.UpdateConnection{ID: con, Issuer: text("https://sts.windows.net/tenant/"), Audience: text("scim"), Application: &application}
	}
	w.must(trust(one, "a"))
	if err := w.try(trust(two, "a")); directory.KindOf(err) != directory.KindConflict {
		t.Errorf("the trust of another connection: %v", err)
	}
	w.must(trust(two, ""))
	if err := w.try(&fsm.UpdateConnection{ID: one, Audience: text("")}); directory.KindOf(err) != directory.KindInvalid {
		t.Errorf("a trust without an audience: %v", err)
	}
	none := text("")
	w.must(&fsm.UpdateConnection{ID: one, Issuer: none, Audience: none, Application: none})
	con, _ := w.view().Connection(one)
	if con.Trust != (directory.Trust{}) {
		t.Errorf("%+v", con.Trust)
	}
}
