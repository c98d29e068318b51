package archive

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
)

// Known is what the organization that a file goes to holds already: names that the
// file may refer to although it does not hold them, folded, and what its records
// must fit together with.
type Known struct {
	Users, Groups, Roles map[string]bool
	Attributes           []*Attribute
	Nestings             []*Nesting
}

// Check holds every record to the rules of the directory, names to be unique and
// references to lead somewhere. It puts attributes, permissions, roles and objects
// into their one spelling.
func (f *File) Check(known Known) error {
	c := checker{file: f, known: known}
	c.organization()
	c.schema()
	c.records()
	c.names()
	c.references()
	c.nesting()
	return c.found.Err()
}

type checker struct {
	file  *File
	known Known
	found Findings

	users, groups, roles map[string]bool  // of the file, folded
	named                map[string]*User // of the file
	attributes           directory.Schema // that users will have
}

func (c *checker) note(line int, err error) {
	if err != nil {
		c.found.Add(line, "%s", err)
	}
}

func (c *checker) organization() {
	o := c.file.Organization
	if o == nil {
		return
	}
	c.note(o.Line, directory.CheckText("name", o.Name, directory.NameMax, true))
	if o.UserQuota > directory.UserQuotaMax {
		c.found.Add(o.Line, "user_quota: at most %d", directory.UserQuotaMax)
	}
	if len(o.Domains) > directory.DomainsMax {
		c.found.Add(o.Line, "domains: more than %d", directory.DomainsMax)
	}
	slices.Sort(o.Domains)
	for i, name := range o.Domains {
		c.note(o.Line, (&directory.Domain{Name: name}).Check())
		if i > 0 && o.Domains[i-1] == name {
			c.found.Add(o.Line, "domains: %s is there twice", name)
		}
	}
	if b := o.Branding; b != nil {
		c.note(o.Line, (&directory.Branding{LogoURL: b.LogoURL, Color: b.Color, Support: b.Support}).Check())
	}
	if s := o.SignIn; s != nil {
		c.note(o.Line, (&directory.SignIn{
			MFA: s.MFA, SessionIdle: time.Duration(s.SessionIdleSeconds) * time.Second,
			SessionMax: time.Duration(s.SessionMaxSeconds) * time.Second,
		}).Check())
	}
}

// Schema is the attributes of two lists together, the later one's where both
// define a name.
func Schema(lists ...[]*Attribute) directory.Schema {
	last := map[string]directory.AttributeDefinition{}
	for _, list := range lists {
		for _, r := range list {
			last[r.Name] = directory.AttributeDefinition{
				Name: r.Name, Type: directory.AttributeType(r.Type), Several: r.Several, Values: r.Values, Description: r.Description, URN: r.URN,
			}
		}
	}
	s := directory.Schema{}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		s.Attributes = append(s.Attributes, last[name])
	}
	return s
}

func (c *checker) schema() {
	for _, r := range c.file.Attributes {
		s := Schema([]*Attribute{r})
		if err := s.Check(); err != nil {
			c.note(r.Line, err)
			continue
		}
		r.Values = s.Attributes[0].Values
	}
	c.attributes = Schema(c.known.Attributes, c.file.Attributes)
	if over := len(c.attributes.Attributes) - directory.AttributesPerSchemaMax; over > 0 {
		c.found.Add(0, "with those of the organization there are %d attributes, %d more than it may have", len(c.attributes.Attributes), over)
	}
}

func (c *checker) records() {
	for _, r := range c.file.Permissions {
		c.note(r.Line, directory.Permission(r.Permission).Check())
		c.note(r.Line, directory.CheckText("description", r.Description, directory.DescriptionMax, true))
	}
	for _, r := range c.file.Roles {
		c.note(r.Line, checkRole(r))
	}
	for _, r := range c.file.Groups {
		g := directory.Group{ID: directory.GroupID{1}, Name: r.Name, Description: r.Description, ExternalID: r.ExternalID}
		c.note(r.Line, g.Check())
	}
	for _, r := range c.file.Users {
		c.note(r.Line, c.user(r))
	}
	for _, r := range c.file.Services {
		c.note(r.Line, checkService(r))
	}
	for _, r := range c.file.Connections {
		c.note(r.Line, checkConnection(r))
	}
}

