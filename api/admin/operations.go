package admin

import (
	"maps"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
)

// operations says which operation each procedure is. A procedure without a row
// is refused.
var operations = map[string]access.Operation{
	authfiv1connect.OrganizationServiceCreateOrganizationProcedure:    "organizations.create",
	authfiv1connect.OrganizationServiceListOrganizationsProcedure:     "organizations.list",
	authfiv1connect.OrganizationServiceGetOrganizationProcedure:       "organizations.get",
	authfiv1connect.OrganizationServiceUpdateOrganizationProcedure:    "organizations.update",
	authfiv1connect.OrganizationServiceSetOrganizationLimitsProcedure: "organizations.limit",
	authfiv1connect.OrganizationServiceDeleteOrganizationProcedure:    "organizations.delete",
	authfiv1connect.OrganizationServiceVerifyDomainProcedure:          "organizations.verify-domain",
	authfiv1connect.OrganizationServiceGetSchemaProcedure:             "schema.get",
	authfiv1connect.OrganizationServiceSetSchemaProcedure:             "schema.set",

	authfiv1connect.OperatorServiceCreateOperatorProcedure: "operators.create",
	authfiv1connect.OperatorServiceListOperatorsProcedure:  "operators.list",
	authfiv1connect.OperatorServiceDeleteOperatorProcedure: "operators.delete",

	authfiv1connect.UserServiceListUsersProcedure:            "users.list",
	authfiv1connect.UserServiceGetUserProcedure:              "users.get",
	authfiv1connect.UserServiceCreateUserProcedure:           "users.create",
	authfiv1connect.UserServiceUpdateUserProcedure:           "users.update",
	authfiv1connect.UserServiceDeleteUserProcedure:           "users.delete",
	authfiv1connect.UserServiceDeactivateUserProcedure:       "users.deactivate",
	authfiv1connect.UserServiceActivateUserProcedure:         "users.activate",
	authfiv1connect.UserServiceCreateServiceAccountProcedure: "users.create",
	authfiv1connect.UserServiceListUserGroupsProcedure:       "users.groups",

	authfiv1connect.GroupServiceListGroupsProcedure:        "groups.list",
	authfiv1connect.GroupServiceGetGroupProcedure:          "groups.get",
	authfiv1connect.GroupServiceCreateGroupProcedure:       "groups.create",
	authfiv1connect.GroupServiceUpdateGroupProcedure:       "groups.update",
	authfiv1connect.GroupServiceDeleteGroupProcedure:       "groups.delete",
	authfiv1connect.GroupServiceListGroupMembersProcedure:  "groups.get",
	authfiv1connect.GroupServiceAddGroupMembersProcedure:   "groups.update",
	authfiv1connect.GroupServiceRemoveGroupMemberProcedure: "groups.update",
	authfiv1connect.GroupServiceNestGroupProcedure:         "groups.update",
	authfiv1connect.GroupServiceUnnestGroupProcedure:       "groups.update",
	authfiv1connect.GroupServiceListNestedGroupsProcedure:  "groups.get",

	authfiv1connect.RoleServiceListRolesProcedure:  "roles.list",
	authfiv1connect.RoleServiceGetRoleProcedure:    "roles.get",
	authfiv1connect.RoleServiceCreateRoleProcedure: "roles.create",
	authfiv1connect.RoleServiceUpdateRoleProcedure: "roles.update",
	authfiv1connect.RoleServiceDeleteRoleProcedure: "roles.delete",

	authfiv1connect.AssignmentServiceAssignGroupRoleProcedure:   "roles.assign",
	authfiv1connect.AssignmentServiceAssignUserRoleProcedure:    "roles.assign",
	authfiv1connect.AssignmentServiceUnassignGroupRoleProcedure: "roles.unassign",
	authfiv1connect.AssignmentServiceUnassignUserRoleProcedure:  "roles.unassign",
	authfiv1connect.AssignmentServiceListAssignmentsProcedure:   "assignments.list",
	authfiv1connect.AssignmentServiceListGroupRolesProcedure:    "assignments.list",
	authfiv1connect.AssignmentServiceListUserRolesProcedure:     "assignments.list",

	authfiv1connect.PermissionServiceListPermissionsProcedure:        "permissions.list",
	authfiv1connect.PermissionServiceCheckProcedure:                  "permissions.check",
	authfiv1connect.PermissionServiceListPermissionUsersProcedure:    "permissions.who",
	authfiv1connect.PermissionServiceExplainProcedure:                "permissions.check",
	authfiv1connect.PermissionServiceDiffPermissionsProcedure:        "permissions.diff",
	authfiv1connect.PermissionServicePreviewPermissionsProcedure:     "permissions.preview",
	authfiv1connect.PermissionServiceListDefinedPermissionsProcedure: "permissions.defined",
	authfiv1connect.PermissionServiceDescribePermissionProcedure:     "permissions.describe",

	authfiv1connect.ApiKeyServiceCreateApiKeyProcedure: "api-keys.create",
	authfiv1connect.ApiKeyServiceListApiKeysProcedure:  "api-keys.list",
	authfiv1connect.ApiKeyServiceGetApiKeyProcedure:    "api-keys.get",
	authfiv1connect.ApiKeyServiceRevokeApiKeyProcedure: "api-keys.revoke",

	authfiv1connect.BulkServiceBulkProcedure: "bulk",

	authfiv1connect.ConnectionServiceListConnectionsProcedure:       "connections.list",
	authfiv1connect.ConnectionServiceCreateConnectionProcedure:      "connections.create",
	authfiv1connect.ConnectionServiceDeleteConnectionProcedure:      "connections.delete",
	authfiv1connect.ConnectionServiceGetConnectionProcedure:         "connections.get",
	authfiv1connect.ConnectionServiceUpdateConnectionProcedure:      "connections.update",
	authfiv1connect.ConnectionServiceRotateConnectionTokenProcedure: "connections.rotate",
	authfiv1connect.ConnectionServiceRevokeConnectionTokenProcedure: "connections.revoke",
	authfiv1connect.ConnectionServiceSetConnectionMappingsProcedure: "connections.map",

	authfiv1connect.ConnectionStateServiceGetConnectionStateProcedure:     "connections.state",
	authfiv1connect.ConnectionStateServiceListConnectionRequestsProcedure: "connections.requests",

	authfiv1connect.EventStreamServiceListEventStreamsProcedure:       "event-streams.list",
	authfiv1connect.EventStreamServiceGetEventStreamProcedure:         "event-streams.get",
	authfiv1connect.EventStreamServiceCreateEventStreamProcedure:      "event-streams.create",
	authfiv1connect.EventStreamServiceUpdateEventStreamProcedure:      "event-streams.update",
	authfiv1connect.EventStreamServiceRotateEventStreamTokenProcedure: "event-streams.rotate",
	authfiv1connect.EventStreamServiceDeleteEventStreamProcedure:      "event-streams.delete",

	authfiv1connect.ClientServiceCreateClientProcedure:       "clients.create",
	authfiv1connect.ClientServiceListClientsProcedure:        "clients.list",
	authfiv1connect.ClientServiceGetClientProcedure:          "clients.get",
	authfiv1connect.ClientServiceUpdateClientProcedure:       "clients.update",
	authfiv1connect.ClientServiceRotateClientSecretProcedure: "clients.rotate",
	authfiv1connect.ClientServiceDeleteClientProcedure:       "clients.delete",

	authfiv1connect.SessionServiceStartSessionProcedure:            "sessions.start",
	authfiv1connect.SessionServiceListSessionsProcedure:            "sessions.list",
	authfiv1connect.SessionServiceEndSessionProcedure:              "sessions.end",
	authfiv1connect.SessionServiceEndUserSessionsProcedure:         "sessions.end-user",
	authfiv1connect.SessionServiceEndOrganizationSessionsProcedure: "sessions.end-organization",

	authfiv1connect.SigningKeyServiceListSigningKeysProcedure:     "signing-keys.list",
	authfiv1connect.SigningKeyServiceRotateSigningKeyProcedure:    "signing-keys.rotate",
	authfiv1connect.SigningKeyServiceRevokeSigningKeyProcedure:    "signing-keys.revoke",
	authfiv1connect.SigningKeyServiceGetSigningKeyPolicyProcedure: "signing-keys.list",
	authfiv1connect.SigningKeyServiceSetSigningKeyPolicyProcedure: "signing-keys.set-policy",

	authfiv1connect.ServiceServiceListServicesProcedure:  "services.list",
	authfiv1connect.ServiceServiceGetServiceProcedure:    "services.get",
	authfiv1connect.ServiceServiceCreateServiceProcedure: "services.create",
	authfiv1connect.ServiceServiceSetPoliciesProcedure:   "services.set-policies",
	authfiv1connect.ServiceServiceDeleteServiceProcedure: "services.delete",
	authfiv1connect.PolicyServiceLintPoliciesProcedure:   "services.lint-policies",
	authfiv1connect.PolicyServiceSetDryRunProcedure:      "services.set-dry-run",

	authfiv1connect.SyncLogServiceListSyncLogProcedure:        "sync-log.read",
	authfiv1connect.AuditServiceListAuditLogProcedure:         "audit-log.read",
	authfiv1connect.AuditServiceGetRetentionProcedure:         "audit-log.read",
	authfiv1connect.AuditServiceSetRetentionProcedure:         "audit-log.retain",
	authfiv1connect.EventServiceWatchProcedure:                "events.watch", // served by api/watch
	authfiv1connect.EnforcementServiceGetEnforcementProcedure: "enforcement.get",
	authfiv1connect.EnforcementServiceListRefusalsProcedure:   "enforcement.refusals",
	authfiv1connect.ClusterServiceGetStatusProcedure:          "cluster.status",
	authfiv1connect.ClusterServiceCreateJoinTokenProcedure:    "join-tokens.create",

	authfiv1connect.RecoveryKeyServiceGetRecoveryKeyProcedure: "recovery-key.get",
	authfiv1connect.RecoveryKeyServiceSetRecoveryKeyProcedure: "recovery-key.set",
	authfiv1connect.MemberServiceRemoveMemberProcedure:        "members.remove",
	authfiv1connect.MemberServiceLeaveProcedure:               "members.leave",
	authfiv1connect.UpgradeServiceGetUpgradeProcedure:         "upgrade.status",
	authfiv1connect.UpgradeServiceFinalizeUpgradeProcedure:    "upgrade.finalize",
	authfiv1connect.AuthorityServiceGetAuthorityProcedure:     "authority.get",
	authfiv1connect.AuthorityServiceRotateAuthorityProcedure:  "authority.rotate",
	authfiv1connect.AuthorityServiceRetireAuthorityProcedure:  "authority.retire",
}

// withoutCaller is the one procedure that takes no bearer token: the refresh
// token in its body is the credential.
const (
	withoutCaller     = authfiv1connect.SessionServiceRefreshSessionProcedure
	withoutCallerREST = "/api/v1/sessions/refresh"
)

// Operations is the table by procedure, for the test that compares it with the
// services and with the rules of api/access.
func Operations() map[string]access.Operation { return maps.Clone(operations) }
