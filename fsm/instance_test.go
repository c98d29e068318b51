package fsm_test

import (
	"strings"
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

// TestRecoveryKey: an operator sets it and replaces it, a node only founds with it.
func TestRecoveryKey(t *testing.T) {
	key := func(name string) *fsm.SetRecoveryKey {
		return &fsm.SetRecoveryKey{Key: directory.RecoveryKey{Name: name, Recipient: "age1pq" + name, Proof: []byte("sealed")}}
	}
	empty := openEmpty(t)
	node := directory.Actor{Kind: directory.ActorNode}
	founding := apply(t, empty, fsm.Entry{Index: 1, Term: 1, Envelopes: []*fsm.Envelope{{Actor: node, Command: key("first")}}})[0][0]
	if founding.Err != nil {
		t.Fatalf("a node that founds: %v", founding.Err)
	}
	w := newWard(t)
	if err := w.send(&fsm.Envelope{Actor: node, Command: key("a")})[0].Err; directory.KindOf(err) != directory.KindDenied {
		t.Errorf("a node of an instance that has an operator: %v", err)
	}
	if _, ok := w.m.Root().System().RecoveryKey(); ok {
		t.Error("there is a key before one was set")
	}
	w.must(key("a"))
	w.must(key("b"))
	now, ok := w.m.Root().System().RecoveryKey()
	if !ok || now.Name != "b" || now.Created == 0 {
		t.Errorf("%+v %v", now, ok)
	}
	reborn := newWard(t)
	restore(t, reborn.m, w.m.Root())
	if back, ok := reborn.m.Root().System().RecoveryKey(); !ok || back.Recipient != "age1pqb" {
		t.Errorf("after a restore: %+v %v", back, ok)
	}
	for _, e := range checkChain(t, "instance", w.m.Root().System()) {
		if e.Type == directory.RecoveryKeySet && e.Detail == "b" && (e.Before != `{"name":"a"}` || e.After != `{"name":"b"}`) {
			t.Errorf("the log says %s, then %s", e.Before, e.After)
		}
	}
}

func TestRecoveryKeyBounds(t *testing.T) {
	w := newWard(t)
	sound := directory.RecoveryKey{
		Name: strings.Repeat("n", directory.RecoveryNameMax), Recipient: strings.Repeat("r", directory.RecoveryRecipientMax),
		Proof: make([]byte, directory.RecoveryProofMax),
	}
	w.must(&fsm.SetRecoveryKey{Key: sound})
	for what, change := range map[string]func(*directory.RecoveryKey){
		"no name": func(k *directory.RecoveryKey) { k.Name = "" }, "no recipient": func(k *directory.RecoveryKey) { k.Recipient = "" },
		"no proof":         func(k *directory.RecoveryKey) { k.Proof = nil },
		"a long name":      func(k *directory.RecoveryKey) { k.Name += "n" },
		"a long recipient": func(k *directory.RecoveryKey) { k.Recipient += "r" },
		"a long proof":     func(k *directory.RecoveryKey) { k.Proof = make([]byte, directory.RecoveryProofMax+1) },
	} {
		wrong := sound
		change(&wrong)
		if err := w.try(&fsm.SetRecoveryKey{Key: wrong}); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}
