package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/proto"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/genproto/googleapis/api/annotations"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// bound is a limit that a comment of the definition states for a field.
type bound struct {
	field protoreflect.FieldDescriptor
	of    string // "bytes", "JSON", "entries", "bytes of an entry" or "number"
	limit int
}

var (
	bytesOf   = regexp.MustCompile(`at most ([\d,]+) bytes`)
	jsonOf    = regexp.MustCompile(`at most (\d+) KiB of JSON`)
	entriesOf = regexp.MustCompile(`at most ([\d,]+)`)
	entryOf   = regexp.MustCompile(`, ([\d,]+) bytes each`)
	numberOf  = regexp.MustCompile(`1 to ([\d,]+)`)
	sameAs    = regexp.MustCompile(`has the bounds of (\w+)`)
)

// boundsOf are the limits of a request. A string without one is an id, whose form
// is its limit, or one of a few words.
func boundsOf(t *testing.T, m protoreflect.MessageDescriptor) (all []bound) {
	t.Helper()
	said := proto.Comments()
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		comment, inner := said[string(m.Name()+"."+f.Name())], f
		if other := sameAs.FindStringSubmatch(said[string(m.Name())]); other != nil {
			comment += " " + said[other[1]+"."+string(f.Name())]
		}
		if list := f.Message(); list != nil && list.Fields().Len() == 1 && list.Fields().Get(0).IsList() { // a list that may be absent
			inner = list.Fields().Get(0)
			comment = said[string(list.Name())+"."+string(inner.Name())]
		}
		note := func(of string, stated *regexp.Regexp, unit int) bool {
			found := stated.FindStringSubmatch(comment)
			if found == nil {
				return false
			}
			limit, err := strconv.Atoi(strings.ReplaceAll(found[1], ",", ""))
			must(t, err)
			all = append(all, bound{f, of, limit * unit})
			return true
		}
		switch {
		case inner.IsList():
			if !note("entries", entriesOf, 1) {
				t.Errorf("%s.%s has no stated bound", m.Name(), f.Name())
			}
			note("bytes of an entry", entryOf, 1)
		case inner.Kind() == protoreflect.StringKind:
			if !note("bytes", bytesOf, 1) && f.Name() != "sort" && f.Name() != "id" && !strings.HasSuffix(string(f.Name()), "_id") {
				t.Errorf("%s.%s has no stated bound", m.Name(), f.Name())
			}
		case inner.Message() != nil && inner.Message().Name() == "Struct":
			if !note("JSON", jsonOf, 1<<10) {
				t.Errorf("%s.%s has no stated bound", m.Name(), f.Name())
			}
		case inner.Kind() == protoreflect.Int32Kind:
			note("number", numberOf, 1)
		}
	}
	return all
}

// value is one of the size, for the field of a request; letter makes texts of two
// requests differ.
func (b bound) value(ids map[string]string, letter string, size int) any {
	name := string(b.field.Name())
	switch b.of {
	case "JSON": // of values that any schema allows
		var text string
		list := []string{}
		for rest := size - len(`{"notes":[]}`); rest > 0; rest -= len(text) + len(`"",`) {
			text = strings.Repeat("x", min(1000, rest-len(`""`)))
			list = append(list, text)
		}
		return map[string]any{"notes": list}
	case "entries":
		entry := map[string]string{"user_ids": ids["user_id"], "update_mask": ids["field"], "permissions": "read:x"}[name]
		return slices.Repeat([]string{entry}, size)
	case "bytes of an entry":
		return []string{"read:" + strings.Repeat("x", size-len("read:"))}
	case "number":
		return size
	}
	switch name {
	case "filter":
		return `id pr or (` + strings.Repeat(" ", size-len(`id pr or (id pr)`)) + `id pr)`
	case "role_name": // of the role that has the longest name
		letter = "y"
	}
	return strings.Repeat(letter, size)
}

