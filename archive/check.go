package archive

import (
	"encoding/json"
	"slices"

	"github.com/authfi/authfi/directory"
)

// Known are the names that a file may refer to although it does not hold them,
// because the organization that it goes to does; folded.
type Known struct{ Users, Groups, Roles map[string]bool }

// Check holds every record to the rules of the directory, names to be unique and
// references to lead somewhere. It puts attributes, permissions and roles into
// their one spelling.
func (f *File) Check(known Known) error {
	c := checker{file: f, known: known}
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

	users, groups, roles map[string]bool // of the file, folded
}

func (c *checker) note(line int, err error) {
	if err != nil {
		c.found.Add(line, "%s", err)
	}
}

func (c *checker) records() {
	c.organization()
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
		c.note(r.Line, checkUser(r))
	}
	for _, r := range c.file.Services {
		c.note(r.Line, directory.CheckText("name", r.Name, directory.NameMax, true))
		if len(r.Listen) == 0 {
			c.found.Add(r.Line, "listen: must not be empty")
		}
	}
	for _, r := range c.file.Connections {
		if !slices.Contains([]string{"entra", "okta", "generic"}, r.Provider) {
			c.found.Add(r.Line, "provider: must be entra, okta or generic")
		}
	}
}

func (c *checker) organization() {
	if o := c.file.Organization; o != nil {
		c.note(o.Line, directory.CheckText("name", o.Name, directory.NameMax, true))
		if o.UserQuota > directory.UserQuotaMax {
			c.found.Add(o.Line, "user_quota: at most %d", directory.UserQuotaMax)
		}
		c.note(o.Line, canonical("settings", &o.Settings))
	}
	for _, r := range c.file.Attributes {
		s := directory.Schema{Attributes: []directory.AttributeDefinition{{
			Name: r.Name, Type: directory.AttributeType(r.Type), Several: r.Several, Values: r.Values, Description: r.Description,
		}}}
		if err := s.Check(); err != nil {
			c.note(r.Line, err)
			continue
		}
		r.Values = s.Attributes[0].Values
	}
	if len(c.file.Attributes) > directory.AttributesPerSchemaMax {
		c.found.Add(c.file.Attributes[directory.AttributesPerSchemaMax].Line, "more than %d attributes", directory.AttributesPerSchemaMax)
	}
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

func checkUser(r *User) error {
	if err := canonical("attributes", &r.Attributes); err != nil {
		return err
	}
	if err := canonical("custom", &r.Custom); err != nil {
		return err
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
	for _, r := range c.file.Roles {
		c.once(c.roles, "role", r.Name, r.Line)
	}
	for _, r := range c.file.Groups {
		c.once(c.groups, "group", r.Name, r.Line)
	}
	external := map[string]bool{}
	for _, r := range c.file.Users {
		c.once(c.users, "user", r.UserName, r.Line)
		if r.ExternalID != "" {
			c.once(external, "external id", r.ExternalID, r.Line)
		}
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
	}
	for _, r := range c.file.Members {
		c.refer(c.groups, c.known.Groups, "group", r.Group, r.Line)
		c.refer(c.users, c.known.Users, "user", r.User, r.Line)
	}
	for _, r := range c.file.Nestings {
		c.refer(c.groups, c.known.Groups, "group", r.Group, r.Line)
		c.refer(c.groups, c.known.Groups, "group", r.Member, r.Line)
	}
	for _, r := range c.file.Assignments {
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

func (c *checker) refer(own, known map[string]bool, noun, name string, line int) {
	if folded := directory.Fold(name); !own[folded] && !known[folded] {
		c.found.Add(line, "there is no %s %q, neither in the file nor in the organization", noun, name)
	}
}

// nesting refuses a group that would be within itself.
func (c *checker) nesting() {
	below := map[string][]*Nesting{}
	for _, r := range c.file.Nestings {
		folded := directory.Fold(r.Group)
		below[folded] = append(below[folded], r)
	}
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(group string)
	visit = func(group string) {
		state[group] = open
		for _, r := range below[group] {
			switch member := directory.Fold(r.Member); state[member] {
			case open:
				c.found.Add(r.Line, "the group %q would be within itself", r.Group)
			case 0:
				visit(member)
			}
		}
		state[group] = done
	}
	for _, r := range c.file.Nestings {
		if group := directory.Fold(r.Group); state[group] == 0 {
			visit(group)
		}
	}
}
