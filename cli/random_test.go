package cli_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/authfi/authfi/archive"
)

// randomFile is an organization with something of everything.
type randomFile struct {
	*rand.Rand
	file archive.File
}

func newRandomFile(seed uint64) *archive.File {
	r := &randomFile{Rand: rand.New(rand.NewPCG(seed, seed)), file: archive.File{Whole: true}}
	r.organization()
	r.roles()
	r.groups()
	r.users()
	r.edges()
	r.services()
	r.connections()
	return &r.file
}

func (r *randomFile) maybe() bool { return r.IntN(2) == 0 }

// word is text that a careless program would spoil.
func (r *randomFile) word() string {
	return []string{"Ärzte", "O'Neil", `a "b"`, "x<y>&z", "看護師", "tab\\t", "a,b;c", "👩‍⚕️ ward", "plain", "UPPER"}[r.IntN(10)]
}

func (r *randomFile) text() string {
	if r.maybe() {
		return ""
	}
	return r.word() + " " + fmt.Sprint(r.IntN(1000))
}

func pick[T any](r *randomFile, from []T) T { return from[r.IntN(len(from))] }

func (r *randomFile) organization() {
	o := &archive.Organization{Name: "Org " + r.word(), UserQuota: 5_000 + r.Uint32N(100)}
	for i := range r.IntN(4) {
		o.Domains = append(o.Domains, fmt.Sprintf("d%d-%d.example", i, r.IntN(100_000)))
	}
	slices.Sort(o.Domains)
	if r.maybe() {
		o.Branding = &archive.Branding{LogoURL: "https://cdn.example/l?a=1&b=2", Color: "#00aa7f", Support: "help@clinic.example"}
	}
	if r.maybe() {
		o.SignIn = &archive.SignIn{MFA: true, SessionIdleSeconds: 3_600}
	}
	r.file.Organization = o
	r.file.Attributes = []*archive.Attribute{
		{Name: "badge", Type: "string", Description: r.text()},
		{Name: "floor", Type: "integer", URN: "urn:ietf:params:scim:schemas:extension:clinic:2.0:User"},
		{Name: "hired", Type: "date"},
		{Name: "remote", Type: "boolean"},
		{Name: "ward", Type: "string", Several: true, Values: []string{"A", "B", "C & D"}},
	}
	for i := range r.IntN(5) {
		r.file.Permissions = append(r.file.Permissions, &archive.Permission{Permission: fmt.Sprintf("read:thing-%d", i), Description: "See " + r.word()})
	}
}

// connections need roles, for their mappings.
func (r *randomFile) connections() {
	for i := range r.IntN(4) {
		c := &archive.Connection{Provider: pick(r, []string{"entra", "generic", "okta"}), Name: r.text(), Disabled: r.maybe(), SeesAll: r.maybe()}
		c.ReplaceMissingValuePath = pick(r, []string{"", "no_target"})
		c.UnknownMembers, c.UnknownAttributes = pick(r, []string{"", "reject"}), pick(r, []string{"", "reject"})
		if r.maybe() {
			c.UniqueGroupDisplayName = new(bool)
		}
		if r.maybe() {
			c.Issuer, c.Audience = "https://sts.windows.net/2f1a9c1e-0000-4000-8000-000000000000/", fmt.Sprintf("8adf8e6e-%d", i)
			c.Application = pick(r, []string{"", "an application"})
		}
		for n := range r.IntN(3) {
			m := archive.Mapping{GroupName: fmt.Sprintf("%s %d", r.word(), n), Role: pick(r, r.file.Roles).Name}
			if r.maybe() {
				m.GroupName, m.GroupExternalID = "", fmt.Sprintf("g-%d", n)
			}
			c.Mappings = append(c.Mappings, m)
		}
		r.file.Connections = append(r.file.Connections, c)
	}
	if r.maybe() && len(r.file.Connections) > 0 { // one like another, but for a trust
		c := *r.file.Connections[0]
		c.Issuer, c.Audience, c.Application = "", "", ""
		r.file.Connections = append(r.file.Connections, &c)
	}
}

func (r *randomFile) roles() {
	for i := range 1 + r.IntN(8) {
		permissions := []string{}
		for range r.IntN(5) {
			permissions = append(permissions, pick(r, []string{"read:patients", "write:patients", "read:*", "order:labs", "read:audit-logs"}))
		}
		slices.Sort(permissions)
		r.file.Roles = append(r.file.Roles, &archive.Role{
			Name: fmt.Sprintf("%s role %d", r.word(), i), Description: r.text(), Permissions: slices.Compact(permissions),
		})
	}
}

