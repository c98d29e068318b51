package access

import "github.com/authfi/authfi/directory"

// Operation is a thing the API can be asked to do.
type Operation string

// Scope says what an operation is about.
type Scope uint8

const (
	_            Scope = iota
	Instance           // the instance itself; operators only
	Organization       // one organization
	Parts              // several operations: each is admitted by its own row, and the request by no other
)

// Rule is a row of the table. Operators may do everything below except what
// only an identity provider does; users need the permission. A row of scope
// Parts has nothing else.
type Rule struct {
	Scope      Scope
	Permission directory.Permission // what a user must hold; empty: no user may
	Connection bool                 // an identity provider's connection may, too
	Operator   bool
	Self       bool // a user may, about themselves, without the permission
	SelfWrites bool // and may change that, too
	NoAPIKey   bool // not even one that names the permission
}

// rules is THE table. An operation without a row is refused.
var rules = map[Operation]Rule{
	"organizations.create":        {Scope: Instance, Operator: true},
	"organizations.list":          {Scope: Instance, Operator: true},
	"organizations.get":           {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"organizations.update":        {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"organizations.limit":         {Scope: Organization, Operator: true},
	"organizations.delete":        {Scope: Instance, Operator: true},
	"organizations.verify-domain": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"schema.get":                  {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"schema.set":                  {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"operators.create":            {Scope: Instance, Operator: true},
	"operators.list":              {Scope: Instance, Operator: true},
	"operators.delete":            {Scope: Instance, Operator: true},
	"join-tokens.create":          {Scope: Instance, Operator: true},
	"cluster.status":              {Scope: Instance, Operator: true},
	"enforcement.get":             {Scope: Instance, Operator: true},
	"enforcement.refusals":        {Scope: Instance, Operator: true},

	"backup.read":      {Scope: Instance, Operator: true},
	"recovery-key.get": {Scope: Instance, Operator: true},
	"recovery-key.set": {Scope: Instance, Operator: true},
	"members.remove":   {Scope: Instance, Operator: true},
	"members.leave":    {Scope: Instance, Operator: true},
	"upgrade.status":   {Scope: Instance, Operator: true},
	"upgrade.finalize": {Scope: Instance, Operator: true},
	"authority.get":    {Scope: Instance, Operator: true},
	"authority.rotate": {Scope: Instance, Operator: true},
	"authority.retire": {Scope: Instance, Operator: true},

	"users.list":       {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"users.get":        {Scope: Organization, Operator: true, Permission: directory.ReadDirectory, Self: true},
	"users.create":     {Scope: Organization, Operator: true, Permission: directory.ManageUsers},
	"users.update":     {Scope: Organization, Operator: true, Permission: directory.ManageUsers},
	"users.delete":     {Scope: Organization, Operator: true, Permission: directory.ManageUsers},
	"users.deactivate": {Scope: Organization, Operator: true, Permission: directory.ManageUsers},
	"users.activate":   {Scope: Organization, Operator: true, Permission: directory.ManageUsers},
	"users.groups":     {Scope: Organization, Operator: true, Permission: directory.ReadDirectory, Self: true},

	"groups.list":   {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"groups.get":    {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"groups.create": {Scope: Organization, Operator: true, Permission: directory.ManageGroups},
	"groups.update": {Scope: Organization, Operator: true, Permission: directory.ManageGroups},
	"groups.delete": {Scope: Organization, Operator: true, Permission: directory.ManageGroups},

	"roles.list":       {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"roles.get":        {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"roles.create":     {Scope: Organization, Operator: true, Permission: directory.ManageRoles},
	"roles.update":     {Scope: Organization, Operator: true, Permission: directory.ManageRoles},
	"roles.delete":     {Scope: Organization, Operator: true, Permission: directory.ManageRoles},
	"roles.assign":     {Scope: Organization, Operator: true, Permission: directory.ManageRoles},
	"roles.unassign":   {Scope: Organization, Operator: true, Permission: directory.ManageRoles},
	"assignments.list": {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},

	"permissions.list":     {Scope: Organization, Operator: true, Permission: directory.ReadDirectory, Self: true},
	"permissions.check":    {Scope: Organization, Operator: true, Permission: directory.ReadDirectory, Self: true},
	"permissions.who":      {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"permissions.diff":     {Scope: Organization, Operator: true, Permission: directory.ReadAuditLogs},
	"permissions.preview":  {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"permissions.defined":  {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},
	"permissions.describe": {Scope: Organization, Operator: true, Permission: directory.ManageRoles},

	// A user needs no permission to give their own rights to a program of theirs;
	// an API key makes no further keys, which would outlive it.
	"api-keys.create": {Scope: Organization, Operator: true, Permission: directory.ManageUsers, Self: true, SelfWrites: true, NoAPIKey: true},
	"api-keys.list":   {Scope: Organization, Operator: true, Permission: directory.ManageUsers, Self: true},
	"api-keys.get":    {Scope: Organization, Operator: true, Permission: directory.ManageUsers, Self: true},
	"api-keys.revoke": {Scope: Organization, Operator: true, Permission: directory.ManageUsers, Self: true, SelfWrites: true},

	// Whoever may make each change alone may make them together.
	"bulk": {Scope: Parts},

	"connections.list":   {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.create": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.get":    {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.update": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.rotate": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.revoke": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.map":    {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.delete": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},

	"connections.state":    {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"connections.requests": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},

	"event-streams.list":   {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"event-streams.get":    {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"event-streams.create": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"event-streams.update": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"event-streams.rotate": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"event-streams.delete": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},

	"clients.create": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"clients.list":   {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"clients.get":    {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"clients.update": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"clients.rotate": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"clients.delete": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},

	"sessions.list":     {Scope: Organization, Operator: true, Permission: directory.ManageSessions, Self: true},
	"sessions.start":    {Scope: Organization, Operator: true, Permission: directory.ManageSessions},
	"sessions.end":      {Scope: Organization, Operator: true, Permission: directory.ManageSessions},
	"sessions.end-user": {Scope: Organization, Operator: true, Permission: directory.ManageSessions},

	"sessions.end-organization": {Scope: Organization, Operator: true, Permission: directory.ManageSessions},

	"signing-keys.list":       {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"signing-keys.rotate":     {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"signing-keys.revoke":     {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"signing-keys.set-policy": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},

	// What a token is and whether it lives tells who its user is.
	"tokens.introspect": {Scope: Organization, Operator: true, Permission: directory.ReadDirectory},

	"services.list":          {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"services.get":           {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"services.create":        {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"services.set-policies":  {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"services.delete":        {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	"services.lint-policies": {Scope: Organization, Operator: true, Permission: directory.ManageSettings},
	// A dry run lets everything through: that is the owners' to decide.
	"services.set-dry-run": {Scope: Organization, Operator: true, Permission: directory.ManageOrganization},

	"sync-log.read": {Scope: Organization, Operator: true, Permission: directory.ReadAuditLogs},
	// How long the log remembers is the owners': who may be its subject must not
	// be able to shorten it.
	"audit-log.read":          {Scope: Organization, Operator: true, Permission: directory.ReadAuditLogs},
	"audit-log.retain":        {Scope: Organization, Operator: true, Permission: directory.ManageOrganization},
	"audit-log.read-instance": {Scope: Instance, Operator: true},

	"events.watch": {Scope: Organization, Operator: true, Permission: directory.ReadAuditLogs},

	"scim.discovery":     {Scope: Organization, Connection: true},
	"scim.users.read":    {Scope: Organization, Connection: true},
	"scim.users.create":  {Scope: Organization, Connection: true},
	"scim.users.update":  {Scope: Organization, Connection: true},
	"scim.users.delete":  {Scope: Organization, Connection: true},
	"scim.groups.read":   {Scope: Organization, Connection: true},
	"scim.groups.create": {Scope: Organization, Connection: true},
	"scim.groups.update": {Scope: Organization, Connection: true},
	"scim.groups.delete": {Scope: Organization, Connection: true},
}

// RuleOf is the row of an operation; the zero Rule admits nobody.
func RuleOf(op Operation) (Rule, bool) {
	r, ok := rules[op]
	return r, ok
}
