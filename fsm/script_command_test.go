package fsm_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// command reads a line of a script:
//
//	organization SLUG [bare] [quota=N]      bare: without the built-in roles
//	quota N | suspend | resume | drop SLUG
//	user U [field=value…] | service U of OWNER
//	change user U field=value… | activate U | deactivate U
//	group G [field=value…] | change group G field=value…
//	member G U | unmember G U | nest CHILD in PARENT | unnest CHILD in PARENT
//	role R PERMISSION… | change role R PERMISSION… | rename role R NAME
//	assign A ROLE to user|group X [until DURATION] | unassign ROLE from user|group X
//	key K of U PERMISSION… [until DURATION] | revoke K
//	connection C | session S of U | end S | refresh S
//	attribute NAME TYPE [several] | attributes none
//	domain NAME… | verify NAME [with CHALLENGE]
//	expire assignment|key X
//	delete user|group|role|connection X
func (s *script) command(words []string) (fsm.Command, error) {
	for _, read := range []func(string, []string) fsm.Command{s.organization, s.person, s.collection, s.grant, s.access} {
		if c := read(words[0], append(words[1:], "", "", "")); c != nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no such line")
}

func (s *script) organization(verb string, rest []string) fsm.Command {
	switch verb {
	case "organization":
		s.org = named[directory.OrgID](rest[0])
		c := &fsm.CreateOrganization{
			Organization: directory.Organization{ID: s.org, Slug: rest[0], Name: rest[0], UserQuota: number(pairsOf(rest)["quota"])},
			Key:          directory.SigningKey{ID: "kid"},
		}
		if rest[1] != "bare" {
			for _, r := range directory.BuiltinRoles() {
				c.Roles = append(c.Roles, named[directory.RoleID](r.Name))
			}
		}
		return c
	case "quota":
		return &fsm.SetOrganizationLimits{UserQuota: number(rest[0])}
	case "suspend":
		return &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended}
	case "resume":
		return &fsm.SetOrganizationLimits{Status: directory.OrganizationActive}
	case "drop":
		return &fsm.DeleteOrganization{ID: named[directory.OrgID](rest[0])}
	case "attribute":
		several := rest[2] == "several"
		return &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{
			{Name: rest[0], Type: directory.AttributeType(rest[1]), Several: several},
		}}}
	case "attributes":
		return &fsm.PutSchema{}
	case "domain":
		c := &fsm.UpdateOrganization{SetDomains: true}
		for _, name := range rest {
			if name != "" {
				c.Domains = append(c.Domains, directory.Domain{Name: name, Challenge: "challenge-" + name, Verified: 1})
			}
		}
		return c
	case "verify":
		return &fsm.VerifyDomain{Name: rest[0], Challenge: after(rest, "with")}
	}
	return nil
}