// TestFieldsHaveTheBoundsThatTheyState: every request about users, groups, roles
// and assignments takes what its definition allows and refuses one more, with the
// field at fault.
func TestFieldsHaveTheBoundsThatTheyState(t *testing.T) {
	s, direct, org := newDirect(t)
	direct.schema(directory.AttributeDefinition{Name: "notes", Type: directory.AttributeString, Several: true})
	ada, group := s.user(org, "ada"), s.group(org, "g")
	roles := s.ok("GET", "/api/v1/roles?q=doctor&org_id="+org, "")["roles"].([]any)
	role := roles[0].(map[string]any)["id"].(string)
	s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"`+strings.Repeat("y", directory.NameMax)+`"}`)
	objects := map[string]string{"UserService": ada, "GroupService": group, "RoleService": role}
	checked := 0
	for _, file := range []protoreflect.FileDescriptor{
		authfiv1.File_authfi_v1_user_proto, authfiv1.File_authfi_v1_group_proto,
		authfiv1.File_authfi_v1_role_proto, authfiv1.File_authfi_v1_assignment_proto,
	} {
		service := file.Services().Get(0)
		field := map[string]string{"UserService": "title", "GroupService": "description", "RoleService": "description"}[string(service.Name())]
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			for k, b := range boundsOf(t, method.Input()) {
				ids := map[string]string{
					"id": objects[string(service.Name())], "user_id": ada, "group_id": group, "org_id": org, "owner_id": ada, "field": field,
				}
				s.holds(method, b, ids, fmt.Sprint(method.Name(), k), string(rune('a'+i)))
				checked++
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d bounds were found", checked)
	}
}

// holds sends a request with the field at its limit and one past it.
func (s *server) holds(method protoreflect.MethodDescriptor, b bound, ids map[string]string, unique, letter string) {
	s.t.Helper()
	send := func(size int) (*http.Response, object) {
		body := map[string]any{}
		for _, name := range []string{"id", "org_id", "user_id", "group_id", "owner_id"} {
			f := method.Input().Fields().ByName(protoreflect.Name(name))
			choice := method.Name() == "AddGroupMembers" || method.Name() == "ListAssignments" || strings.HasPrefix(string(method.Name()), "Update")
			if f != nil && (!choice || name == "id" || name == "org_id") {
				body[name] = ids[name]
			}
		}
		for _, name := range []string{"name", "user_name"} {
			if strings.HasPrefix(string(method.Name()), "Create") && method.Input().Fields().ByName(protoreflect.Name(name)) != nil {
				body[name] = fmt.Sprint(unique, size)
			}
		}
		body[string(b.field.Name())] = b.value(ids, letter, size)
		return s.call(method, body)
	}
	field := string(b.field.Name())
	if b.of == "bytes of an entry" {
		field += "[0]"
	}
	// A cursor of that length is nobody's, and is refused for that.
	if res, answer := send(b.limit); res.StatusCode != http.StatusOK && field != "cursor" {
		s.t.Errorf("%s: %s of %d %s: %d %.300v", method.Name(), field, b.limit, b.of, res.StatusCode, answer)
	}
	if res, answer := send(b.limit + 1); res.StatusCode != http.StatusBadRequest || answer["field"] != field {
		s.t.Errorf("%s: %s of %d %s: %d %.300v", method.Name(), field, b.limit+1, b.of, res.StatusCode, answer)
	}
}

// call sends a request as its annotation says. What the document forbids is what
// this test is about, so nothing compares the request with the document.
func (s *server) call(method protoreflect.MethodDescriptor, body map[string]any) (*http.Response, object) {
	s.t.Helper()
	rule := protobuf.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	verb, path := http.MethodGet, rule.GetGet()
	switch {
	case rule.GetPost() != "":
		verb, path = http.MethodPost, rule.GetPost()
	case rule.GetPatch() != "":
		verb, path = http.MethodPatch, rule.GetPatch()
	}
	body = maps.Clone(body)
	for _, name := range []string{"id", "user_id", "group_id"} {
		if hole := "{" + name + "}"; strings.Contains(path, hole) {
			path = strings.Replace(path, hole, fmt.Sprint(body[name]), 1)
			delete(body, name)
		}
	}
	if verb != http.MethodGet {
		text, err := json.Marshal(body)
		must(s.t, err)
		return s.send(verb, path, string(text))
	}
	query := url.Values{}
	for name, value := range body {
		query.Set(name, fmt.Sprint(value))
	}
	return s.send(verb, path+"?"+query.Encode(), "")
}
