package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/authfi/authfi/directory"
)

// field is a member of a JSON object.
type field struct {
	name  string
	value []byte
}

// fields are what the log may say of a record. Every record names its own one by
// one: what is not named here (hashes of credentials, sealed keys, the times and
// the version, which the entry has itself) never reaches the log. A field that is
// empty is not there.
type fields []field

func (f fields) has(one field) bool {
	return slices.ContainsFunc(f, func(other field) bool {
		return other.name == one.name && bytes.Equal(other.value, one.value)
	})
}

func (f *fields) raw(name string, value []byte) { *f = append(*f, field{name, value}) }

func (f *fields) text(name, s string) {
	if s != "" {
		f.raw(name, appendText(nil, s))
	}
}

func (f *fields) flag(name string, b bool) {
	if b {
		f.raw(name, []byte("true"))
	}
}

func (f *fields) number(name string, n int64) {
	if n != 0 {
		f.raw(name, strconv.AppendInt(nil, n, 10))
	}
}

func (f *fields) id(name string, id fmt.Stringer, zero bool) {
	if !zero {
		f.text(name, id.String())
	}
}

func (f *fields) time(name string, t directory.Time) {
	if t != 0 {
		f.text(name, t.Std().Format("2006-01-02T15:04:05.000Z"))
	}
}

func (f *fields) list(name string, texts []string) {
	if len(texts) > 0 {
		f.raw(name, textList(texts))
	}
}

// json takes a stored JSON text; one that is none is quoted, so that an entry is
// JSON whatever it tells.
func (f *fields) json(name string, value []byte) {
	if len(value) == 0 {
		return
	}
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		f.text(name, string(value))
		return
	}
	f.raw(name, compact.Bytes())
}

// render writes the object with its names in order: the same bytes on every
// node, whatever version of encoding/json it was built with.
func (f fields) render() []byte {
	sorted := slices.Clone(f)
	slices.SortStableFunc(sorted, func(a, b field) int { return strings.Compare(a.name, b.name) })
	out := []byte{'{'}
	for i, one := range sorted {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, one.name), ':')
		out = append(out, one.value...)
	}
	return append(out, '}')
}

func textList(texts []string) []byte {
	out := []byte{'['}
	for i, s := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(out, s)
	}
	return append(out, ']')
}

