package wire_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/codec"
	"github.com/authfi/authfi/fsm/wire"
)

var update = flag.Bool("update", false, "write the golden entries of kinds that have none; existing ones are never replaced")

// golden is a directory per version of the format. Its files are what nodes
// have written into logs: they may be added to and never changed.
const golden = "testdata/v1"

// goldenFile is the entry of a kind: its number and the name of its command.
func goldenFile(kind fsm.Kind) string {
	name := reflect.TypeOf(fsm.New(kind)).Elem().Name()
	return filepath.Join(golden, fmt.Sprintf("%02d-%s.bin", kind, name))
}

// kinds are all that this build knows.
func kinds(t testing.TB) []fsm.Kind {
	all := fsm.Kinds()
	if len(all) < int(fsm.KindPutKey) {
		t.Fatalf("%d kinds, want at least %d", len(all), fsm.KindPutKey)
	}
	return all
}

// sample is an envelope of a kind in which every field that is stored is set.
func sample(t testing.TB, kind fsm.Kind) *fsm.Envelope {
	env := &fsm.Envelope{Command: fsm.New(kind)}
	f := filler{t: t}
	value := reflect.ValueOf(env).Elem()
	for i := range value.NumField() {
		if field := value.Field(i); field.Kind() != reflect.Interface {
			f.fill(field)
		}
	}
	f.fill(reflect.ValueOf(env.Command).Elem())
	return env
}

// filler gives every value that it meets another content.
type filler struct {
	t testing.TB
	n byte
}

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", f.n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(uint64(f.n))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(int64(f.n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.each(v)
	case reflect.Array:
		f.each(v)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		f.t.Fatalf("no sample of a %s", v.Type())
	}
}

func (f *filler) each(v reflect.Value) {
	for i := range v.Len() {
		f.fill(v.Index(i))
	}
}

// write makes the golden entry of a kind that has none.
func write(t *testing.T, kind fsm.Kind) {
	entry, err := wire.Encode(sample(t, kind))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(golden, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(goldenFile(kind), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Write(entry)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestGolden: what was once written decodes to what was meant and encodes to
// the same bytes, or nodes that replay one log come to different states.
func TestGolden(t *testing.T) {
	for _, kind := range kinds(t) {
		if *update {
			write(t, kind)
		}
		want, err := os.ReadFile(goldenFile(kind))
		if err != nil {
			t.Errorf("kind %d has no golden entry: %v", kind, err)
			continue
		}
		env, err := wire.Decode(want)
		if err != nil {
			t.Errorf("%s: %v", goldenFile(kind), err)
			continue
		}
		if env.Command.Kind() != kind {
			t.Errorf("%s holds kind %d", goldenFile(kind), env.Command.Kind())
		}
		got, err := wire.Encode(env)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: encodes to %x (%v), was %x", goldenFile(kind), got, err, want)
		}
	}
}

// TestGoldenFiles: a file that no kind claims is a kind that was renamed,
// renumbered or removed.
func TestGoldenFiles(t *testing.T) {
	claimed := map[string]bool{}
	for _, kind := range kinds(t) {
		claimed[filepath.Base(goldenFile(kind))] = true
	}
	files, err := os.ReadDir(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !claimed[file.Name()] {
			t.Errorf("%s belongs to no kind", file.Name())
		}
	}
}

// TestEveryFieldIsStored: an envelope in which everything is set comes back
// whole, so no field of any command is forgotten by the format.
func TestEveryFieldIsStored(t *testing.T) {
	for _, kind := range kinds(t) {
		env := sample(t, kind)
		entry, err := wire.Encode(env)
		if err != nil {
			t.Fatal(err)
		}
		back, err := wire.Decode(entry)
		if err != nil || !reflect.DeepEqual(back, env) {
			t.Errorf("%T: %v\nwas  %+v\ncame %+v", env.Command, err, env.Command, back)
		}
	}
}

// rawEntry is an entry with whatever fields a test wants.
func rawEntry(fields map[int]any) []byte {
	return append([]byte{wire.Version}, codec.Encode(fields)...)
}

func TestNotUnderstoodIsAnError(t *testing.T) {
	command := codec.Encode(map[int]any{1: [16]byte{1}})
	fields := func(more map[int]any) map[int]any {
		all := map[int]any{2: map[int]any{1: 1}, 5: 1, 8: uint16(fsm.KindDeleteService), 9: command}
		for number, value := range more {
			all[number] = value
		}
		return all
	}
	sound := rawEntry(fields(nil))
	if _, err := wire.Decode(sound); err != nil {
		t.Fatalf("the sound entry: %v", err)
	}
	last := kinds(t)[len(kinds(t))-1]
	for name, entry := range map[string][]byte{
		"nothing":                    nil,
		"version alone":              {wire.Version},
		"version 0":                  append([]byte{0}, sound[1:]...),
		"the next version":           append([]byte{wire.Version + 1}, sound[1:]...),
		"kind 0":                     rawEntry(fields(map[int]any{8: 0})),
		"the next kind":              rawEntry(fields(map[int]any{8: uint16(last) + 1})),
		"the largest kind":           rawEntry(fields(map[int]any{8: 65535})),
		"kind beyond 16 bits":        rawEntry(fields(map[int]any{8: 1<<16 + 1})),
		"trailing byte":              append(bytes.Clone(sound), 0),
		"trailing byte in a command": rawEntry(fields(map[int]any{9: append(bytes.Clone(command), 0)})),
		"unknown field":              rawEntry(fields(map[int]any{14: 1})),
		"unknown field in a command": rawEntry(fields(map[int]any{9: codec.Encode(map[int]any{1: [16]byte{1}, 99: 1})})),
		"no command":                 rawEntry(fields(map[int]any{9: []byte{}})),
		"another kind's command":     rawEntry(fields(map[int]any{8: uint16(fsm.KindCreateUser)})),
	} {
		if env, err := wire.Decode(entry); err == nil {
			t.Errorf("%s: decoded as %+v", name, env)
		}
	}
}

// TestCutEntry: no prefix of an entry is an entry.
func TestCutEntry(t *testing.T) {
	for _, kind := range kinds(t) {
		entry, err := wire.Encode(sample(t, kind))
		if err != nil {
			t.Fatal(err)
		}
		for n := range entry {
			if _, err := wire.Decode(entry[:n]); err == nil {
				t.Errorf("%T: the first %d of %d bytes decode", fsm.New(kind), n, len(entry))
			}
		}
	}
}

func TestEntryMax(t *testing.T) {
	command := &fsm.CreateUser{User: directory.User{UserName: strings.Repeat("x", wire.EntryMax)}}
	if _, err := wire.Encode(&fsm.Envelope{Command: command}); directory.KindOf(err) != directory.KindInvalid {
		t.Errorf("an entry above the bound: %v", err)
	}
}

// FuzzDecode: arbitrary bytes are refused without a panic, and what is
// understood is understood again after it was encoded.
func FuzzDecode(f *testing.F) {
	for _, kind := range kinds(f) {
		entry, err := wire.Encode(sample(f, kind))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, entry []byte) {
		env, err := wire.Decode(entry)
		if err != nil {
			return
		}
		again, err := wire.Encode(env)
		if err != nil {
			t.Fatalf("decoded, then: %v", err)
		}
		if _, err := wire.Decode(again); err != nil {
			t.Fatalf("encoded, then: %v", err)
		}
	})
}
