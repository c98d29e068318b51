package cli

// row is one command of the API. Its flags come from the fields of the request
// that args does not fill.
type row struct {
	words     string // noun and verb as they are typed
	procedure string // Service.Method
	// args are METAVAR field, in order. The metavar says how a name is looked
	// up: USER, GROUP, ROLE, SERVICE and ORG may be names; with ... the last one
	// takes several.
	args    string
	columns string // of a list's table; an object shows all its fields
	short   string
	example string // what follows "authfi "
	show    func(*printer, []byte) error
	// verdict ends the command as failed although there is an answer.
	verdict func([]byte) error
}

// nouns are the groups of commands and their other spelling.
var nouns = []struct{ name, alias, short string }{
	{"organizations", "organization", "Organizations: the walls around everything else"},
	{"users", "user", "Users, and the roles given to them"},
	{"users roles", "role", "Roles given to a user directly"},
	{"groups", "group", "Groups, their members and their roles"},
	{"groups members", "member", "Members of a group"},
	{"groups roles", "role", "Roles given to a group"},
	{"roles", "role", "Roles: named sets of permissions"},
	{"permissions", "permission", "Effective permissions: who may do what, and why"},
	{"connections", "connection", "SCIM connections of identity providers"},
	{"sessions", "session", "Sessions: sign-ins, revocable at once"},
	{"services", "service", "Protected services"},
	{"services policies", "policy", "What the routes of a service need"},
	{"sync-log", "", "The sync log: what identity providers and administrators did"},
	{"audit", "", "The audit log: who changed what, in a chain that shows what was taken out"},
	{"audit retention", "", "How long the audit log remembers"},
	{"log", "", "The sync log as it happens"},
	{"events", "event", "The ordered change feed"},
	{"enforcement", "", "The enforcement points of the nodes"},
	{"token", "", "Join tokens"},
}

