package admin

import (
	"context"
	"fmt"

	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
	"google.golang.org/protobuf/proto"
)

// part is one change of a request that has several: the request of a procedure,
// and the very handler that serves it alone. So a part can neither do what the
// procedure could not nor be judged by another rule.
type part struct {
	procedure string
	request   proto.Message
	serve     func(context.Context) (proto.Message, error)
}

func newPart[Request, Answer proto.Message](procedure string, request Request, serve func(context.Context, Request) (Answer, error)) part {
	return part{procedure, request, func(ctx context.Context) (proto.Message, error) { return serve(ctx, request) }}
}

// part binds an operation to its handler. The table of operations is asked as
// for every other call, by the procedure.
func (a *api) part(o *authfiv1.Operation) (part, error) {
	switch r := o.GetOperation().(type) {
	case *authfiv1.Operation_CreateUser:
		return newPart(authfiv1connect.UserServiceCreateUserProcedure, r.CreateUser, a.CreateUser), nil
	case *authfiv1.Operation_UpdateUser:
		return newPart(authfiv1connect.UserServiceUpdateUserProcedure, r.UpdateUser, a.UpdateUser), nil
	case *authfiv1.Operation_DeleteUser:
		return newPart(authfiv1connect.UserServiceDeleteUserProcedure, r.DeleteUser, a.DeleteUser), nil
	case *authfiv1.Operation_DeactivateUser:
		return newPart(authfiv1connect.UserServiceDeactivateUserProcedure, r.DeactivateUser, a.DeactivateUser), nil
	case *authfiv1.Operation_ActivateUser:
		return newPart(authfiv1connect.UserServiceActivateUserProcedure, r.ActivateUser, a.ActivateUser), nil
	case *authfiv1.Operation_CreateServiceAccount:
		return newPart(authfiv1connect.UserServiceCreateServiceAccountProcedure, r.CreateServiceAccount, a.CreateServiceAccount), nil
	case *authfiv1.Operation_CreateGroup:
		return newPart(authfiv1connect.GroupServiceCreateGroupProcedure, r.CreateGroup, a.CreateGroup), nil
	case *authfiv1.Operation_UpdateGroup:
		return newPart(authfiv1connect.GroupServiceUpdateGroupProcedure, r.UpdateGroup, a.UpdateGroup), nil
	case *authfiv1.Operation_DeleteGroup:
		return newPart(authfiv1connect.GroupServiceDeleteGroupProcedure, r.DeleteGroup, a.DeleteGroup), nil
	case *authfiv1.Operation_AddGroupMembers:
		return newPart(authfiv1connect.GroupServiceAddGroupMembersProcedure, r.AddGroupMembers, a.AddGroupMembers), nil
	case *authfiv1.Operation_RemoveGroupMember:
		return newPart(authfiv1connect.GroupServiceRemoveGroupMemberProcedure, r.RemoveGroupMember, a.RemoveGroupMember), nil
	case *authfiv1.Operation_NestGroup:
		return newPart(authfiv1connect.GroupServiceNestGroupProcedure, r.NestGroup, a.NestGroup), nil
	case *authfiv1.Operation_UnnestGroup:
		return newPart(authfiv1connect.GroupServiceUnnestGroupProcedure, r.UnnestGroup, a.UnnestGroup), nil
	}
	return a.grantPart(o)
}

// grantPart continues part with what grants and takes rights.
func (a *api) grantPart(o *authfiv1.Operation) (part, error) {
	switch r := o.GetOperation().(type) {
	case *authfiv1.Operation_CreateRole:
		return newPart(authfiv1connect.RoleServiceCreateRoleProcedure, r.CreateRole, a.CreateRole), nil
	case *authfiv1.Operation_UpdateRole:
		return newPart(authfiv1connect.RoleServiceUpdateRoleProcedure, r.UpdateRole, a.UpdateRole), nil
	case *authfiv1.Operation_DeleteRole:
		return newPart(authfiv1connect.RoleServiceDeleteRoleProcedure, r.DeleteRole, a.DeleteRole), nil
	case *authfiv1.Operation_AssignUserRole:
		return newPart(authfiv1connect.AssignmentServiceAssignUserRoleProcedure, r.AssignUserRole, a.AssignUserRole), nil
	case *authfiv1.Operation_UnassignUserRole:
		return newPart(authfiv1connect.AssignmentServiceUnassignUserRoleProcedure, r.UnassignUserRole, a.UnassignUserRole), nil
	case *authfiv1.Operation_AssignGroupRole:
		return newPart(authfiv1connect.AssignmentServiceAssignGroupRoleProcedure, r.AssignGroupRole, a.AssignGroupRole), nil
	case *authfiv1.Operation_UnassignGroupRole:
		return newPart(authfiv1connect.AssignmentServiceUnassignGroupRoleProcedure, r.UnassignGroupRole, a.UnassignGroupRole), nil
	}
	return part{}, directory.Invalid("", "an operation names exactly one change")
}

// call serves the part. A panic is the part's failure: in a goroutine that the
// server did not start it would be the end of the process.
func (p part) call(ctx context.Context) (answer proto.Message, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			answer, err = nil, fmt.Errorf("panic: %v", broken)
		}
	}()
	return p.serve(ctx)
}

// object is the id of what the part made or changed; empty for what it took
// away and the request does not name.
func (p part) object(answer proto.Message) string {
	switch m := answer.(type) {
	case identified:
		return m.GetId()
	case interface{ GetAssignmentId() string }:
		return m.GetAssignmentId()
	}
	if m, ok := p.request.(identified); ok {
		return m.GetId()
	}
	return ""
}
