package fsm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/authfi/authfi/fsm/state"
)

// sized is a command as large as n, for the ward that row.setup has left.
type sized struct {
	what    string
	limit   int
	setup   func(w *ward)
	command func(w *ward, n int) fsm.Command
	kind    directory.Kind // of one past the limit
}

func text(n int) string { return strings.Repeat("x", n) }

func userWith(change func(*directory.User)) fsm.Command {
	u := user(1)
	change(&u)
	return &fsm.CreateUser{User: u}
}

func schemaWith(change func(*directory.AttributeDefinition)) fsm.Command {
	d := directory.AttributeDefinition{Name: "a", Type: directory.AttributeString}
	change(&d)
	return &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{d}}}
}

func manyPermissions(n int) (ps []directory.Permission) {
	for i := range n {
		ps = append(ps, directory.Permission(fmt.Sprintf("read:thing-%06d", i)))
	}
	return ps
}

func texts(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("value-%04d", i))
	}
	return list
}

// TestLimitsOfOneCommand: what is as large as it may be is taken, and what is one
// larger is refused.
func TestLimitsOfOneCommand(t *testing.T) {
	for _, row := range append(limitsOfTexts, limitsOfLists...) {
		for _, more := range []int{0, 1} {
			w := newWard(t)
			if row.setup != nil {
				row.setup(w)
			}
			err := w.try(row.command(w, row.limit+more))
			switch {
			case more == 0 && err != nil:
				t.Errorf("%s at the limit of %d: %v", row.what, row.limit, err)
			case more == 1 && directory.KindOf(err) != row.kind:
				t.Errorf("%s one past the limit of %d: %v", row.what, row.limit, err)
			}
		}
	}
}

var limitsOfTexts = []sized{
	{"user name", directory.IdentifierMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.UserName = text(n) })
	}, directory.KindInvalid},
	{"e-mail", directory.IdentifierMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.Email = text(n) })
	}, directory.KindInvalid},
	{"display name", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.DisplayName = text(n) })
	}, directory.KindInvalid},
	{"given name", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.GivenName = text(n) })
	}, directory.KindInvalid},
	{"family name", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.FamilyName = text(n) })
	}, directory.KindInvalid},
	{"title", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.Title = text(n) })
	}, directory.KindInvalid},
	{"department", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.Department = text(n) })
	}, directory.KindInvalid},
	{"phone", directory.PhoneMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.Phone = text(n) })
	}, directory.KindInvalid},
	{"external id of a user", directory.ExternalIDMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.ExternalID = text(n) })
	}, directory.KindInvalid},
	{"attributes of a provider", directory.AttributesMax, nil, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.Attributes = []byte(`"` + text(n-2) + `"`) })
	}, directory.KindInvalid},
	{"custom attributes", directory.CustomMax, func(w *ward) {
		w.must(schemaWith(func(d *directory.AttributeDefinition) { d.Several = true }))
	}, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.Custom = customOf(n) })
	}, directory.KindInvalid},
	{"name of a group", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateGroup{Group: directory.Group{ID: groupID(1), Name: text(n)}}
	}, directory.KindInvalid},
	{"description of a group", directory.DescriptionMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateGroup{Group: directory.Group{ID: groupID(1), Name: "g", Description: text(n)}}
	}, directory.KindInvalid},
	{"external id of a group", directory.ExternalIDMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateGroup{Group: directory.Group{ID: groupID(1), Name: "g", ExternalID: text(n)}}
	}, directory.KindInvalid},
	{"name of a role", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateRole{Role: directory.Role{ID: roleID(1), Name: text(n)}}
	}, directory.KindInvalid},
	{"description of a role", directory.DescriptionMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateRole{Role: directory.Role{ID: roleID(1), Name: "r", Description: text(n)}}
	}, directory.KindInvalid},
	{"a permission", directory.PermissionMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.DescribePermission{Permission: directory.Permission("read:" + text(n-5)), Description: "x"}
	}, directory.KindInvalid},
	{"description of a permission", directory.DescriptionMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.DescribePermission{Permission: "read:a", Description: text(n)}
	}, directory.KindInvalid},
	{"name of an organization", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		name := text(n)
		return &fsm.UpdateOrganization{Name: &name}
	}, directory.KindInvalid},
	{"slug", 63, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateOrganization{Organization: directory.Organization{ID: id[directory.OrgID](5), Slug: text(n), Name: "x"}, Key: directory.SigningKey{ID: "k"}}
	}, directory.KindInvalid},
	{"a domain", 253, nil, func(_ *ward, n int) fsm.Command {
		label := text(61) + "."
		name := strings.Repeat(label, n/len(label)) + text(n%len(label)) // ends in a label of some letters
		return &fsm.UpdateOrganization{SetDomains: true, Domains: []directory.Domain{{Name: name}}}
	}, directory.KindInvalid},
	{"a challenge", 64, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.UpdateOrganization{SetDomains: true, Domains: []directory.Domain{{Name: "a.example", Challenge: text(n)}}}
	}, directory.KindInvalid},
	{"a logo's address", 2048, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.UpdateOrganization{Branding: &directory.Branding{LogoURL: "https://" + text(n-8)}}
	}, directory.KindInvalid},
	{"name of a key", directory.NameMax, ownerOfEverything, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateAPIKey{Key: directory.APIKey{ID: id[directory.APIKeyID](1), Name: text(n), Owner: userID(1), Permissions: []directory.Permission{"read:a"}}}
	}, directory.KindInvalid},
	{"name of a service", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateService{Service: directory.Service{ID: id[directory.ServiceID](1), Name: text(n), Listen: []string{"192.0.2.1:80"}}}
	}, directory.KindInvalid},
	{"name of an operator", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateOperator{Operator: directory.Operator{ID: id[directory.OperatorID](5), Name: text(n)}}
	}, directory.KindInvalid},
}

