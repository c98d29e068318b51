package admin

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// code maps the kinds of failure; problem is the word for programs where it is
// not that of the code.
func code(kind directory.Kind) (code connect.Code, problem string) {
	switch kind {
	case directory.KindInvalid:
		return connect.CodeInvalidArgument, ""
	case directory.KindNotFound:
		return connect.CodeNotFound, ""
	case directory.KindConflict:
		return connect.CodeAlreadyExists, "conflict"
	case directory.KindDenied:
		return connect.CodePermissionDenied, ""
	case directory.KindPrecondition:
		return connect.CodeFailedPrecondition, ""
	case directory.KindExhausted:
		return connect.CodeResourceExhausted, ""
	case directory.KindUnavailable:
		return connect.CodeUnavailable, ""
	case directory.KindUnauthenticated:
		return connect.CodeUnauthenticated, ""
	case directory.KindUnknownOutcome:
		return connect.CodeUnavailable, "unknown_outcome"
	case directory.KindInternal:
		return connect.CodeInternal, ""
	}
	return connect.CodeInternal, ""
}

// refusal is what the client sees of an error. Only a directory.Error shows its
// text; what went wrong with us is for the log.
func refusal(err error) *connect.Error {
	var own *directory.Error
	switch {
	case errors.As(err, &own) && own.Kind != directory.KindInternal:
		c, problem := code(own.Kind)
		if errors.Is(err, access.ErrCursorExpired) {
			problem = "cursor_expired" // so that a program begins the list anew
		}
		return newRefusal(c, problem, own.Field, own.Message)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the request was cancelled"))
	case errors.Is(err, context.DeadlineExceeded):
		return newRefusal(connect.CodeUnavailable, "", "", "this node could not answer in time")
	}
	return connect.NewError(connect.CodeInternal, errors.New("internal error"))
}

func newRefusal(code connect.Code, problem, field, message string) *connect.Error {
	refused := connect.NewError(code, errors.New(message))
	if problem == "" {
		problem = code.String()
	}
	detail, err := connect.NewErrorDetail(&authfiv1.Problem{Code: problem, Field: field})
	if err != nil {
		panic("admin: a problem cannot be packed: " + err.Error()) // a message of two strings
	}
	refused.AddDetail(detail)
	return refused
}

// answer turns every handler's error into the client's.
func (a *api) answer(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		if err == nil {
			return response, nil
		}
		return nil, a.refused(request.Spec().Procedure, err)
	}
}

// refused is refusal, and logs what is ours.
func (a *api) refused(procedure string, err error) *connect.Error {
	refused := refusal(err)
	if refused.Code() == connect.CodeInternal {
		a.Log.Error("request failed", "procedure", procedure, "error", err)
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
