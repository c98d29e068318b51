package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
)

// laterCommand is of a kind that no build has yet.
type laterCommand struct{}

func (laterCommand) Kind() fsm.Kind { return 60_000 }

// TestChangeOfALaterLevelIsNotProposed: an entry that a node of an older build could
// not read must not come to the log.
func TestChangeOfALaterLevelIsNotProposed(t *testing.T) {
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	gate := access.NewGate(soloLog{machine}, machine.Root, nil, time.Now)
	propose := func(c fsm.Command) error {
		_, err := gate.ProposeAsNode(t.Context(), directory.OrgID{}, c)
		return err
	}
	if err := propose(&laterCommand{}); directory.KindOf(err) != directory.KindPrecondition || !strings.Contains(err.Error(), "authfi upgrade finalize") {
		t.Errorf("at level 1: %v", err)
	}
	if applied := machine.Applied(); applied != 0 {
		t.Errorf("entry %d was made", applied)
	}
	must(t, propose(&fsm.RaiseLevel{Level: directory.LevelMax}))
	if err := propose(&laterCommand{}); err == nil || directory.KindOf(err) == directory.KindPrecondition {
		t.Errorf("at the level of the command the gate lets it pass, and the log would not read it: %v", err)
	}
}
