package fsm_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// TestScripts runs the histories of testdata. A line is a command, what must be true
// after it, or who and when:
//
//	organization SLUG           makes one, and speaks of it from here on
//	in SLUG                     speaks of another
//	as WHO [with PERMISSION]    operator, node, user U, key K or connection C
//	later|earlier DURATION      moves the clock of whoever proposes
//	+ LINE                      the command is in the same entry as the one before
//	refused KIND LINE           the command is refused and leaves nothing
//	same LINE                   the command changes nothing
//	restart                     a machine that is filled from a stream goes on
//
// Ids are the names themselves. The commands are in script_command_test.go.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newScript(t)
			lines := append(strings.Split(string(text), "\n"), "restart")
			for n, line := range lines {
				line = strings.TrimSpace(line)
				if line == "" || line[0] == '#' {
					continue
				}
				if err := s.line(line); err != nil {
					t.Fatalf("%s:%d: %s: %v", file, n+1, line, err)
				}
			}
		})
	}
}

type script struct {
	t       *testing.T
	m       *fsm.Machine
	index   directory.Index
	now     directory.Time
	org     directory.OrgID
	actor   directory.Actor
	with    directory.Permission
	waiting []step // of the entry that is not sent yet
}

// step is a command and what must become of it.
type step struct {
	line    string
	env     *fsm.Envelope
	refused string // the kind
	same    bool
}

func newScript(t *testing.T) *script {
	s := &script{t: t, m: open(t, disk.NewMemory()), index: 1, now: 1_700_000_000_000, actor: operator}
	begin(t, s.m)
	return s
}

// named is the id of a name; no name is no id.
func named[ID ~[16]byte](name string) (id ID) {
	copy(id[:], name)
	return id
}

func (s *script) line(line string) error {
	together := strings.HasPrefix(line, "+ ")
	line = strings.TrimPrefix(line, "+ ")
	if !together {
		if err := s.send(); err != nil {
			return err
		}
	}
	words := strings.Fields(line)
	if done, err := s.control(words); done {
		return err
	}
	if done, err := s.holds(words); done {
		return err
	}
	return s.wait(line, words)
}

// wait puts a command into the entry that will be sent.
func (s *script) wait(line string, words []string) error {
	next := step{line: line}
	switch words[0] {
	case "refused":
		next.refused, words = words[1], words[2:]
	case "same":
		next.same, words = true, words[1:]
	}
	command, err := s.command(words)
	if err != nil {
		return err
	}
	next.env = &fsm.Envelope{Org: s.org, Actor: s.actor, Required: s.with, Source: "api", Now: s.now, Command: command}
	if _, system := command.(fsm.SystemCommand); system {
		next.env.Org = directory.OrgID{}
	}
	s.waiting = append(s.waiting, next)
	return nil
}

// send applies the entry that waits, and looks at what became of it. What is refused
// leaves the organization's rows as they were, but for the log.
func (s *script) send() error {
	if len(s.waiting) == 0 {
		return nil
	}
	steps := s.waiting
	s.waiting = nil
	s.index++
	entry := fsm.Entry{Index: s.index, Term: 1}
	for _, step := range steps {
		entry.Envelopes = append(entry.Envelopes, step.env)
	}
	before := s.rows()
	var errs []error
	for i, r := range apply(s.t, s.m, entry)[0] {
		if err := steps[i].check(r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", steps[i].line, err))
		}
	}
	if len(steps) == 1 && (steps[0].refused != "" || steps[0].same) && !maps.Equal(before, s.rows()) {
		errs = append(errs, fmt.Errorf("%s: rows have changed", steps[0].line))
	}
	return errors.Join(errs...)
}

func (s step) check(r fsm.Result) error {
	kind := kindName(r.Err)
	switch {
	case kind != s.refused:
		return fmt.Errorf("answered %q: %v", kind, r.Err)
	case r.Err == nil && r.Outcome.Changed == s.same:
		return fmt.Errorf("changed is %v", r.Outcome.Changed)
	}
	return nil
}

func kindName(err error) string {
	if err == nil {
		return ""
	}
	return map[directory.Kind]string{
		directory.KindInvalid: "invalid", directory.KindNotFound: "not_found", directory.KindConflict: "conflict",
		directory.KindDenied: "denied", directory.KindPrecondition: "precondition", directory.KindExhausted: "exhausted",
		directory.KindUnauthenticated: "unauthenticated",
	}[directory.KindOf(err)]
}

// rows are all stored rows but those of the logs.
func (s *script) rows() map[string]string {
	rows := map[string]string{}
	s.m.Root().EachStored(func(key, value []byte) error {
		if table := key[len(directory.OrgID{})]; table != 'e' && table != 'h' {
			rows[string(key)] = string(value)
		}
		return nil
	})
	return rows
}

func (s *script) control(words []string) (done bool, err error) {
	switch words[0] {
	case "in":
		s.org = named[directory.OrgID](words[1])
	case "as":
		err = s.become(words[1:])
	case "later", "earlier":
		d, failed := time.ParseDuration(words[1])
		if err = failed; words[0] == "earlier" {
			d = -d
		}
		s.now = s.now.Add(d)
	case "restart":
		fresh := open(s.t, disk.NewMemory())
		restore(s.t, fresh, s.m.Root())
		sameDigest(s.t, 0, s.m, fresh)
		samePermissions(s.t, 0, s.m.Root(), fresh.Root())
		s.m = fresh
	default:
		return false, nil
	}
	return true, err
}