// rows are all the commands that one procedure answers.
var rows = []row{
	{words: "organizations list", procedure: "OrganizationService.ListOrganizations", columns: "id slug name status user_quota",
		short: "List the organizations of the instance", example: "organizations list --all"},
	{words: "organizations get", procedure: "OrganizationService.GetOrganization", args: "ORG id",
		short: "Show one organization", example: "organizations get city-clinic"},
	{words: "organizations create", procedure: "OrganizationService.CreateOrganization", args: "SLUG slug",
		short: "Make an organization", example: "organizations create city-clinic --name 'City Clinic'"},

	{words: "users list", procedure: "UserService.ListUsers", columns: "id user_name display_name email active source",
		short: "List the users of an organization", example: "users list --org city-clinic --q alice"},
	{words: "users get", procedure: "UserService.GetUser", args: "USER id",
		short: "Show one user", example: "users get alice@clinic.example --org city-clinic"},
	{words: "users create", procedure: "UserService.CreateUser", args: "EMAIL email",
		short: "Make a user", example: "users create alice@clinic.example --display-name 'Alice Ng' --org city-clinic"},
	{words: "users update", procedure: "UserService.UpdateUser", args: "USER id",
		short: "Change the fields of a user that are given", example: "users update alice@clinic.example --display-name 'Alice Ng-Roy' --org city-clinic"},
	{words: "users delete", procedure: "UserService.DeleteUser", args: "USER id",
		short: "Delete a user", example: "users delete usr-0123456789abcdef0123456789abcdef"},
	{words: "users deactivate", procedure: "UserService.DeactivateUser", args: "USER id",
		short: "End a user's sessions and access; the user and the memberships stay", example: "users deactivate alice@clinic.example --org city-clinic"},
	{words: "users activate", procedure: "UserService.ActivateUser", args: "USER id",
		short: "Give a deactivated user access again", example: "users activate alice@clinic.example --org city-clinic"},
	{words: "users roles add", procedure: "AssignmentService.AssignUserRole", args: "USER user_id, ROLE role_id",
		short: "Give a role to a user", example: "users roles add alice@clinic.example nurse --org city-clinic"},
	{words: "users roles remove", procedure: "AssignmentService.UnassignUserRole", args: "USER user_id, ROLE role_id",
		short: "Take a role from a user", example: "users roles remove alice@clinic.example nurse --org city-clinic"},

	{words: "groups list", procedure: "GroupService.ListGroups", columns: "id name description source member_count",
		short: "List the groups of an organization", example: "groups list --org city-clinic"},
	{words: "groups get", procedure: "GroupService.GetGroup", args: "GROUP id",
		short: "Show one group", example: "groups get doctors --org city-clinic"},
	{words: "groups create", procedure: "GroupService.CreateGroup", args: "NAME name",
		short: "Make a group", example: "groups create doctors --org city-clinic"},
	{words: "groups update", procedure: "GroupService.UpdateGroup", args: "GROUP id",
		short: "Change the fields of a group that are given", example: "groups update doctors --description 'All doctors' --org city-clinic"},
	{words: "groups delete", procedure: "GroupService.DeleteGroup", args: "GROUP id",
		short: "Delete a group; its members stay", example: "groups delete doctors --org city-clinic"},
	{words: "groups members list", procedure: "GroupService.ListGroupMembers", args: "GROUP id", columns: "id user_name display_name email active",
		short: "List the members of a group", example: "groups members list doctors --org city-clinic --all"},
	{words: "groups members add", procedure: "GroupService.AddGroupMembers", args: "GROUP id, USER... user_ids",
		short: "Add users to a group, all of them or none", example: "groups members add doctors alice@clinic.example bob@clinic.example --org city-clinic"},
	{words: "groups members remove", procedure: "GroupService.RemoveGroupMember", args: "GROUP id, USER user_id",
		short: "Take a user out of a group", example: "groups members remove doctors alice@clinic.example --org city-clinic"},
	{words: "groups roles add", procedure: "AssignmentService.AssignGroupRole", args: "GROUP group_id, ROLE role_id",
		short: "Give a role to a group", example: "groups roles add doctors doctor --org city-clinic"},
	{words: "groups roles remove", procedure: "AssignmentService.UnassignGroupRole", args: "GROUP group_id, ROLE role_id",
		short: "Take a role from a group", example: "groups roles remove doctors doctor --org city-clinic"},

	{words: "roles list", procedure: "RoleService.ListRoles", columns: "id name description permissions",
		short: "List the roles of an organization", example: "roles list --org city-clinic"},
	{words: "roles get", procedure: "RoleService.GetRole", args: "ROLE id",
		short: "Show one role", example: "roles get doctor --org city-clinic"},
	{words: "roles create", procedure: "RoleService.CreateRole", args: "NAME name",
		short: "Make a role", example: "roles create doctor --permissions read:patients,write:patients --org city-clinic"},
	{words: "roles update", procedure: "RoleService.UpdateRole", args: "ROLE id",
		short: "Change the fields of a role that are given", example: "roles update doctor --permissions read:patients --org city-clinic"},
	{words: "roles delete", procedure: "RoleService.DeleteRole", args: "ROLE id",
		short: "Delete a role and take its permissions from everybody who had them by it", example: "roles delete doctor --org city-clinic"},

	{words: "permissions list", procedure: "PermissionService.ListPermissions", args: "USER user_id", show: showPermissions,
		short: "List what a user may do, and why", example: "permissions list alice@clinic.example --org city-clinic"},
	{words: "permissions check", procedure: "PermissionService.Check", args: "USER user_id, PERMISSION permission", show: showCheck,
		short: "Ask whether a user may do something", example: "permissions check alice@clinic.example read:patients --org city-clinic"},
	{words: "permissions who", procedure: "PermissionService.ListPermissionUsers", args: "PERMISSION permission", columns: "id user_name display_name email",
		short: "List the users who hold a permission", example: "permissions who read:patients --org city-clinic"},

	{words: "connections list", procedure: "ConnectionService.ListConnections", columns: "id provider base_url created",
		short: "List the SCIM connections of an organization", example: "connections list --org city-clinic"},
	{words: "connections create", procedure: "ConnectionService.CreateConnection", args: "PROVIDER provider",
		short: "Make a SCIM connection; the token is shown once", example: "connections create entra --org city-clinic"},
	{words: "connections delete", procedure: "ConnectionService.DeleteConnection", args: "CONNECTION id",
		short: "Delete a SCIM connection; what it provisioned stays", example: "connections delete con-0123456789abcdef0123456789abcdef --org city-clinic"},

	{words: "sessions list", procedure: "SessionService.ListSessions", args: "USER user_id", columns: "id amr created refreshed expires ended reason",
		short: "List the sessions of a user", example: "sessions list alice@clinic.example --org city-clinic"},
	{words: "sessions start", procedure: "SessionService.StartSession", args: "USER user_id",
		short: "Start a session of a user whom the caller has verified; the tokens are shown once", example: "sessions start alice@clinic.example --amr pwd,otp --org city-clinic"},
	{words: "sessions refresh", procedure: "SessionService.RefreshSession",
		short: "Replace a refresh token and get a new access token", example: "sessions refresh --refresh-token \"$REFRESH_TOKEN\""},
	{words: "sessions end", procedure: "SessionService.EndSession", args: "SESSION id",
		short: "End a session: its access tokens are dead on every node", example: "sessions end ses-0123456789abcdef0123456789abcdef"},
	{words: "sessions end-all", procedure: "SessionService.EndUserSessions", args: "USER user_id",
		short: "End all sessions of a user", example: "sessions end-all alice@clinic.example --org city-clinic"},

	{words: "services list", procedure: "ServiceService.ListServices", columns: "id name listen upstream",
		short: "List the protected services of an organization", example: "services list --org city-clinic"},
	{words: "services get", procedure: "ServiceService.GetService", args: "SERVICE id",
		short: "Show one service and its policies", example: "services get patients --org city-clinic"},
	{words: "services create", procedure: "ServiceService.CreateService", args: "NAME name",
		short: "Protect a service from now on: without policies every request is refused", example: "services create patients --listen 127.0.0.1:8641 --org city-clinic"},
	{words: "services delete", procedure: "ServiceService.DeleteService", args: "SERVICE id",
		short: "End the protection of a service: requests reach it unchecked", example: "services delete patients --org city-clinic"},
	{words: "services policies set", procedure: "ServiceService.SetPolicies", args: "SERVICE id",
		short: "Replace all route policies of a service as one change", example: "services policies set patients --policies @policies.json --org city-clinic"},

	{words: "sync-log list", procedure: "SyncLogService.ListSyncLog", columns: "time source event detail status latency_ms",
		short: "List the sync log, newest first", example: "sync-log list --org city-clinic --limit 20"},

	{words: "audit list", procedure: "AuditService.ListAuditLog", columns: "seq time type actor origin status detail",
		short: "Find entries of the audit log, newest first; without --org, for operators, of the instance", example: "audit list --org city-clinic --type user. --limit 20"},
	{words: "audit retention get", procedure: "AuditService.GetRetention",
		short: "Show how long the audit log remembers and where its chain stands", example: "audit retention get --org city-clinic"},
	{words: "audit retention set", procedure: "AuditService.SetRetention",
		short: "Set how long the audit log remembers", example: "audit retention set --org city-clinic --count 500000 --days 365"},

	{words: "enforcement list", procedure: "EnforcementService.GetEnforcement", columns: "node_id reachable attached mode enforced_index detail",
		short: "List the enforcement points of the nodes", example: "enforcement list"},
	{words: "status", procedure: "ClusterService.GetStatus", show: showStatus, verdict: checkStatus,
		short: "Show the cluster as one node sees it", example: "status -o json"},
	{words: "token create", procedure: "ClusterService.CreateJoinToken", show: showToken,
		short: "Make a token with which one node may join within an hour", example: "token create"},
}

// elsewhere are the procedures whose commands are written by hand.
var elsewhere = map[string]string{
	"EventService.Watch": "events watch",
}