func number(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

// person reads lines about users.
func (s *script) person(verb string, rest []string) fsm.Command {
	user := named[directory.UserID](rest[0])
	switch verb {
	case "user", "service":
		u := directory.User{ID: user, UserName: rest[0], Active: true, Source: directory.SourceAPI}
		if s.actor.Kind == directory.ActorConnection {
			u.Source, u.Connection = directory.SourceSCIM, directory.ConnectionID(s.actor.ID)
		}
		if verb == "service" {
			u.Service, u.Owner = true, named[directory.UserID](after(rest, "of"))
		}
		return &fsm.CreateUser{User: fill(u, pairsOf(rest))}
	case "activate", "deactivate":
		return &fsm.SetUserActive{User: user, Active: verb == "activate"}
	case "change":
		if rest[0] != "user" {
			return nil
		}
		u := directory.User{ID: named[directory.UserID](rest[1])}
		if o, ok := s.m.Root().Org(s.org); ok {
			if old, ok := o.User(u.ID); ok {
				u = *old
			}
		}
		return &fsm.UpdateUser{User: fill(u, pairsOf(rest))}
	}
	return nil
}

func fill(u directory.User, fields map[string]string) directory.User {
	for name, into := range map[string]*string{
		"name": &u.UserName, "email": &u.Email, "title": &u.Title, "external": &u.ExternalID, "phone": &u.Phone,
	} {
		if value, ok := fields[name]; ok {
			*into = value
		}
	}
	if value, ok := fields["custom"]; ok {
		u.Custom = []byte(value)
	}
	if value, ok := fields["manager"]; ok {
		u.Manager = named[directory.UserID](value)
	}
	if value, ok := fields["owner"]; ok {
		u.Owner = named[directory.UserID](value)
	}
	if value, ok := fields["active"]; ok {
		u.Active = value == "true"
	}
	return u
}

// collection reads lines about groups and roles.
func (s *script) collection(verb string, rest []string) fsm.Command {
	fields := pairsOf(rest)
	switch verb {
	case "group":
		g := directory.Group{ID: named[directory.GroupID](rest[0]), Name: rest[0], Source: directory.SourceAPI}
		if s.actor.Kind == directory.ActorConnection {
			g.Source, g.Connection = directory.SourceSCIM, directory.ConnectionID(s.actor.ID)
		}
		return &fsm.CreateGroup{Group: g}
	case "change":
		switch rest[0] {
		case "group":
			c := &fsm.ChangeGroup{Group: named[directory.GroupID](rest[1])}
			if name, ok := fields["name"]; ok {
				c.Name = &name
			}
			if text, ok := fields["description"]; ok {
				c.Description = &text
			}
			return c
		case "role":
			return &fsm.UpdateRole{Role: named[directory.RoleID](rest[1]), SetPermissions: true, Permissions: permissionsIn(rest)}
		}
	case "member":
		return &fsm.ChangeGroup{Group: named[directory.GroupID](rest[0]), Add: []directory.UserID{named[directory.UserID](rest[1])}}
	case "unmember":
		return &fsm.ChangeGroup{Group: named[directory.GroupID](rest[0]), Remove: []directory.UserID{named[directory.UserID](rest[1])}}
	case "nest":
		return &fsm.NestGroup{Child: named[directory.GroupID](rest[0]), Parent: named[directory.GroupID](rest[2])}
	case "unnest":
		return &fsm.UnnestGroup{Child: named[directory.GroupID](rest[0]), Parent: named[directory.GroupID](rest[2])}
	case "role":
		return &fsm.CreateRole{Role: directory.Role{ID: named[directory.RoleID](rest[0]), Name: rest[0], Permissions: permissionsIn(rest)}}
	case "rename":
		return &fsm.UpdateRole{Role: named[directory.RoleID](rest[1]), Name: &rest[2]}
	}
	return nil
}

// until is an end that is so far away, if there is to be one.
func (s *script) until(rest []string) directory.Time {
	text := after(rest, "until")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.now.Add(d)
}

// grant reads lines about what has an end.
func (s *script) grant(verb string, rest []string) fsm.Command {
	holder := func(words []string) (user directory.UserID, group directory.GroupID) {
		if words[0] == "group" {
			return user, named[directory.GroupID](words[1])
		}
		return named[directory.UserID](words[1]), group
	}
	switch verb {
	case "assign":
		c := &fsm.AssignRole{ID: named[directory.AssignmentID](rest[0]), Role: named[directory.RoleID](rest[1]), Expires: s.until(rest)}
		c.User, c.Group = holder(rest[3:])
		return c
	case "unassign":
		c := &fsm.UnassignRole{Role: named[directory.RoleID](rest[0])}
		c.User, c.Group = holder(rest[2:])
		return c
	case "key":
		return &fsm.CreateAPIKey{Key: directory.APIKey{
			ID: named[directory.APIKeyID](rest[0]), Name: rest[0], Owner: named[directory.UserID](rest[2]),
			Permissions: permissionsIn(rest), Expires: s.until(rest),
		}}
	case "revoke":
		return &fsm.RevokeAPIKey{ID: named[directory.APIKeyID](rest[0])}
	case "expire":
		if rest[0] == "key" {
			return &fsm.ExpireGrants{APIKeys: []directory.APIKeyID{named[directory.APIKeyID](rest[1])}}
		}
		return &fsm.ExpireGrants{Assignments: []directory.AssignmentID{named[directory.AssignmentID](rest[1])}}
	}
	return nil
}

// access reads the rest.
func (s *script) access(verb string, rest []string) fsm.Command {
	switch verb + " " + rest[0] {
	case "delete user":
		return &fsm.DeleteUser{User: named[directory.UserID](rest[1])}
	case "delete group":
		return &fsm.DeleteGroup{Group: named[directory.GroupID](rest[1])}
	case "delete role":
		return &fsm.DeleteRole{Role: named[directory.RoleID](rest[1])}
	case "delete connection":
		return &fsm.DeleteConnection{ID: named[directory.ConnectionID](rest[1])}
	}
	token := func(name string) (t [32]byte) { copy(t[:], name); return t }
	switch verb {
	case "connection":
		return &fsm.CreateConnection{Connection: directory.Connection{ID: named[directory.ConnectionID](rest[0]), Provider: directory.ProviderGeneric}}
	case "session":
		return &fsm.StartSession{
			ID: named[directory.SessionID](rest[0]), User: named[directory.UserID](rest[2]), Refresh: token(rest[0]),
			Token: directory.AccessToken{Expires: s.now.Add(directory.AccessTokenLife)},
		}
	case "refresh":
		return &fsm.RefreshSession{ID: named[directory.SessionID](rest[0]), Presented: token(rest[0]), Refresh: token(rest[0])}
	case "end":
		return &fsm.EndSession{ID: named[directory.SessionID](rest[0]), Reason: strings.Join(rest[1:], " ")}
	}
	return nil
}