// appendText is a JSON string (RFC 8259, section 7) with nothing escaped that
// need not be.
func appendText(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s { // invalid UTF-8 arrives as U+FFFD
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r < ' ':
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}

func permissionTexts(permissions []directory.Permission) []string {
	texts := make([]string, len(permissions))
	for i, p := range permissions {
		texts[i] = string(p)
	}
	return texts
}

// fieldsOf is total over the audited tables; nil has no fields.
func fieldsOf(record any) (f fields) {
	switch r := record.(type) {
	case *directory.User:
		f.user(r)
	case packedUser:
		f.user(r.user())
	case *directory.Organization:
		f.organization(r)
	case *directory.Group:
		f.text("name", r.Name)
		f.text("description", r.Description)
		f.text("external_id", r.ExternalID)
		f.text("source", r.Source.String())
		f.id("connection_id", r.Connection, r.Connection.IsZero())
	case *directory.Role:
		f.text("name", r.Name)
		f.text("description", r.Description)
		f.list("permissions", permissionTexts(r.Permissions))
		f.flag("builtin", r.Builtin)
	case *directory.Assignment:
		f.id("id", r.ID, false)
		f.id("role_id", r.Role, r.Role.IsZero())
		f.id("user_id", r.User, r.User.IsZero())
		f.id("group_id", r.Group, r.Group.IsZero())
		f.text("by", r.By.String())
		f.time("expires", r.Expires)
	case *directory.Session:
		f.id("user_id", r.User, r.User.IsZero())
		f.list("amr", r.Methods)
		f.time("ended", r.Ended)
		f.text("reason", r.Reason)
		f.id("client_id", r.Client, r.Client.IsZero())
		f.list("scope", r.Scope)
		f.flag("bounded", r.Bounded)
		f.text("address", r.Address)
		f.text("device", r.Device)
		f.id("origin_id", r.Origin, r.Origin.IsZero())
		f.flag("bound", r.Bound())
		f.list("permissions", permissionTexts(r.Permissions))
	case *directory.APIKey:
		f.text("name", r.Name)
		f.id("owner_id", r.Owner, r.Owner.IsZero())
		f.list("permissions", permissionTexts(r.Permissions))
		f.text("by", r.By.String())
		f.time("expires", r.Expires)
	case *directory.Service:
		f.text("name", r.Name)
		f.list("listen", r.Listen)
		f.text("upstream", r.Upstream)
		f.policies(r.Policies)
		f.number("policy_version", int64(r.PolicyVersion))
		f.flag("fold_case", r.FoldCase)
		f.flag("fold_slash", r.FoldSlash)
		f.flag("dry_run", r.DryRun)
	default:
		f.instance(record)
	}
	return f
}

// instance continues fieldsOf with settings and the instance's own tables.
func (f *fields) instance(record any) {
	switch r := record.(type) {
	case nil:
	case *directory.Connection:
		f.connection(r)
	case *directory.EventStream:
		f.eventStream(r)
	case *directory.Client:
		f.client(r)
	case *directory.SigningKey:
		f.text("kid", r.ID)
		f.number("state", int64(r.State))
		f.text("algorithm", string(r.Algorithm))
	case *directory.Schema:
		for _, d := range r.Attributes {
			var one fields
			one.text("type", string(d.Type))
			one.flag("several", d.Several)
			one.list("values", d.Values)
			one.text("description", d.Description)
			one.text("urn", d.URN)
			f.raw(d.Name, one.render())
		}
	case *directory.PermissionText:
		f.text("permission", string(r.Permission))
		f.text("description", r.Description)
	case *directory.Operator:
		f.text("name", r.Name)
	case *directory.JoinToken:
		f.time("expires", r.Expires)
		f.time("redeemed", r.Redeemed)
		f.text("node", r.Node)
	case *directory.RecoveryKey:
		f.text("name", r.Name)
	case *directory.Rotation:
		f.text("id", r.ID)
		f.text("replaces", r.Replaces)
		f.text("phase", r.Phase.String())
		f.number("keep_seconds", int64(r.Keep.Seconds()))
	case *directory.FeatureLevel:
		f.number("level", int64(r.Level))
	case *directory.TokenSecret:
	default:
		panic(fmt.Sprintf("state: the log does not know what to say of a %T", record))
	}
}

func (f *fields) connection(c *directory.Connection) {
	f.text("provider", string(c.Provider))
	f.text("name", c.Name)
	f.flag("disabled", c.Disabled)
	var tokens, mappings []string
	for _, t := range c.Tokens { // without Token: entries from before say what they said
		tokens = append(tokens, t.Name().String())
	}
	for _, m := range c.Mappings {
		mappings = append(mappings, m.Name+m.ExternalID+" "+m.Role.String())
	}
	f.list("tokens", tokens)
	f.flag("no_target", c.Switches.NoTarget)
	f.flag("reject_members", c.Switches.RejectMembers)
	f.flag("reject_attributes", c.Switches.RejectAttributes)
	f.flag("sees_all", c.Switches.SeesAll)
	f.flag("shares_names", c.Switches.SharesNames)
	f.text("issuer", c.Trust.Issuer)
	f.text("audience", c.Trust.Audience)
	f.text("application", c.Trust.Application)
	f.list("mappings", mappings)
}

// eventStream leaves out how far its receiver has come: that is no one's decision.
func (f *fields) eventStream(s *directory.EventStream) {
	f.text("name", s.Name)
	f.text("audience", s.Audience)
	f.text("delivery", string(s.Delivery))
	if token := (directory.ConnectionToken{Hash: s.Token}); s.Token != [32]byte{} {
		f.text("token", token.Name().String())
	}
	f.text("url", s.URL)
	f.flag("authorization", len(s.Authorization) > 0)
	f.list("events", s.Events)
	f.flag("full", s.Full)
	f.flag("paused", s.Paused)
	f.text("reason", s.Reason)
}

func (f *fields) user(u *directory.User) {
	f.text("user_name", u.UserName)
	f.text("external_id", u.ExternalID)
	f.text("email", u.Email)
	f.text("display_name", u.DisplayName)
	f.text("given_name", u.GivenName)
	f.text("family_name", u.FamilyName)
	f.flag("active", u.Active)
	f.text("source", u.Source.String())
	f.id("connection_id", u.Connection, u.Connection.IsZero())
	f.json("attributes", u.Attributes)
	f.text("phone", u.Phone)
	f.text("title", u.Title)
	f.text("department", u.Department)
	f.id("manager_id", u.Manager, u.Manager.IsZero())
	f.json("custom", u.Custom)
	f.flag("service", u.Service)
	f.id("owner_id", u.Owner, u.Owner.IsZero())
}

func (f *fields) organization(o *directory.Organization) {
	f.text("slug", o.Slug)
	f.text("name", o.Name)
	f.text("status", statusText(o.Status))
	f.number("user_quota", int64(o.UserQuota))
	var domains, branding, signIn fields
	for _, d := range o.Domains {
		var one fields
		one.text("challenge", d.Challenge) // public: it stands in the DNS
		one.time("verified", d.Verified)
		domains.raw(d.Name, one.render())
	}
	branding.text("logo_url", o.Branding.LogoURL)
	branding.text("color", o.Branding.Color)
	branding.text("support", o.Branding.Support)
	signIn.flag("mfa", o.SignIn.MFA)
	signIn.number("session_idle_seconds", int64(o.SignIn.SessionIdle.Seconds()))
	signIn.number("session_max_seconds", int64(o.SignIn.SessionMax.Seconds()))
	f.inner("domains", domains)
	f.inner("branding", branding)
	f.inner("sign_in", signIn)
	f.inner("keys", keysOf(&o.Keys))
}

func keysOf(p *directory.KeyPolicy) (keys fields) {
	algorithms := make([]string, len(p.Algorithms))
	for i, a := range p.Algorithms {
		algorithms[i] = string(a)
	}
	keys.list("algorithms", algorithms)
	keys.number("life_seconds", int64(p.Life.Seconds()))
	keys.number("announce_seconds", int64(p.Announce.Seconds()))
	keys.number("retire_seconds", int64(p.Retire.Seconds()))
	return keys
}

func statusText(s directory.OrganizationStatus) string {
	switch s {
	case 0:
		return ""
	case directory.OrganizationActive:
		return "active"
	case directory.OrganizationSuspended:
		return "suspended"
	}
	return "unknown"
}

func (f *fields) inner(name string, inner fields) {
	if len(inner) > 0 {
		f.raw(name, inner.render())
	}
}

func (f *fields) policies(policies []directory.RoutePolicy) {
	if len(policies) == 0 {
		return
	}
	out := []byte{'['}
	for i, p := range policies {
		if i > 0 {
			out = append(out, ',')
		}
		var one fields
		one.list("methods", p.Methods)
		one.text("path", p.Path)
		one.list("roles", p.Roles)
		one.list("roles_all", p.RolesAll)
		one.list("permissions", permissionTexts(p.Permissions))
		one.list("permissions_any", permissionTexts(p.PermissionsAny))
		one.flag("mfa", p.MFA)
		one.flag("public", p.Public)
		one.flag("upgrade", p.Upgrade)
		one.flag("get_body", p.GetBody)
		out = append(out, one.render()...)
	}
	f.raw("policies", append(out, ']'))
}
