// Package connectauth protects Connect servers with AuthFI. The interceptor shares
// its table of what each procedure needs with gRPC's.
//
//	needs := authfi.Procedures{
//		clinicv1connect.PatientsGetProcedure: authfi.Needs("read:patients").Reading(),
//	}
//	connect.WithInterceptors(connectauth.New(auth, needs))
//
// A procedure without a row is refused. Connect decodes a message before it calls
// interceptors; where that is too late, auth.Authenticated() around the whole handler
// refuses before. A stream ends as soon as its caller's token would be refused.
package connectauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	authfi "github.com/authfi/authfi/sdk/go"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// domain of the reasons in errors.
const domain = "authfi"

// New makes the interceptor. It does nothing to clients.
func New(auth *authfi.Auth, needs authfi.Procedures) connect.Interceptor {
	return &interceptor{auth, needs}
}

type interceptor struct {
	auth  *authfi.Auth
	needs authfi.Procedures
}

func (i *interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if request.Spec().IsClient || i.needs[request.Spec().Procedure].IsPublic() {
			return next(ctx, request)
		}
		inside, leave, err := i.enter(ctx, request.Spec(), request.Header())
		if err != nil {
			return nil, refused(err)
		}
		defer leave()
		return next(inside, request)
	}
}

// WrapStreamingClient leaves clients as they are.
func (i *interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (i *interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if i.needs[conn.Spec().Procedure].IsPublic() {
			return next(ctx, conn)
		}
		inside, leave, err := i.enter(ctx, conn.Spec(), conn.RequestHeader())
		if err != nil {
			return refused(err)
		}
		defer leave()
		err = next(inside, &watched{conn, inside})
		if cause := ended(inside); cause != nil {
			return refused(cause) // whatever the handler made of it
		}
		return err
	}
}

// enter takes a procedure that its .proto declares free of side effects as reading.
func (i *interceptor) enter(ctx context.Context, spec connect.Spec, header http.Header) (context.Context, context.CancelFunc, error) {
	needs := i.needs[spec.Procedure]
	if spec.IdempotencyLevel == connect.IdempotencyNoSideEffects {
		needs = needs.Reading()
	}
	call, err := needs.Call(header.Values("Authorization"))
	if err != nil {
		return nil, nil, err
	}
	return i.auth.Enter(ctx, call)
}

// ended is the Refusal that a context ended with, or nil.
func ended(ctx context.Context) error {
	if refusal := new(authfi.Refusal); errors.As(context.Cause(ctx), &refusal) {
		return refusal
	}
	return nil
}

// watched is a stream that neither gives nor takes a message after its end.
type watched struct {
	connect.StreamingHandlerConn
	ctx context.Context
}

func (w *watched) Send(message any) error {
	if cause := ended(w.ctx); cause != nil {
		return refused(cause)
	}
	return w.StreamingHandlerConn.Send(message)
}

// Receive does not wait longer for a message than the caller may stay. The one that
// is waited for then is nobody's: the end of the stream ends the waiting.
func (w *watched) Receive(message any) error {
	received := make(chan error, 1)
	go func() { received <- w.StreamingHandlerConn.Receive(message) }()
	select {
	case err := <-received:
		if cause := ended(w.ctx); cause != nil {
			return refused(cause)
		}
		return err
	case <-w.ctx.Done():
		return refused(context.Cause(w.ctx))
	}
}

// refused is the error of a refusal, with its code, and with what was required and
// what is missing, as google.rpc.ErrorInfo.
func refused(err error) error {
	refusal := authfi.AsRefusal(err)
	failure := connect.NewError(code(refusal), errors.New(refusal.Detail()))
	if challenge := refusal.Challenge(); challenge != "" {
		failure.Meta().Set("WWW-Authenticate", challenge)
	}
	info := &errdetails.ErrorInfo{Reason: string(refusal.Code), Domain: domain, Metadata: map[string]string{}}
	if len(refusal.Required) > 0 {
		info.Metadata["required"] = strings.Join(refusal.Required, " ")
		info.Metadata["missing"] = strings.Join(refusal.Missing, " ")
	}
	if detail, err := connect.NewErrorDetail(info); err == nil {
		failure.AddDetail(detail)
	}
	return failure
}

func code(refusal *authfi.Refusal) connect.Code {
	switch refusal.Code {
	case authfi.InsufficientPermission:
		return connect.CodePermissionDenied
	case authfi.AuthUnavailable, authfi.PermissionsUnavailable:
		return connect.CodeUnavailable
	default:
		return connect.CodeUnauthenticated
	}
}
