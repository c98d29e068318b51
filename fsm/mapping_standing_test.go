package fsm_test

import (
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// A delegate who could not assign a role gave it back to a group from which it had
// been unassigned, by sending the mapping that stands once more with another one.
func TestStandingMappingGivesNothingAnew(t *testing.T) {
	w := world(t, []directory.Permission{directory.ManageSettings, directory.ManageRoles})
	con := id[directory.ConnectionID](0)
	group := directory.Group{ID: groupID(90), Name: "wards", Source: directory.SourceSCIM, Connection: con}
	standing := directory.Mapping{Name: "wards", Role: roleID(doctorRole)}
	w.must(&fsm.SetConnectionMappings{ID: con, Mappings: []directory.Mapping{standing}})
	provider := directory.Actor{Kind: directory.ActorConnection, ID: con}
	if err := w.send(&fsm.Envelope{Actor: provider, Command: &fsm.CreateGroup{Group: group, Members: []directory.UserID{userID(attacker)}}})[0].Err; err != nil {
		t.Fatal(err)
	}
	w.must(&fsm.UnassignRole{Role: roleID(doctorRole), Group: group.ID})
	own := directory.Mapping{Name: "own", Role: roleID(attackerRole)}
	again := &fsm.SetConnectionMappings{ID: con, Mappings: []directory.Mapping{standing, own}}
	actor := directory.Actor{Kind: directory.ActorUser, ID: userID(attacker)}
	if err := w.send(&fsm.Envelope{Actor: actor, Required: directory.ManageSettings, Command: again})[0].Err; err != nil {
		t.Fatal(err)
	}
	if w.view().Permissions().Has(userID(attacker), seePatients) {
		t.Error("the delegate has gained what an administrator took away")
	}
}