// customOf is a custom attribute of several values that takes n bytes.
func customOf(n int) []byte {
	n -= len(`{"a":[]}`)
	var values []string
	for n > 0 {
		size := min(n, directory.AttributeTextMax)
		if rest := n - size; rest > 0 && rest < 4 {
			size -= 4
		}
		comma := 1
		if len(values) == 0 {
			comma = 0
		}
		values = append(values, text(size-2-comma))
		n -= size
	}
	b, _ := json.Marshal(map[string][]string{"a": values})
	return b
}

// ownerOfEverything makes user 1 hold every read permission.
func ownerOfEverything(w *ward) {
	w.must(&fsm.CreateUser{User: user(1)})
	w.must(&fsm.CreateRole{Role: directory.Role{ID: roleID(1), Name: "all", Permissions: []directory.Permission{"read:*"}}})
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](1), Role: roleID(1), User: userID(1)})
}

var limitsOfLists = []sized{
	{"domains", directory.DomainsMax, nil, func(_ *ward, n int) fsm.Command {
		var domains []directory.Domain
		for i := range n {
			domains = append(domains, directory.Domain{Name: fmt.Sprintf("d%d.example", i)})
		}
		return &fsm.UpdateOrganization{SetDomains: true, Domains: domains}
	}, directory.KindInvalid},
	{"attributes of a schema", directory.AttributesPerSchemaMax, nil, func(_ *ward, n int) fsm.Command {
		var s directory.Schema
		for i := range n {
			s.Attributes = append(s.Attributes, directory.AttributeDefinition{Name: fmt.Sprintf("a%d", i), Type: directory.AttributeDate})
		}
		return &fsm.PutSchema{Schema: s}
	}, directory.KindInvalid},
	{"name of an attribute", 64, nil, func(_ *ward, n int) fsm.Command {
		return schemaWith(func(d *directory.AttributeDefinition) { d.Name = text(n) })
	}, directory.KindInvalid},
	{"allowed values of an attribute", directory.AttributeValuesMax, nil, func(_ *ward, n int) fsm.Command {
		return schemaWith(func(d *directory.AttributeDefinition) { d.Values = texts(n) })
	}, directory.KindInvalid},
	{"an allowed value", directory.AttributeTextMax, nil, func(_ *ward, n int) fsm.Command {
		return schemaWith(func(d *directory.AttributeDefinition) { d.Values = []string{text(n)} })
	}, directory.KindInvalid},
	{"description of an attribute", directory.DescriptionMax, nil, func(_ *ward, n int) fsm.Command {
		return schemaWith(func(d *directory.AttributeDefinition) { d.Description = text(n) })
	}, directory.KindInvalid},
	{"values that a user has", directory.AttributeValuesMax, func(w *ward) {
		w.must(schemaWith(func(d *directory.AttributeDefinition) { d.Several = true }))
	}, func(_ *ward, n int) fsm.Command {
		b, _ := json.Marshal(map[string][]string{"a": texts(n)})
		return userWith(func(u *directory.User) { u.Custom = b })
	}, directory.KindInvalid},
	{"one value that a user has", directory.AttributeTextMax, func(w *ward) {
		w.must(schemaWith(func(*directory.AttributeDefinition) {}))
	}, func(_ *ward, n int) fsm.Command {
		return userWith(func(u *directory.User) { u.Custom = []byte(`{"a":"` + text(n) + `"}`) })
	}, directory.KindInvalid},
	{"permissions of a role", directory.PermissionsPerRoleMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateRole{Role: directory.Role{ID: roleID(1), Name: "r", Permissions: manyPermissions(n)}}
	}, directory.KindInvalid},
	{"permissions of a key", directory.PermissionsPerAPIKeyMax, ownerOfEverything, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateAPIKey{Key: directory.APIKey{ID: id[directory.APIKeyID](1), Name: "k", Owner: userID(1), Permissions: manyPermissions(n)}}
	}, directory.KindInvalid},
	{"addresses of a service", directory.ListenPerServiceMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateService{Service: directory.Service{ID: id[directory.ServiceID](1), Name: "s", Listen: texts(n)}}
	}, directory.KindInvalid},
	{"routes of a service", directory.RoutesPerServiceMax, func(w *ward) {
		w.must(&fsm.CreateService{Service: directory.Service{ID: id[directory.ServiceID](1), Name: "s", Listen: []string{"192.0.2.1:80"}}})
	}, func(_ *ward, n int) fsm.Command {
		return &fsm.SetPolicies{Service: id[directory.ServiceID](1), Policies: make([]directory.RoutePolicy, n)}
	}, directory.KindInvalid},
	{"routes of a service, in a version", directory.RoutesPerServiceMax, func(w *ward) {
		w.must(&fsm.CreateService{Service: directory.Service{ID: id[directory.ServiceID](1), Name: "s", Listen: []string{"192.0.2.1:80"}}})
	}, func(_ *ward, n int) fsm.Command {
		return &fsm.WritePolicies{Service: id[directory.ServiceID](1), Policies: make([]directory.RoutePolicy, n)}
	}, directory.KindInvalid},
	{"methods of a session", directory.SessionMethodsMax, func(w *ward) { w.must(&fsm.CreateUser{User: user(1)}) },
		func(_ *ward, n int) fsm.Command {
			return &fsm.StartSession{ID: id[directory.SessionID](1), User: userID(1), Methods: texts(n)}
		}, directory.KindInvalid},
	{"members in one change", fsm.MembersPerChangeMax, func(w *ward) {
		w.must(&fsm.CreateGroup{Group: directory.Group{ID: groupID(1), Name: "g"}})
	}, func(_ *ward, n int) fsm.Command {
		half := make([]directory.UserID, n/2)
		return &fsm.ChangeGroup{Group: groupID(1), Add: half, Remove: make([]directory.UserID, n-len(half)-1), SetMembers: true, Set: half[:1], SkipUnknown: true}
	}, directory.KindInvalid},
	{"mappings of a connection", directory.MappingsMax, func(w *ward) {
		w.must(&fsm.CreateRole{Role: directory.Role{ID: roleID(1), Name: "r"}})
		w.must(&fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](1), Provider: "okta"}})
	}, func(_ *ward, n int) fsm.Command {
		c := &fsm.SetConnectionMappings{ID: id[directory.ConnectionID](1)}
		for i := range n {
			c.Mappings = append(c.Mappings, directory.Mapping{Name: fmt.Sprint("group ", i), Role: roleID(1)})
		}
		return c
	}, directory.KindInvalid},
	{"name of a connection", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](1), Provider: "okta", Name: text(n)}}
	}, directory.KindInvalid},
	{"hint of a token", directory.TokenHintMax, func(w *ward) {
		w.must(&fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](1), Provider: "okta"}})
	}, func(_ *ward, n int) fsm.Command {
		return &fsm.RotateConnectionToken{ID: id[directory.ConnectionID](1), Token: directory.ConnectionToken{Hash: [32]byte{1}, Hint: text(n)}}
	}, directory.KindInvalid},
	{"name of an event stream", directory.NameMax, nil, func(_ *ward, n int) fsm.Command {
		return putStream(func(s *directory.EventStream) { s.Name = text(n) })
	}, directory.KindInvalid},
	{"audience of an event stream", directory.AudienceMax, nil, func(_ *ward, n int) fsm.Command {
		return putStream(func(s *directory.EventStream) { s.Audience = text(n) })
	}, directory.KindInvalid},
	{"URL of an event stream", directory.StreamURLMax, nil, func(_ *ward, n int) fsm.Command {
		const host = "https://receiver.example/"
		return putStream(func(s *directory.EventStream) { pushed(s); s.URL = host + text(n-len(host)) })
	}, directory.KindInvalid},
	{"acknowledged at once", directory.StreamWindow, func(w *ward) { w.must(putStream(nil)) }, func(_ *ward, n int) fsm.Command {
		return &fsm.AcknowledgeEvents{ID: streamID, Places: make([]directory.EventPlace, n)}
	}, directory.KindInvalid},
	{"quota", directory.UserQuotaMax, nil, func(_ *ward, n int) fsm.Command {
		return &fsm.SetOrganizationLimits{UserQuota: uint32(n)}
	}, directory.KindInvalid},
}