func (s *script) become(words []string) error {
	s.with = ""
	if n := len(words); n > 2 && words[n-2] == "with" {
		s.with = directory.Permission(words[n-1])
		words = words[:n-2]
	}
	switch words[0] {
	case "operator":
		s.actor = operator
	case "node":
		s.actor = directory.Actor{Kind: directory.ActorNode}
	case "user":
		s.actor = directory.Actor{Kind: directory.ActorUser, ID: named[directory.UserID](words[1])}
	case "key":
		s.actor = directory.Actor{Kind: directory.ActorAPIKey, ID: named[directory.APIKeyID](words[1])}
	case "connection":
		s.actor = directory.Actor{Kind: directory.ActorConnection, ID: named[directory.ConnectionID](words[1])}
	default:
		return fmt.Errorf("nobody of this kind")
	}
	return nil
}

// holds are the lines that say what must be true.
func (s *script) holds(words []string) (done bool, err error) {
	if words[0] == "no" && words[1] == "organization" || words[0] == "slug" {
		return true, s.organizations(words)
	}
	o, ok := s.m.Root().Org(s.org)
	if !ok {
		return false, nil
	}
	var is, want bool
	rest := append(words[1:], "", "", "")
	switch words[0] {
	case "can", "cannot":
		is, want = o.Held().Has(named[directory.UserID](rest[0]), directory.Permission(rest[1])), words[0] == "can"
	case "there", "no":
		is, want = there(o, rest[0], rest[1]), words[0] == "there"
	case "session":
		session, ok := o.Session(named[directory.SessionID](rest[0]))
		is, want = ok && session.Live(s.now, o.Record().SignIn), rest[1] == "lives"
	case "users":
		is, want = fmt.Sprint(o.Users()) == rest[0], true
	case "of":
		return true, s.field(o, words[1:])
	case "event":
		return true, lastEvent(o, words[1:])
	default:
		return false, nil
	}
	if is != want {
		return true, fmt.Errorf("it is %v", is)
	}
	return true, nil
}

func there(o *state.Org, noun, name string) (ok bool) {
	switch noun {
	case "user":
		_, ok = o.User(named[directory.UserID](name))
	case "group":
		_, ok = o.Group(named[directory.GroupID](name))
	case "role":
		_, ok = o.Role(named[directory.RoleID](name))
	case "key":
		_, ok = o.APIKey(named[directory.APIKeyID](name))
	case "session":
		_, ok = o.Session(named[directory.SessionID](name))
	case "assignment":
		_, ok = o.Assignment(named[directory.AssignmentID](name))
	}
	return ok
}

// field compares one field: of user ada title = nurse.
func (s *script) field(o *state.Org, words []string) error {
	var record any
	var ok bool
	switch words[0] {
	case "user":
		record, ok = o.User(named[directory.UserID](words[1]))
	case "group":
		record, ok = o.Group(named[directory.GroupID](words[1]))
	case "organization":
		record, ok = o.Record(), true
	}
	if !ok {
		return errors.New("there is none")
	}
	value := reflect.ValueOf(record).Elem().FieldByName(words[2])
	if !value.IsValid() {
		return fmt.Errorf("no field %s", words[2])
	}
	got := fmt.Sprint(value.Interface())
	if raw, bytes := value.Interface().([]byte); bytes {
		got = string(raw)
	}
	if want := strings.Join(words[4:], " "); got != want {
		return fmt.Errorf("it is %s", got)
	}
	return nil
}

func (s *script) organizations(words []string) error {
	if words[0] == "slug" { // slug clinic is nobody's
		if id, ok := s.m.Root().System().OrganizationBySlug(words[1]); ok {
			return fmt.Errorf("it is %s's", id)
		}
		return nil
	}
	id := named[directory.OrgID](words[2])
	if _, ok := s.m.Root().Org(id); ok {
		return errors.New("it is there")
	}
	for key := range s.rows() {
		if strings.HasPrefix(key, string(id[:])) {
			return fmt.Errorf("row %q is there", key)
		}
	}
	return nil
}

// lastEvent compares the type of the log's last entry, and a part of its detail.
func lastEvent(o *state.Org, words []string) (err error) {
	err = errors.New("the log is empty")
	o.EachEventBefore(1<<64-1, 1<<32-1, func(e *directory.Event) bool {
		err = nil
		if string(e.Type) != words[0] || !strings.Contains(e.Detail+e.Error, strings.Join(words[1:], " ")) {
			err = fmt.Errorf("it is %s %s%s", e.Type, e.Detail, e.Error)
		}
		return false
	})
	return err
}

// pairsOf reads name=value words.
func pairsOf(words []string) map[string]string {
	pairs := map[string]string{}
	for _, word := range words {
		if name, value, ok := strings.Cut(word, "="); ok {
			pairs[name] = value
		}
	}
	return pairs
}

func permissionsIn(words []string) (ps []directory.Permission) {
	for _, word := range words {
		if strings.Contains(word, ":") {
			ps = append(ps, directory.Permission(word))
		}
	}
	return ps
}

// after finds the word behind another: until 10s.
func after(words []string, word string) string {
	if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}
