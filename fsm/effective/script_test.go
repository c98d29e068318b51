package effective

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

// TestScripts runs the examples: changes, and what can, cannot, why and who
// must answer after them. Ids are the names themselves.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := script{edit: New().Edit()}
			for n, line := range strings.Split(string(text), "\n") {
				if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
					continue
				}
				if err := s.run(strings.Fields(line)); err != nil {
					t.Fatalf("%s:%d: %s: %v", file, n+1, line, err)
				}
			}
		})
	}
}

type script struct {
	edit *Editor
	mark Mark
}

func named[ID ~[16]byte](name string) (id ID) {
	copy(id[:], name)
	return id
}

func name[ID ~[16]byte](id ID) string { return strings.TrimRight(string(id[:]), "\x00") }

func (s *script) run(words []string) error {
	verb, rest := words[0], append(words[1:], "", "", "")
	switch verb {
	case "can", "cannot":
		return s.check(rest[0], directory.Permission(rest[1]), verb == "can")
	case "why", "who":
		return s.ask(words)
	case "mark":
		s.mark = s.edit.Mark()
		return nil
	case "rollback":
		s.edit.Rollback(s.mark)
		return nil
	case "refused", "conflict":
		want := map[string]directory.Kind{"refused": directory.KindNotFound, "conflict": directory.KindConflict}[verb]
		if err := s.change(rest[0], words[2:]); directory.KindOf(err) != want {
			return fmt.Errorf("not refused: %v", err)
		}
		return nil
	}
	return s.change(verb, words[1:])
}

func (s *script) check(user string, p directory.Permission, want bool) error {
	for what, x := range map[string]*Index{"editor": &s.edit.Index, "published": s.edit.Published()} {
		if got := x.Has(named[directory.UserID](user), p); got != want {
			return fmt.Errorf("%s says %v", what, got)
		}
	}
	return nil
}

func (s *script) ask(words []string) error {
	question, want, _ := strings.Cut(strings.Join(words, " "), " =")
	words = strings.Fields(question)
	var got []string
	separator := " "
	switch words[0] {
	case "why":
		separator = ", "
		for _, source := range s.edit.Why(named[directory.UserID](words[1]), directory.Permission(words[2])) {
			way := name(source.Role)
			if !source.Group.IsZero() {
				way += " via " + name(source.Group)
			}
			if source.Member != source.Group {
				way += " by " + name(source.Member)
			}
			if source.Names != directory.Permission(words[2]) {
				way += " as " + string(source.Names)
			}
			got = append(got, way)
		}
	case "who":
		users, _ := s.edit.Who(directory.Permission(words[1]), directory.UserID{}, -1)
		for _, u := range users {
			got = append(got, name(u))
		}
	}
	if answer := strings.Join(got, separator); answer != strings.TrimSpace(want) {
		return fmt.Errorf("the answer is %q", answer)
	}
	return nil
}

func (s *script) change(verb string, words []string) (err error) {
	object := words[0]
	user, group, role := named[directory.UserID](object), named[directory.GroupID](object), named[directory.RoleID](object)
	switch verb {
	case "user":
		if err = s.edit.PutUser(user); err == nil {
			err = s.edit.SetActive(user, true)
		}
	case "activate", "deactivate":
		err = s.edit.SetActive(user, verb == "activate")
	case "group":
		err = s.edit.PutGroup(group)
	case "role":
		var ps []directory.Permission
		for _, w := range words[1:] {
			ps = append(ps, directory.Permission(w))
		}
		err = s.edit.PutRole(role, ps)
	case "member":
		_, err = s.edit.AddMember(group, named[directory.UserID](words[1]))
	case "unmember":
		_, err = s.edit.RemoveMember(group, named[directory.UserID](words[1]))
	case "nest":
		_, err = s.edit.Nest(named[directory.GroupID](words[1]), group)
	case "unnest":
		_, err = s.edit.Unnest(named[directory.GroupID](words[1]), group)
	case "assign", "unassign":
		err = s.assign(verb+" "+words[1], role, words[2])
	case "delete":
		err = s.remove(object, words[1])
	default:
		err = fmt.Errorf("no such step")
	}
	return err
}

func (s *script) assign(step string, role directory.RoleID, holder string) (err error) {
	user, group := named[directory.UserID](holder), named[directory.GroupID](holder)
	switch step {
	case "assign user":
		_, err = s.edit.AssignUser(role, user)
	case "assign group":
		_, err = s.edit.AssignGroup(role, group)
	case "unassign user":
		_, err = s.edit.UnassignUser(role, user)
	case "unassign group":
		_, err = s.edit.UnassignGroup(role, group)
	default:
		err = fmt.Errorf("a role goes to a user or a group")
	}
	return err
}

func (s *script) remove(noun, object string) error {
	switch noun {
	case "user":
		return s.edit.DeleteUser(named[directory.UserID](object))
	case "group":
		return s.edit.DeleteGroup(named[directory.GroupID](object))
	case "role":
		return s.edit.DeleteRole(named[directory.RoleID](object))
	}
	return fmt.Errorf("no such noun")
}
