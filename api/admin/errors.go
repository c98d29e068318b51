package admin

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/problem"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// refusal is what the client sees of an error.
func refusal(err error) *connect.Error {
	own := new(directory.Error)
	if errors.Is(err, access.ErrCursorExpired) && errors.As(err, &own) {
		// A word of its own, so that a program begins the list anew.
		return problem.New(connect.CodeFailedPrecondition, "cursor_expired", own.Field, own.Message)
	}
	return problem.Of(err)
}

// answer turns every handler's error into the client's.
func (a *api) answer(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		if err == nil {
			return response, nil
		}
		return nil, a.refused(ctx, request.Spec().Procedure, err)
	}
}

// refused is refusal, and logs what is ours.
func (a *api) refused(ctx context.Context, procedure string, err error) *connect.Error {
	refused := refusal(err)
	if refused.Code() == connect.CodeInternal {
		a.Log.ErrorContext(ctx, "request failed", "procedure", procedure, "error", err)
	}
	return refused
}

// problemOf is the part of a refusal that is for programs.
func problemOf(refused *connect.Error) *authfiv1.Problem {
	for _, detail := range refused.Details() {
		if value, err := detail.Value(); err == nil {
			if problem, ok := value.(*authfiv1.Problem); ok {
				return problem
			}
		}
	}
	return &authfiv1.Problem{Code: refused.Code().String()}
}
