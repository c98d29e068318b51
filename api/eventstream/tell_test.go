package eventstream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// said is what a token says in one line, and the attributes or the data in short.
func said(s *set) string {
	var parts []string
	for _, name := range s.names() {
		e := s.Events[directory.StreamEventPrefix+name]
		switch {
		case e.Attributes != nil:
			name += "(" + strings.Join(e.Attributes, " ") + ")"
		case e.Data != nil:
			text, _ := json.Marshal(e.Data)
			name += string(text)
		}
		parts = append(parts, name)
	}
	return s.Subject.URI + " " + strings.Join(parts, ", ")
}

// taken are all tokens that there are, in the order of the log, acknowledged.
func (r *receiver) taken() (all []*set) {
	r.w.t.Helper()
	sets := r.now()
	var ids []string
	for id, s := range sets {
		ids = append(ids, id)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *set) int {
		left, _ := placeOf(r.id, a.ID)
		right, _ := placeOf(r.id, b.ID)
		return left.Compare(right)
	})
	if len(ids) > 0 {
		r.acknowledge(ids...)
	}
	return all
}

func (r *receiver) expect(what string, want ...string) {
	r.w.t.Helper()
	var got []string
	for _, s := range r.taken() {
		got = append(got, said(s))
	}
	if !slices.Equal(got, want) {
		r.w.t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const userBody = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ines@north.example","externalId":"x-1","name":{"givenName":"Ines","familyName":"Diaz"},"active":true,"emails":[{"value":"ines@north.example","type":"work","primary":true}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Ward 3"}}`

func patchBody(operations string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + operations + `]}`
}

// TestClaims: what every token says.
func TestClaims(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, nil)
	before := time.Now().Unix()
	ines := w.provision(0, "POST", "/Users", userBody)
	index := w.log.machine.Applied()
	all := r.taken()
	if len(all) != 1 {
		t.Fatalf("%d tokens", len(all))
	}
	s := all[0]
	if want := fmt.Sprintf("%s.%d.0", r.id, index); s.ID != want {
		t.Errorf("jti %s, want %s", s.ID, want)
	}
	if s.Change != fmt.Sprint(index) || s.Issued < before || s.Issued > time.Now().Unix() {
		t.Errorf("txn %q, iat %d", s.Change, s.Issued)
	}
	if s.Subject.Format != "scim" || s.Subject.URI != "/Users/"+ines.ID || s.Subject.ExternalID != "x-1" {
		t.Errorf("sub_id %+v", s.Subject)
	}
	if e := s.Events[directory.StreamEventPrefix+"prov:create:notice"]; e.Version != ines.Meta.Version || e.Data != nil {
		t.Errorf("%+v, the resource has the version %s", e, ines.Meta.Version)
	}
	for _, name := range []string{"sub", "exp", "nbf"} {
		if _, there := s.claims[name]; there {
			t.Errorf("a token has the claim %s", name)
		}
	}
}

// TestNotices: every change of a user and a group, by the names of what changed.
func TestNotices(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, nil)
	ines := "/Users/" + w.provision(0, "POST", "/Users", userBody).ID
	r.expect("a user is made", ines+" feed:add, prov:create:notice(active emails externalId name.familyName name.givenName urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department userName)")
	w.provision(0, "PATCH", ines, patchBody(`{"op":"replace","path":"name.familyName","value":"Ruiz"},{"op":"replace","path":"title","value":"Dr"}`))
	r.expect("a user is changed", ines+" prov:patch:notice(name.familyName title)")
	w.provision(0, "PATCH", ines, patchBody(`{"op":"replace","path":"active","value":false}`))
	r.expect("a user is deactivated", ines+" prov:deactivate")
	w.provision(0, "PATCH", ines, patchBody(`{"op":"replace","path":"active","value":true},{"op":"replace","path":"title","value":"Prof"}`))
	r.expect("a user comes back with a title", ines+" prov:activate, prov:patch:notice(title)")

	group := w.provision(0, "POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"nurses","externalId":"g-1","members":[{"value":"`+ines[len("/Users/"):]+`"}]}`).ID
	nurses := "/Groups/" + group
	r.expect("a group is made with a member", nurses+" feed:add, prov:create:notice(displayName externalId)", nurses+" prov:patch:notice(members)")
	w.provision(0, "PATCH", nurses, patchBody(`{"op":"replace","path":"displayName","value":"night nurses"}`))
	r.expect("a group is renamed", nurses+" prov:patch:notice(displayName)")
	w.provision(0, "PATCH", nurses, patchBody(`{"op":"remove","path":"members[value eq \"`+ines[len("/Users/"):]+`\"]"}`))
	r.expect("a member leaves", nurses+" prov:patch:notice(members)")
	w.provision(0, "DELETE", nurses, "")
	deleted := r.taken()
	if len(deleted) != 1 || said(deleted[0]) != nurses+" prov:delete" || deleted[0].Subject.ExternalID != "g-1" {
		t.Errorf("a group is deleted: %+v", deleted)
	}
	w.provision(0, "DELETE", ines, "")
	if deleted = r.taken(); len(deleted) != 1 || said(deleted[0]) != ines+" prov:delete" || deleted[0].Subject.ExternalID != "x-1" {
		t.Errorf("a user is deleted: %+v", deleted)
	}
}

