package admin

import (
	"context"
	"fmt"

	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// part is one change of a request that has several: the request of a procedure,
// and the very handler that serves it alone. So a part can neither do what the
// procedure could not nor be judged by another rule.
type part struct {
	name      string // of the operation in the request
	procedure string
	request   proto.Message
	serve     func(context.Context) (proto.Message, error)
}

func newPart[Request, Answer proto.Message](procedure string, request Request, serve func(context.Context, Request) (Answer, error)) part {
	return part{procedure: procedure, request: request, serve: func(ctx context.Context) (proto.Message, error) {
		return serve(ctx, request)
	}}
}

// parts binds the operations of a request, and refuses the whole of it when one of
// them is none: nothing has been changed then.
func (a *api) parts(field string, operations []*authfiv1.Operation) ([]part, error) {
	parts := make([]part, len(operations))
	for i, operation := range operations {
		var ok bool
		if parts[i], ok = a.part(operation); !ok {
			return nil, directory.Invalid(fmt.Sprintf("%s[%d]", field, i), "must name exactly one change")
		}
		parts[i].name = string(nameOf(operation))
	}
	return parts, nil
}

func nameOf(operation *authfiv1.Operation) protoreflect.Name {
	m := operation.ProtoReflect()
	return m.WhichOneof(m.Descriptor().Oneofs().Get(0)).Name()
}

// part binds an operation to its handler. The table of operations is asked as
// for every other call, by the procedure.
func (a *api) part(o *authfiv1.Operation) (part, bool) {
	switch r := o.GetOperation().(type) {
	case *authfiv1.Operation_CreateUser:
		return newPart(authfiv1connect.UserServiceCreateUserProcedure, r.CreateUser, a.CreateUser), true
	case *authfiv1.Operation_UpdateUser:
		return newPart(authfiv1connect.UserServiceUpdateUserProcedure, r.UpdateUser, a.UpdateUser), true
	case *authfiv1.Operation_DeleteUser:
		return newPart(authfiv1connect.UserServiceDeleteUserProcedure, r.DeleteUser, a.DeleteUser), true
	case *authfiv1.Operation_DeactivateUser:
		return newPart(authfiv1connect.UserServiceDeactivateUserProcedure, r.DeactivateUser, a.DeactivateUser), true
	case *authfiv1.Operation_ActivateUser:
		return newPart(authfiv1connect.UserServiceActivateUserProcedure, r.ActivateUser, a.ActivateUser), true
	case *authfiv1.Operation_CreateServiceAccount:
		return newPart(authfiv1connect.UserServiceCreateServiceAccountProcedure, r.CreateServiceAccount, a.CreateServiceAccount), true
	case *authfiv1.Operation_CreateGroup:
		return newPart(authfiv1connect.GroupServiceCreateGroupProcedure, r.CreateGroup, a.CreateGroup), true
	case *authfiv1.Operation_UpdateGroup:
		return newPart(authfiv1connect.GroupServiceUpdateGroupProcedure, r.UpdateGroup, a.UpdateGroup), true
	case *authfiv1.Operation_DeleteGroup:
		return newPart(authfiv1connect.GroupServiceDeleteGroupProcedure, r.DeleteGroup, a.DeleteGroup), true
	case *authfiv1.Operation_AddGroupMembers:
		return newPart(authfiv1connect.GroupServiceAddGroupMembersProcedure, r.AddGroupMembers, a.AddGroupMembers), true
	case *authfiv1.Operation_RemoveGroupMember:
		return newPart(authfiv1connect.GroupServiceRemoveGroupMemberProcedure, r.RemoveGroupMember, a.RemoveGroupMember), true
	case *authfiv1.Operation_NestGroup:
		return newPart(authfiv1connect.GroupServiceNestGroupProcedure, r.NestGroup, a.NestGroup), true
	case *authfiv1.Operation_UnnestGroup:
		return newPart(authfiv1connect.GroupServiceUnnestGroupProcedure, r.UnnestGroup, a.UnnestGroup), true
	}
	return a.grantPart(o)
}

// grantPart continues part with what grants and takes rights.
func (a *api) grantPart(o *authfiv1.Operation) (part, bool) {
	switch r := o.GetOperation().(type) {
	case *authfiv1.Operation_CreateRole:
		return newPart(authfiv1connect.RoleServiceCreateRoleProcedure, r.CreateRole, a.CreateRole), true
	case *authfiv1.Operation_UpdateRole:
		return newPart(authfiv1connect.RoleServiceUpdateRoleProcedure, r.UpdateRole, a.UpdateRole), true
	case *authfiv1.Operation_DeleteRole:
		return newPart(authfiv1connect.RoleServiceDeleteRoleProcedure, r.DeleteRole, a.DeleteRole), true
	case *authfiv1.Operation_AssignUserRole:
		return newPart(authfiv1connect.AssignmentServiceAssignUserRoleProcedure, r.AssignUserRole, a.AssignUserRole), true
	case *authfiv1.Operation_UnassignUserRole:
		return newPart(authfiv1connect.AssignmentServiceUnassignUserRoleProcedure, r.UnassignUserRole, a.UnassignUserRole), true
	case *authfiv1.Operation_AssignGroupRole:
		return newPart(authfiv1connect.AssignmentServiceAssignGroupRoleProcedure, r.AssignGroupRole, a.AssignGroupRole), true
	case *authfiv1.Operation_UnassignGroupRole:
		return newPart(authfiv1connect.AssignmentServiceUnassignGroupRoleProcedure, r.UnassignGroupRole, a.UnassignGroupRole), true
	}
	return part{}, false
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