// TestLimitsOfHowMany: the last one that there may be is made, one more is refused,
// and when one has gone another may come.
func TestLimitsOfHowMany(t *testing.T) {
	for _, row := range []struct {
		what   string
		limit  int
		setup  func(w *ward)
		create func(w *ward, n int) fsm.OrgCommand
		remove fsm.Command
	}{
		{"API keys of a user", directory.APIKeysPerUserMax, ownerOfEverything, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.CreateAPIKey{Key: directory.APIKey{ID: id[directory.APIKeyID](n), Name: "k", Owner: userID(1), Permissions: []directory.Permission{"read:a"}}}
		}, &fsm.RevokeAPIKey{ID: id[directory.APIKeyID](3)}},
		{"services", fsm.ServicesMax, nil, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.CreateService{Service: directory.Service{ID: id[directory.ServiceID](n), Name: fmt.Sprint(n), Listen: []string{"192.0.2.1:80"}}}
		}, &fsm.DeleteService{ID: id[directory.ServiceID](3)}},
		{"event streams", fsm.EventStreamsMax, nil, func(_ *ward, n int) fsm.OrgCommand {
			return putStream(func(s *directory.EventStream) { s.ID = id[directory.EventStreamID](n) })
		}, &fsm.DeleteEventStream{ID: id[directory.EventStreamID](3)}},
		{"sessions of a user", directory.SessionsPerUser, func(w *ward) { w.must(&fsm.CreateUser{User: user(1)}) }, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.StartSession{ID: id[directory.SessionID](n), User: userID(1)}
		}, &fsm.EndSession{ID: id[directory.SessionID](3)}},
		{"clients", directory.ClientsMax, nil, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.CreateClient{Client: webClient(n)}
		}, &fsm.DeleteClient{ID: id[directory.ClientID](3)}},
		{"described permissions", fsm.PermissionDescriptionsMax, nil, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.DescribePermission{Permission: directory.Permission(fmt.Sprintf("read:%d", n)), Description: "x"}
		}, &fsm.DescribePermission{Permission: "read:3"}},
		{"groups of a user", effective.GroupsPerUserMax, func(w *ward) { w.must(&fsm.CreateUser{User: user(1)}) }, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.CreateGroup{Group: directory.Group{ID: groupID(n), Name: fmt.Sprint(n)}, Members: []directory.UserID{userID(1)}}
		}, &fsm.DeleteGroup{Group: groupID(3)}},
		{"levels of groups in groups", effective.NestingDepthMax, func(w *ward) {
			for n := range effective.NestingDepthMax + 2 {
				w.must(&fsm.CreateGroup{Group: directory.Group{ID: groupID(n), Name: fmt.Sprint(n)}})
			}
		}, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.NestGroup{Parent: groupID(n), Child: groupID(n + 1)}
		}, &fsm.UnnestGroup{Parent: groupID(3), Child: groupID(4)}},
		{"groups in groups", effective.NestingsMax, func(w *ward) {
			var envs []*fsm.Envelope
			for n := range effective.NestingsMax + 2 {
				envs = append(envs, &fsm.Envelope{Command: &fsm.CreateGroup{Group: directory.Group{ID: groupID(n), Name: fmt.Sprint(n)}}})
			}
			w.send(envs...)
		}, func(_ *ward, n int) fsm.OrgCommand {
			return &fsm.NestGroup{Parent: groupID(0), Child: groupID(n + 1)}
		}, &fsm.UnnestGroup{Parent: groupID(0), Child: groupID(4)}},
	} {
		w := newWard(t)
		if row.setup != nil {
			row.setup(w)
		}
		var envs []*fsm.Envelope // in one entry: what came before in it counts
		for n := range row.limit + 1 {
			envs = append(envs, &fsm.Envelope{Command: row.create(w, n)})
		}
		for n, r := range w.send(envs...) {
			if n < row.limit && r.Err != nil {
				t.Fatalf("%s, number %d of %d: %v", row.what, n+1, row.limit, r.Err)
			}
			if n == row.limit && directory.KindOf(r.Err) != directory.KindExhausted {
				t.Errorf("%s, one past the limit of %d: %v", row.what, row.limit, r.Err)
			}
		}
		w.must(row.remove)
		w.must(row.create(w, row.limit))
	}
}

