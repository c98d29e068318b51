package admin

import "github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"

// pending answers 501 for the procedures that have no handler yet.
type pending struct {
	authfiv1connect.UnimplementedOrganizationServiceHandler
	authfiv1connect.UnimplementedUserServiceHandler
	authfiv1connect.UnimplementedGroupServiceHandler
	authfiv1connect.UnimplementedAssignmentServiceHandler
	authfiv1connect.UnimplementedPermissionServiceHandler
	authfiv1connect.UnimplementedOperatorServiceHandler
	authfiv1connect.UnimplementedApiKeyServiceHandler
	authfiv1connect.UnimplementedBulkServiceHandler
}