// TestFull: data instead of names; of what is gone only that it is.
func TestFull(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, func(s *directory.EventStream) { s.Full = true })
	made := w.provision(0, "POST", "/Users", userBody)
	ines := "/Users/" + made.ID
	w.provision(0, "PATCH", ines, patchBody(`{"op":"replace","path":"title","value":"Dr"}`))
	all := r.taken()
	if len(all) != 2 || !slices.Equal(all[0].names(), []string{"feed:add", "prov:create:full"}) || !slices.Equal(all[1].names(), []string{"prov:put:full"}) {
		t.Fatalf("%v", all)
	}
	data := all[1].Events[directory.StreamEventPrefix+"prov:put:full"].Data
	if data["id"] != made.ID || data["userName"] != "ines@north.example" || data["title"] != "Dr" || data["schemas"] == nil {
		t.Errorf("%v", data)
	}
	group := w.provision(0, "POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"nurses","members":[{"value":"`+made.ID+`"}]}`).ID
	nurses := "/Groups/" + group
	r.expect("a group is made with a member",
		nurses+` feed:add, prov:create:full{"displayName":"nurses","id":"`+group+`","schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]}`,
		nurses+` prov:patch:full{"Operations":[{"op":"add","path":"members","value":[{"type":"User","value":"`+made.ID+`"}]}],"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}`)
	w.provision(0, "PATCH", nurses, patchBody(`{"op":"replace","path":"displayName","value":"night"},{"op":"add","path":"externalId","value":"g"},{"op":"remove","path":"members[value eq \"`+made.ID+`\"]"}`))
	r.expect("all of a group changes at once",
		nurses+` prov:patch:full{"Operations":[{"op":"replace","path":"displayName","value":"night"},{"op":"replace","path":"externalId","value":"g"}],"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}`,
		nurses+` prov:patch:full{"Operations":[{"op":"remove","path":"members[value eq \"`+made.ID+`\"]"}],"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}`)
	w.provision(0, "PATCH", ines, patchBody(`{"op":"replace","path":"title","value":"Prof"}`))
	w.provision(0, "DELETE", ines, "")
	r.expect("a user is changed and deleted before anybody asks", ines+" prov:patch:notice(title)", ines+" prov:delete")
}

// TestLongChangesAreNotices: what the log does not list is told by name, with no
// attribute left out.
func TestLongChangesAreNotices(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, func(s *directory.EventStream) { s.Full = true })
	ids := w.users(0, 70, 70)
	r.taken()
	group := access.NewID[directory.GroupID](time.Now())
	var members []directory.UserID
	for _, id := range ids {
		user, err := directory.ParseUserID(id)
		must(t, err)
		members = append(members, user)
	}
	w.change(0, &fsm.CreateGroup{Group: directory.Group{ID: group, Name: "many"}, Members: members})
	if all := r.taken(); len(all) != 2 || said(all[1]) != "/Groups/"+group.String()+" prov:patch:notice(members)" {
		t.Errorf("70 members: %v", all)
	}
	short := w.stream(0, nil)
	user := w.provision(0, "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"long@north.example","title":"`+strings.Repeat("x", directory.AuditDetailMax)+`"}`)
	short.expect("a long user is made", "/Users/"+user.ID+" feed:add, prov:create:notice(active title userName)")
}

// TestOnlyWhatIsWanted: a stream gets what it was asked for, and nothing of what does
// not show in SCIM.
func TestOnlyWhatIsWanted(t *testing.T) {
	w := newWorld(t)
	some := w.stream(0, func(s *directory.EventStream) { s.Events = []string{"prov:delete", "prov:deactivate"} })
	all := w.stream(0, nil)
	other := w.stream(1, nil)
	ines := w.users(0, 1, 1)[0]
	id, err := directory.ParseUserID(ines)
	must(t, err)
	ines = "/Users/" + ines
	all.taken()
	org, _ := w.gate.Root().Org(w.orgs[0])
	u, _ := org.User(id)
	silent := *u
	silent.Department = "elsewhere"
	w.change(0, &fsm.UpdateUser{User: silent})
	w.change(0, &fsm.CreateRole{Role: directory.Role{ID: access.NewID[directory.RoleID](time.Now()), Name: "r"}})
	all.expect("what does not show in SCIM")
	w.change(0, &fsm.SetUserActive{User: id})
	w.change(0, &fsm.DeleteUser{User: id})
	some.expect("a part", ines+" prov:deactivate", ines+" prov:delete")
	other.expect("the neighbour")
}

// TestDeclaredExtensions: an organization's own attribute is told of when it shows in
// SCIM, and only then.
func TestDeclaredExtensions(t *testing.T) {
	const urn = "urn:ietf:params:scim:schemas:extension:clinic:2.0:User"
	w := newWorld(t)
	w.change(0, &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{
		{Name: "badge", Type: directory.AttributeInteger, URN: urn}, {Name: "wing", Type: directory.AttributeString},
	}}})
	r := w.stream(0, nil)
	id, err := directory.ParseUserID(w.users(0, 1, 1)[0])
	must(t, err)
	r.taken()
	set := func(custom string) {
		org, _ := w.gate.Root().Org(w.orgs[0])
		u, _ := org.User(id)
		changed := *u
		changed.Custom = []byte(custom)
		w.change(0, &fsm.UpdateUser{User: changed})
	}
	set(`{"wing":"east"}`)
	r.expect("what does not show")
	set(`{"wing":"west","badge":7}`)
	r.expect("what shows", "/Users/"+id.String()+" prov:patch:notice("+urn+":badge)")
}
