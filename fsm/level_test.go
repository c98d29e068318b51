package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/codec"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

func TestRaiseLevel(t *testing.T) {
	empty := openEmpty(t)
	if level := empty.Root().System().Level(); level != 1 {
		t.Fatalf("an empty state is of level %d", level)
	}
	node := directory.Actor{Kind: directory.ActorNode}
	raise := &fsm.RaiseLevel{Level: directory.LevelMax}
	founding := apply(t, empty, fsm.Entry{Index: 1, Term: 1, Envelopes: []*fsm.Envelope{{Actor: node, Command: raise}}})[0][0]
	if founding.Err != nil || empty.Root().System().Level() != directory.LevelMax {
		t.Fatalf("a node that founds: %v", founding.Err)
	}
	w := newWard(t)
	if err := w.send(&fsm.Envelope{Actor: node, Command: raise})[0].Err; directory.KindOf(err) != directory.KindDenied {
		t.Errorf("a node of an instance that has an operator: %v", err)
	}
	for _, level := range []directory.Level{0, 1} {
		if err := w.try(&fsm.RaiseLevel{Level: level}); directory.KindOf(err) != directory.KindPrecondition {
			t.Errorf("from 1 to %d: %v", level, err)
		}
	}
	w.must(raise)
	if err := w.try(raise); directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("again: %v", err)
	}
	reborn := newWard(t)
	restore(t, reborn.m, w.m.Root())
	if level := reborn.m.Root().System().Level(); level != directory.LevelMax {
		t.Errorf("after a restore: %d", level)
	}
	told := false
	for _, e := range checkChain(t, "instance", w.m.Root().System()) {
		told = told || e.Type == directory.LevelRaised && !e.Refused && e.After == fmt.Sprintf(`{"level":%d}`, directory.LevelMax)
	}
	if !told {
		t.Error("the log does not tell who raised the level")
	}
}

// TestLevelBeyondThisBuild: an entry that leads where this build cannot follow stops it.
func TestLevelBeyondThisBuild(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "is not understood by this build") {
			t.Errorf("it goes on: %v", p)
		}
	}()
	newWard(t).try(&fsm.RaiseLevel{Level: directory.LevelMax + 1})
}

// newerStore is a store of a newer build: its level, and a table that this one lacks.
func newerStore(t *testing.T, level directory.Level) *disk.Memory {
	t.Helper()
	storage := disk.NewMemory()
	org := make([]byte, 16)
	err := storage.Replace(func(put func(key, value []byte) error) (state.Meta, error) {
		return state.Meta{Applied: 7, Term: 1}, errors.Join(
			put(append(bytes.Clone(org), '0'), []byte{0}),
			put(append(bytes.Clone(org), 'w'), codec.Encode(&directory.FeatureLevel{Level: level})))
	})
	if err != nil {
		t.Fatal(err)
	}
	return storage
}

// TestStateBeyondThisBuild is neither used nor wiped: the build that made it reads it.
func TestStateBeyondThisBuild(t *testing.T) {
	storage := newerStore(t, directory.LevelMax+1)
	if _, err := fsm.Open(storage); !errors.Is(err, state.ErrLevel) {
		t.Fatalf("opened: %v", err)
	}
	rows := 0
	if _, err := storage.Load(func(_, _ []byte) error { rows++; return nil }); err != nil || rows != 2 {
		t.Errorf("%d rows are left: %v", rows, err)
	}
	// A level of this build does not excuse a table that it lacks.
	if _, err := fsm.Open(newerStore(t, directory.LevelMax)); !errors.Is(err, fsm.ErrDamaged) {
		t.Errorf("a damaged state of a level that is understood: %v", err)
	}
}

// TestStreamBeyondThisBuild: nor is it taken from another node.
func TestStreamBeyondThisBuild(t *testing.T) {
	source := newerStore(t, directory.LevelMax+1)
	m := openEmpty(t)
	err := m.Replace(func(put func(key, value []byte) error) (state.Meta, error) { return source.Load(put) })
	if !errors.Is(err, state.ErrLevel) {
		t.Errorf("taken: %v", err)
	}
}

// futureCommand is of a kind that no list names, with fields of several levels.
type futureCommand struct {
	kind  fsm.Kind
	Plain string
	Later []struct {
		Old string
		New *int `level:"2"`
	}
	Last [2]struct {
		Flag bool `level:"9"`
	}
}

func (c *futureCommand) Kind() fsm.Kind { return c.kind }

func TestLevelOf(t *testing.T) {
	level := func(change func(*futureCommand)) directory.Level {
		c := &futureCommand{kind: fsm.KindCreateUser, Plain: "x"}
		change(c)
		return fsm.LevelOf(&fsm.Envelope{Command: c})
	}
	one := 1
	for name, c := range map[string]struct {
		change func(*futureCommand)
		want   directory.Level
	}{
		"a kind of level 1":  {func(*futureCommand) {}, 1},
		"a kind that is not": {func(c *futureCommand) { c.kind = 76 }, directory.LevelMax},
		"between the kinds":  {func(c *futureCommand) { c.kind = fsm.KindSetConnectionMappings + 1 }, directory.LevelMax},
		"the raising itself": {func(c *futureCommand) { c.kind = fsm.KindRaiseLevel }, 1},
		"a new field that is zero": {func(c *futureCommand) {
			c.Later = append(c.Later, struct {
				Old string
				New *int `level:"2"`
			}{Old: "y"})
		}, 1},
		"a new field, deep": {func(c *futureCommand) {
			c.Later = append(c.Later, struct {
				Old string
				New *int `level:"2"`
			}{New: &one})
		}, 2},
		"the newest of several": {func(c *futureCommand) { c.Last[1].Flag = true }, 9},
	} {
		if got := level(c.change); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestEveryKindHasALevel that a cluster of this build can reach.
func TestEveryKindHasALevel(t *testing.T) {
	for _, kind := range fsm.Kinds() {
		if level := fsm.LevelOf(&fsm.Envelope{Command: fsm.New(kind)}); !level.Understood() {
			t.Errorf("kind %d is of level %d", kind, level)
		}
	}
}

func BenchmarkLevelOf(b *testing.B) {
	env := &fsm.Envelope{Command: &fsm.CreateUser{User: directory.User{UserName: "alice", Attributes: make([]byte, 4<<10)}}}
	for b.Loop() {
		if fsm.LevelOf(env) != 1 {
			b.Fatal("another level")
		}
	}
}