func checkConnection(r *Connection) error {
	r.Plain()
	switches := []struct{ field, text, new, other string }{
		{"replace_missing_value_path", r.ReplaceMissingValuePath, missingAdd, "no_target"},
		{"unknown_members", r.UnknownMembers, membersSkip, "reject"},
		{"unknown_attributes", r.UnknownAttributes, attributesIgnore, "reject"},
	}
	for _, s := range switches {
		if s.text != "" && s.text != s.other {
			return directory.Invalid(s.field, "must be %s or %s", s.new, s.other)
		}
	}
	if len(r.Mappings) > directory.MappingsMax {
		return directory.Invalid("mappings", "more than %d", directory.MappingsMax)
	}
	for i := range r.Mappings {
		m := directory.Mapping{Name: r.Mappings[i].GroupName, ExternalID: r.Mappings[i].GroupExternalID}
		if err := m.Check(); err != nil {
			return err
		}
	}
	made := directory.Connection{
		Provider: directory.Provider(r.Provider), Name: r.Name,
		Trust: directory.Trust{Issuer: r.Issuer, Audience: r.Audience, Application: r.Application},
	}
	return made.Check()
}

// checkService compiles the policies as the API does: what it would refuse in the
// middle is refused before the beginning.
func checkService(r *Service) error {
	if err := directory.CheckText("name", r.Name, directory.NameMax, true); err != nil {
		return err
	}
	if len(r.Listen) == 0 || len(r.Listen) > directory.ListenPerServiceMax {
		return directory.Invalid("listen", "must name 1 to %d addresses", directory.ListenPerServiceMax)
	}
	whole := policy.Service{FoldCase: r.FoldCase, FoldSlash: r.FoldSlash}
	for i := range r.Policies {
		whole.Routes = append(whole.Routes, r.Policies[i].Route())
	}
	if err := whole.Validate(); err != nil {
		return err
	}
	findings, err := whole.Lint(policy.Names{})
	for _, f := range findings {
		if f.Error {
			return directory.Invalid(policy.Field(f.Route, "path"), "%s", f.Message)
		}
	}
	return err
}

func checkRole(r *Role) error {
	role := directory.Role{ID: directory.RoleID{1}, Name: r.Name, Description: r.Description}
	for _, p := range r.Permissions {
		role.Permissions = append(role.Permissions, directory.Permission(p))
	}
	if err := role.Check(); err != nil {
		return err
	}
	r.Permissions = make([]string, 0, len(role.Permissions))
	for _, p := range role.Permissions {
		r.Permissions = append(r.Permissions, string(p))
	}
	return nil
}

func (c *checker) user(r *User) error {
	if err := canonical("attributes", &r.Attributes); err != nil {
		return err
	}
	custom, err := c.attributes.Canonical(r.Custom)
	if err != nil {
		return err
	}
	r.Custom = custom
	if r.IsActive() {
		r.Active = nil // said or not
	}
	if r.Owner != "" && !r.Service {
		return directory.Invalid("owner", "only a service account has one")
	}
	u := directory.User{
		ID: directory.UserID{1}, UserName: r.UserName, Email: r.Email, DisplayName: r.DisplayName,
		GivenName: r.GivenName, FamilyName: r.FamilyName, ExternalID: r.ExternalID,
		Phone: r.Phone, Title: r.Title, Department: r.Department, Attributes: r.Attributes, Custom: r.Custom,
	}
	return u.Check()
}

func canonical(field string, text *json.RawMessage) error {
	out, err := Canonical(*text)
	if err != nil {
		return directory.Invalid(field, "must be a JSON object")
	}
	*text = out
	return nil
}

// names demands that a name is there once.
func (c *checker) names() {
	c.users, c.groups, c.roles = map[string]bool{}, map[string]bool{}, map[string]bool{}
	c.named = map[string]*User{}
	for _, r := range c.file.Roles {
		c.once(c.roles, "role", r.Name, r.Line)
	}
	for _, r := range c.file.Groups {
		c.once(c.groups, "group", r.Name, r.Line)
	}
	external := map[string]bool{}
	for _, r := range c.file.Users {
		c.once(c.users, "user", r.UserName, r.Line)
		c.named[directory.Fold(r.UserName)] = r
		if r.ExternalID != "" {
			c.once(external, "external id", r.ExternalID, r.Line)
		}
	}
	assigned := map[string]bool{}
	for _, r := range c.file.Assignments {
		holder := "user " + r.User
		if r.Group != "" {
			holder = "group " + r.Group
		}
		c.once(assigned, "assignment of", r.Role+" to "+holder, r.Line)
	}
	services, permissions, attributes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range c.file.Services {
		c.once(services, "service", r.Name, r.Line)
	}
	for _, r := range c.file.Permissions {
		c.once(permissions, "permission", r.Permission, r.Line)
	}
	for _, r := range c.file.Attributes {
		c.once(attributes, "attribute", r.Name, r.Line)
	}
}