// TestCycleIsRefusedInOneEntry: two edges, each fine alone, close one together.
func TestCycleIsRefusedInOneEntry(t *testing.T) {
	w := newWard(t)
	for n := range 3 {
		w.must(&fsm.CreateGroup{Group: directory.Group{ID: groupID(n), Name: fmt.Sprint(n)}})
	}
	results := w.send(
		&fsm.Envelope{Command: &fsm.NestGroup{Parent: groupID(0), Child: groupID(1)}},
		&fsm.Envelope{Command: &fsm.NestGroup{Parent: groupID(1), Child: groupID(2)}},
		&fsm.Envelope{Command: &fsm.NestGroup{Parent: groupID(2), Child: groupID(0)}},
		&fsm.Envelope{Command: &fsm.NestGroup{Parent: groupID(1), Child: groupID(1)}},
	)
	for i, want := range []directory.Kind{0, 0, directory.KindConflict, directory.KindConflict} {
		if directory.KindOf(results[i].Err) != want {
			t.Errorf("edge %d: %v", i, results[i].Err)
		}
	}
}

// TestRequestsKept: the oldest of as many requests as are remembered is answered
// again, and one more makes it forgotten.
func TestRequestsKept(t *testing.T) {
	w := newWard(t)
	ask := func(n int) fsm.Result {
		u := user(n)
		return w.send(&fsm.Envelope{Command: &fsm.CreateUser{User: u}, Request: id[directory.RequestID](n)})[0]
	}
	for n := range state.RequestsKept {
		if r := ask(n); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if r := ask(0); r.Err != nil || r.Outcome.Changed {
		t.Errorf("the oldest: %+v", r)
	}
	ask(state.RequestsKept)
	if r := ask(0); directory.KindOf(r.Err) != directory.KindConflict {
		t.Errorf("one that is forgotten: %+v", r)
	}
}
