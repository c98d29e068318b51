package archive

import (
	"encoding/json"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// Format and Version stand in the first line. A reader refuses a version that it
// does not know.
const (
	Format  = "authfi-organization"
	Version = 1
)

// Header is the first line of an organization file.
type Header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// File is an organization, or a part of one.
type File struct {
	// Whole is false of a plain list of users.
	Whole        bool
	Organization *Organization
	Attributes   []*Attribute
	Permissions  []*Permission
	Roles        []*Role
	Groups       []*Group
	Users        []*User
	Members      []*Member
	Nestings     []*Nesting
	Assignments  []*Assignment
	Services     []*Service
	Connections  []*Connection
}

// Place is where a record stands in a file; 0 when it comes from a cluster.
type Place struct {
	Line int `json:"-"`
}

// Organization is what its own record holds, without slug and status, which are
// the instance's. That a domain was proved is no part of it either: the claim is,
// and who gets the file proves it anew.
type Organization struct {
	Place
	Name      string    `json:"name"`
	UserQuota uint32    `json:"user_quota,omitempty"` // absent: as it is
	Domains   []string  `json:"domains,omitempty"`
	Branding  *Branding `json:"branding,omitempty"`
	SignIn    *SignIn   `json:"sign_in,omitempty"`
}

// Branding is how the organization's own pages look.
type Branding struct {
	LogoURL string `json:"logo_url,omitempty"`
	Color   string `json:"color,omitempty"`
	Support string `json:"support,omitempty"`
}

// SignIn is what the organization asks of its sign-ins.
type SignIn struct {
	MFA                bool   `json:"mfa,omitempty"`
	SessionIdleSeconds uint32 `json:"session_idle_seconds,omitempty"`
	SessionMaxSeconds  uint32 `json:"session_max_seconds,omitempty"`
}

// Attribute is one definition of the schema of custom attributes.
type Attribute struct {
	Place
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Several     bool     `json:"several,omitempty"`
	Values      []string `json:"values,omitempty"`
	Description string   `json:"description,omitempty"`
	URN         string   `json:"urn,omitempty"`
}

// Permission says what a permission is for.
type Permission struct {
	Place
	Permission  string `json:"permission"`
	Description string `json:"description"`
}

// Role is a named set of permissions. The product's own roles are in no file.
type Role struct {
	Place
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions"`
}

// Group is a named set of users, whose members are records of their own.
type Group struct {
	Place
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	ExternalID  string `json:"external_id,omitempty"`
}

// User is a person or a service account. In a plain list Set names the fields
// that a record has; the others stay as they are. Nil means all.
type User struct {
	Place
	UserName    string          `json:"user_name"`
	Email       string          `json:"email,omitempty"`
	DisplayName string          `json:"display_name,omitempty"`
	GivenName   string          `json:"given_name,omitempty"`
	FamilyName  string          `json:"family_name,omitempty"`
	ExternalID  string          `json:"external_id,omitempty"`
	Phone       string          `json:"phone,omitempty"`
	Title       string          `json:"title,omitempty"`
	Department  string          `json:"department,omitempty"`
	Manager     string          `json:"manager,omitempty"` // user name
	Active      *bool           `json:"active,omitempty"`  // nil: true
	Attributes  json.RawMessage `json:"attributes,omitempty"`
	Custom      json.RawMessage `json:"custom,omitempty"`
	Service     bool            `json:"service,omitempty"`
	Owner       string          `json:"owner,omitempty"` // user name, of a service account
	Set         map[string]bool `json:"-"`
}

// Has is true of a field that the record speaks about.
func (u *User) Has(field string) bool { return u.Set == nil || u.Set[field] }

// IsActive is true unless the record says otherwise.
func (u *User) IsActive() bool { return u.Active == nil || *u.Active }

// Member puts a user into a group.
type Member struct {
	Place
	Group string `json:"group"`
	User  string `json:"user"`
}

// Nesting puts a group, and everybody in it, into another.
type Nesting struct {
	Place
	Group  string `json:"group"` // the outer one
	Member string `json:"member_group"`
}

// Assignment gives a role to a user or to a group.
type Assignment struct {
	Place
	Role    string     `json:"role"`
	User    string     `json:"user,omitempty"`
	Group   string     `json:"group,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

// Service is a protected service and what its routes need.
type Service struct {
	Place
	Name     string   `json:"name"`
	Listen   []string `json:"listen"`
	Upstream string   `json:"upstream,omitempty"`
	Policies []Policy `json:"policies"`

	FoldCase  bool `json:"fold_case,omitempty"`
	FoldSlash bool `json:"fold_slash,omitempty"`
}

// Policy is what a request on a route needs.
type Policy struct {
	Methods     []string `json:"methods,omitempty"`
	Path        string   `json:"path"`
	Roles       []string `json:"roles,omitempty"`
	Permissions []string `json:"permissions,omitempty"`
	MFA         bool     `json:"mfa,omitempty"`
	Public      bool     `json:"public,omitempty"`

	RolesAll       []string `json:"roles_all,omitempty"`
	PermissionsAny []string `json:"permissions_any,omitempty"`
	Upgrade        bool     `json:"upgrade,omitempty"`
	GetBody        bool     `json:"get_body,omitempty"`
}

// Route is the policy as the compiler takes it.
func (p *Policy) Route() policy.Route {
	return policy.Route{
		Methods: p.Methods, Path: p.Path, Roles: p.Roles, RolesAll: p.RolesAll,
		Permissions: p.Permissions, PermissionsAny: p.PermissionsAny,
		MFA: p.MFA, Public: p.Public, Upgrade: p.Upgrade, GetBody: p.GetBody,
	}
}

// Connection is an identity provider's right to provision, without its tokens. A switch
// that is absent is as it is in a new connection.
type Connection struct {
	Place
	Provider                string    `json:"provider"`
	Name                    string    `json:"name,omitempty"`
	Disabled                bool      `json:"disabled,omitempty"`
	ReplaceMissingValuePath string    `json:"replace_missing_value_path,omitempty"`
	UnknownMembers          string    `json:"unknown_members,omitempty"`
	UnknownAttributes       string    `json:"unknown_attributes,omitempty"`
	SeesAll                 bool      `json:"sees_all,omitempty"`
	UniqueGroupDisplayName  *bool     `json:"unique_group_display_name,omitempty"` // nil: true
	Issuer                  string    `json:"issuer,omitempty"`                    // whose tokens it takes, too
	Audience                string    `json:"audience,omitempty"`
	Application             string    `json:"application,omitempty"`
	Mappings                []Mapping `json:"mappings,omitempty"`
}

// Mapping gives a role to a group that the connection sends.
type Mapping struct {
	GroupName       string `json:"group_name,omitempty"`
	GroupExternalID string `json:"group_external_id,omitempty"`
	Role            string `json:"role"`
}

// The switches of a new connection, which a file leaves out.
const (
	missingAdd       = "add"
	membersSkip      = "skip"
	attributesIgnore = "ignore"
)

// Plain leaves out what is as it is in a new connection, said or not.
func (c *Connection) Plain() {
	for _, s := range []struct {
		text *string
		new  string
	}{{&c.ReplaceMissingValuePath, missingAdd}, {&c.UnknownMembers, membersSkip}, {&c.UnknownAttributes, attributesIgnore}} {
		if *s.text == s.new {
			*s.text = ""
		}
	}
	if c.UniqueGroupDisplayName != nil && *c.UniqueGroupDisplayName {
		c.UniqueGroupDisplayName = nil
	}
}

// key orders the connections of a file, of which several may be alike.
func (c *Connection) key() []string {
	text, _ := json.Marshal(c) // texts and booleans
	return []string{c.Provider, c.Name, string(text)}
}

// line is one line of an organization file: exactly one field is set.
type line struct {
	Format       string        `json:"format,omitempty"`
	Version      int           `json:"version,omitempty"`
	Organization *Organization `json:"organization,omitempty"`
	Attribute    *Attribute    `json:"attribute,omitempty"`
	Permission   *Permission   `json:"permission,omitempty"`
	Role         *Role         `json:"role,omitempty"`
	Group        *Group        `json:"group,omitempty"`
	User         *User         `json:"user,omitempty"`
	Member       *Member       `json:"member,omitempty"`
	Nesting      *Nesting      `json:"nesting,omitempty"`
	Assignment   *Assignment   `json:"assignment,omitempty"`
	Service      *Service      `json:"service,omitempty"`
	Connection   *Connection   `json:"connection,omitempty"`
}

// Records is how many records the file has.
func (f *File) Records() int {
	n := len(f.Attributes) + len(f.Permissions) + len(f.Roles) + len(f.Groups) + len(f.Users) +
		len(f.Members) + len(f.Nestings) + len(f.Assignments) + len(f.Services) + len(f.Connections)
	if f.Organization != nil {
		n++
	}
	return n
}