func (c *checker) once(seen map[string]bool, noun, name string, line int) {
	folded := directory.Fold(name)
	if seen[folded] {
		c.found.Add(line, "%s %q is there twice", noun, name)
	}
	seen[folded] = true
}

func (c *checker) references() {
	for _, r := range c.file.Users {
		if r.Manager != "" {
			c.refer(c.users, c.known.Users, "user", r.Manager, r.Line)
		}
		if directory.Fold(r.Manager) == directory.Fold(r.UserName) {
			c.found.Add(r.Line, "manager: %q is the user itself", r.Manager)
		}
		c.owner(r)
	}
	for _, r := range c.file.Members {
		c.refer(c.groups, c.known.Groups, "group", r.Group, r.Line)
		c.refer(c.users, c.known.Users, "user", r.User, r.Line)
	}
	for _, r := range c.file.Nestings {
		c.refer(c.groups, c.known.Groups, "group", r.Group, r.Line)
		c.refer(c.groups, c.known.Groups, "group", r.Member, r.Line)
	}
	for _, r := range c.file.Connections {
		for _, m := range r.Mappings {
			c.refer(c.roles, c.known.Roles, "role", m.Role, r.Line)
		}
	}
	for _, r := range c.file.Assignments {
		if r.Expires != nil { // as exact as the API is
			*r.Expires = r.Expires.UTC().Truncate(time.Millisecond)
		}
		c.refer(c.roles, c.known.Roles, "role", r.Role, r.Line)
		switch {
		case (r.User == "") == (r.Group == ""):
			c.found.Add(r.Line, "an assignment is to a user or to a group")
		case r.User != "":
			c.refer(c.users, c.known.Users, "user", r.User, r.Line)
		default:
			c.refer(c.groups, c.known.Groups, "group", r.Group, r.Line)
		}
	}
}

// owner of a service account is a person who is active while the service account
// is. One that is not in the file is for the API to judge.
func (c *checker) owner(r *User) {
	if !r.Service {
		return
	}
	if r.Owner == "" {
		if r.Has("owner") {
			c.found.Add(r.Line, "owner: a service account has one")
		}
		return
	}
	c.refer(c.users, c.known.Users, "user", r.Owner, r.Line)
	owner := c.named[directory.Fold(r.Owner)]
	switch {
	case owner == nil:
	case owner.Service:
		c.found.Add(r.Line, "owner: %q is a service account itself", r.Owner)
	case r.IsActive() && !owner.IsActive():
		c.found.Add(r.Line, "active: the owner %q is not", r.Owner)
	}
}

func (c *checker) refer(own, known map[string]bool, noun, name string, line int) {
	if folded := directory.Fold(name); !own[folded] && !known[folded] {
		c.found.Add(line, "there is no %s %q, neither in the file nor in the organization", noun, name)
	}
}

// nesting refuses the line that puts a group within itself, by way of what the
// organization and the lines before it say.
func (c *checker) nesting() {
	within := map[string][]string{} // by group, the groups directly in it
	add := func(r *Nesting) {
		group := directory.Fold(r.Group)
		within[group] = append(within[group], directory.Fold(r.Member))
	}
	for _, r := range c.known.Nestings {
		add(r)
	}
	for _, r := range c.file.Nestings {
		if reaches(within, directory.Fold(r.Member), directory.Fold(r.Group)) {
			c.found.Add(r.Line, "the group %q would be within itself", r.Group)
			continue
		}
		add(r)
	}
}

func reaches(within map[string][]string, from, to string) bool {
	seen, next := map[string]bool{from: true}, []string{from}
	for len(next) > 0 {
		group := next[len(next)-1]
		next = next[:len(next)-1]
		if group == to {
			return true
		}
		for _, member := range within[group] {
			if !seen[member] {
				seen[member] = true
				next = append(next, member)
			}
		}
	}
	return false
}
