package fsm_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/tools/previous"
)

// probe is compiled with the sources of the release before this one. It decodes or applies
// entries, each behind its length, or restores a state, and says the digest.
const probe = `package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/wire"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	m, err := fsm.Open(disk.NewMemory())
	must(err)
	in := bufio.NewReader(os.Stdin)
	if os.Args[1] == "restore" {
		must(m.Restore(in))
	}
	for index := directory.Index(1); os.Args[1] != "restore"; index++ {
		n, err := binary.ReadUvarint(in)
		if err == io.EOF {
			break
		}
		must(err)
		var entry bytes.Buffer
		_, err = io.CopyN(&entry, in, int64(n))
		must(err)
		env, err := wire.Decode(entry.Bytes())
		must(err)
		if os.Args[1] == "decode" {
			continue
		}
		_, err = m.Apply([]fsm.Entry{{Index: index, Term: 1, Envelopes: []*fsm.Envelope{env}}})
		must(err)
	}
	fmt.Printf("%x\n", fsm.Digest(m.Root()))
}
`

// buildProbe gives the program and the level that its release knows.
func buildProbe(t *testing.T) (program string, level directory.Level) {
	t.Helper()
	r := previous.Source(t, "..")
	dir := filepath.Join(r.Dir, "tools", "probe")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(probe), 0o644); err != nil {
		t.Fatal(err)
	}
	return r.Build(t, "tools/probe"), directory.Level(r.Level)
}

func runProbe(t *testing.T, program, mode string, input []byte) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command(program, mode)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err == nil
}

// streamed is the state as a new node gets it.
func streamed(t *testing.T, m *fsm.Machine) []byte {
	t.Helper()
	var stream bytes.Buffer
	if err := fsm.WriteSnapshot(&stream, m.Root()); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

// TestPreviousBuildAgrees: of entries that may be proposed at its level the build before
// this one makes the same state, and it reads the state that this one
// makes of them. So nodes of both builds may be in one cluster, and a node
// may go back. Once the level is raised it reads neither.
func TestPreviousBuildAgrees(t *testing.T) {
	program, level := buildProbe(t)
	for seed := int64(1); seed <= 3; seed++ {
		h := &history{rng: rand.New(rand.NewSource(seed)), now: 1_700_000_000_000}
		m := open(t, disk.NewMemory())
		var log []byte
		take := func(env *fsm.Envelope) {
			entry, err := wire.Encode(env)
			if err != nil {
				t.Fatal(err)
			}
			log = append(binary.AppendUvarint(log, uint64(len(entry))), entry...)
			apply(t, m, fsm.Entry{Index: m.Applied() + 1, Term: 1, Envelopes: []*fsm.Envelope{env}})
		}
		node := directory.Actor{Kind: directory.ActorNode}
		take(&fsm.Envelope{Actor: node, Command: &fsm.CreateOperator{Operator: directory.Operator{ID: operator.ID, Name: "root"}}})
		for m.Applied() < 2000 {
			if env := h.next(); fsm.LevelOf(env) <= level && env.Command.Kind() != fsm.KindRaiseLevel {
				take(env)
			}
		}
		sum := fsm.Digest(m.Root())
		want := hex.EncodeToString(sum[:])
		for mode, input := range map[string][]byte{"apply": log, "restore": streamed(t, m)} {
			if said, _ := runProbe(t, program, mode, input); said != want {
				t.Errorf("seed %d, %s: the previous build says %s, this one %s", seed, mode, said, want)
			}
		}
		take(&fsm.Envelope{Actor: operator, Command: &fsm.RaiseLevel{Level: directory.LevelMax}})
		for mode, input := range map[string][]byte{"apply": log, "restore": streamed(t, m)} {
			if said, ok := runProbe(t, program, mode, input); ok {
				t.Errorf("seed %d, %s: at level %d the previous build goes on, with %s", seed, mode, directory.LevelMax, said)
			} else if !strings.Contains(said, "unknown") {
				t.Errorf("seed %d, %s: the previous build stops for another reason: %s", seed, mode, said)
			}
		}
	}
}

// TestPreviousBuildReadsItsLevel: every command that may be proposed at the level of the
// build before this one is read by it, with every field set that has no higher level. A
// kind or a field that was added without a level is found here.
func TestPreviousBuildReadsItsLevel(t *testing.T) {
	program, level := buildProbe(t)
	tried := 0
	for _, kind := range fsm.Kinds() {
		env := &fsm.Envelope{Now: 1, Command: fsm.New(kind)}
		setAll(t, env, level)
		setAll(t, env.Command, level)
		if fsm.LevelOf(env) > level || kind == fsm.KindRaiseLevel {
			continue
		}
		entry, err := wire.Encode(env)
		if err != nil {
			t.Fatal(err)
		}
		tried++
		said, ok := runProbe(t, program, "decode", append(binary.AppendUvarint(nil, uint64(len(entry))), entry...))
		if !ok {
			t.Errorf("kind %d (%T) at level %d: %s", kind, env.Command, level, said)
		}
	}
	if tried < 60 {
		t.Errorf("only %d kinds of level %d", tried, level)
	}
	unknown := binary.AppendUvarint(nil, 3)
	if said, ok := runProbe(t, program, "decode", append(unknown, wire.Version, 0, 0)); ok {
		t.Errorf("the probe takes what is no entry: %s", said)
	}
}