func (r *randomFile) groups() {
	for i := range 2 + r.IntN(12) {
		g := &archive.Group{Name: fmt.Sprintf("%s group %d", r.word(), i), Description: r.text()}
		if r.maybe() {
			g.ExternalID = fmt.Sprintf("group/%d", i)
		}
		r.file.Groups = append(r.file.Groups, g)
	}
}

func (r *randomFile) users() {
	for i := range 4 + r.IntN(40) {
		u := &archive.User{
			UserName: fmt.Sprintf("%s-%d", r.word(), i), Email: fmt.Sprintf("u%d@clinic.example", i), DisplayName: r.text(),
			GivenName: r.text(), FamilyName: r.text(), Phone: r.text(), Title: r.text(), Department: r.text(),
		}
		if r.maybe() {
			u.ExternalID = fmt.Sprintf("user/%d", i)
		}
		if r.maybe() {
			custom, _ := json.Marshal(map[string]any{"badge": r.word(), "floor": r.IntN(40), "ward": []string{"A", "C & D"}})
			u.Custom, _ = archive.Canonical(custom) // the form in which a file is written
		}
		if r.maybe() {
			u.Attributes, _ = archive.Canonical([]byte(`{"nested":{"deep":[1,2.5,"<x>"]},"a":true}`))
		}
		if i > 0 && r.maybe() {
			u.Manager = r.file.Users[r.IntN(i)].UserName
		}
		if r.IntN(5) == 0 {
			u.Active = new(bool)
		}
		r.file.Users = append(r.file.Users, u)
	}
	r.file.Users[0].Manager = r.file.Users[1].UserName // a circle, or nearly
	for i := range r.IntN(4) {
		owner := pick(r, r.file.Users[:4])
		u := &archive.User{UserName: fmt.Sprintf("robot-%d", i), DisplayName: r.text(), Service: true, Owner: owner.UserName, Active: owner.Active}
		if r.maybe() {
			u.Title = "Robot"
		}
		r.file.Users = append(r.file.Users, u)
	}
}

func (r *randomFile) edges() {
	for _, g := range r.file.Groups {
		for _, u := range r.file.Users {
			if r.IntN(4) == 0 {
				r.file.Members = append(r.file.Members, &archive.Member{Group: g.Name, User: u.UserName})
			}
		}
	}
	for i, outer := range r.file.Groups {
		for _, inner := range r.file.Groups[i+1:] {
			if r.IntN(6) == 0 {
				r.file.Nestings = append(r.file.Nestings, &archive.Nesting{Group: outer.Name, Member: inner.Name})
			}
		}
	}
	roles := []string{"auditor", "owner"}
	for _, role := range r.file.Roles {
		roles = append(roles, role.Name)
	}
	for _, role := range roles {
		if r.maybe() {
			r.file.Assignments = append(r.file.Assignments, r.end(&archive.Assignment{Role: role, Group: pick(r, r.file.Groups).Name}))
		}
		if r.maybe() {
			r.file.Assignments = append(r.file.Assignments, r.end(&archive.Assignment{Role: role, User: pick(r, r.file.Users).UserName}))
		}
	}
}

func (r *randomFile) end(a *archive.Assignment) *archive.Assignment {
	if r.maybe() {
		at := time.Now().UTC().Truncate(time.Second).Add(time.Duration(1+r.IntN(1000)) * time.Hour)
		a.Expires = &at
	}
	return a
}

func (r *randomFile) services() {
	for i := range r.IntN(3) {
		s := &archive.Service{
			Name: fmt.Sprintf("%s service %d", r.word(), i), Listen: []string{fmt.Sprintf("127.0.0.1:%d", 20_000+r.IntN(10_000))},
			Policies: []archive.Policy{{Path: "/health", Public: true}},
		}
		if r.maybe() {
			s.Upstream = "127.0.0.1:9000"
			s.Policies = append(s.Policies, archive.Policy{Methods: []string{"GET", "POST"}, Path: "/api/*", Roles: []string{"auditor"}, Permissions: []string{"read:patients"}, MFA: true})
		}
		if r.maybe() {
			s.FoldCase, s.FoldSlash = true, r.maybe()
			s.Policies = append(s.Policies, archive.Policy{
				Path: "/socket", RolesAll: []string{"auditor"}, PermissionsAny: []string{"read:a", "read:b"}, Upgrade: true, GetBody: r.maybe(),
			})
		}
		r.file.Services = append(r.file.Services, s)
	}
}
