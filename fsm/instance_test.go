package fsm_test

import (
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func person(n int) directory.Operator {
	return directory.Operator{ID: id[directory.OperatorID](n), Name: "operator", Token: [32]byte{byte(n)}}
}

func TestOperatorsComeAndGoAndTheLastOneStays(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.CreateOperator{Operator: person(1)})
	w.must(&fsm.CreateOperator{Operator: person(2)})
	for _, c := range []struct {
		what  string
		actor directory.Actor
		id    directory.OperatorID
		want  directory.Kind
	}{
		{"an operator who is not there", operator, id[directory.OperatorID](9), directory.KindNotFound},
		{"a node", directory.Actor{Kind: directory.ActorNode}, person(1).ID, directory.KindDenied},
		{"a user", directory.Actor{Kind: directory.ActorUser, ID: id[directory.UserID](1)}, person(1).ID, directory.KindDenied},
		{"one operator removes another", operator, person(1).ID, 0},
		{"the removed one removes a third", directory.Actor{Kind: directory.ActorOperator, ID: person(1).ID}, person(2).ID, directory.KindDenied},
		{"an operator removes themselves", directory.Actor{Kind: directory.ActorOperator, ID: person(2).ID}, person(2).ID, 0},
		{"the last one", operator, directory.OperatorID(operator.ID), directory.KindPrecondition},
	} {
		err := w.send(&fsm.Envelope{Actor: c.actor, Command: &fsm.DeleteOperator{ID: c.id}})[0].Err
		if directory.KindOf(err) != c.want {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	var left []directory.OperatorID
	system := w.m.Root().System()
	system.EachOperator(directory.OperatorID{}, func(o *directory.Operator) bool { left = append(left, o.ID); return true })
	if len(left) != 1 || left[0] != operator.ID || system.Operators() != 1 {
		t.Errorf("left are %v", left)
	}
	var deleted int
	for _, e := range checkChain(t, "instance", system) {
		if e.Type == directory.OperatorDeleted && e.After == "" && e.Before == `{"name":"operator"}` {
			deleted++
		}
	}
	if deleted != 2 {
		t.Errorf("the log tells of %d removed operators", deleted)
	}
	reborn := newWard(t)
	restore(t, reborn.m, w.m.Root())
	if n := reborn.m.Root().System().Operators(); n != 1 {
		t.Errorf("%d operators after a restore", n)
	}
}

// TestRemovedOperatorMayDoNothing, in the next command of the same entry already.
func TestRemovedOperatorMayDoNothing(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.CreateOperator{Operator: person(1)})
	gone := directory.Actor{Kind: directory.ActorOperator, ID: person(1).ID}
	results := w.send(
		&fsm.Envelope{Actor: gone, Command: &fsm.CreateUser{User: user(1)}},
		&fsm.Envelope{Command: &fsm.DeleteOperator{ID: person(1).ID}},
		&fsm.Envelope{Actor: gone, Command: &fsm.CreateUser{User: user(2)}},
		&fsm.Envelope{Actor: gone, Command: &fsm.CreateOperator{Operator: person(3)}},
	)
	for i, want := range []directory.Kind{0, 0, directory.KindDenied, directory.KindDenied} {
		if directory.KindOf(results[i].Err) != want {
			t.Errorf("step %d: %v", i, results[i].Err)
		}
	}
}

// TestOperatorsMax: the instance takes the last one that it may have and not one
// more. A command without an id is refused.
func TestOperatorsMax(t *testing.T) {
	w := newWard(t)
	for i := 1; i < directory.OperatorsMax; i++ {
		w.must(&fsm.CreateOperator{Operator: person(i)})
	}
	if err := w.try(&fsm.CreateOperator{Operator: person(directory.OperatorsMax)}); directory.KindOf(err) != directory.KindExhausted {
		t.Errorf("one past the bound: %v", err)
	}
	w.must(&fsm.DeleteOperator{ID: person(1).ID})
	w.must(&fsm.CreateOperator{Operator: person(directory.OperatorsMax)})
	w.must(&fsm.DeleteOperator{ID: person(2).ID})
	if err := w.try(&fsm.CreateOperator{Operator: directory.Operator{Name: "x"}}); directory.KindOf(err) != directory.KindConflict {
		t.Errorf("no id: %v", err)
	}
}
