// Package grpcauth protects gRPC servers with AuthFI: one interceptor for calls and
// one for streams, which share a table of what each procedure needs.
//
//	needs := authfi.Procedures{
//		"/clinic.v1.Patients/Get":   authfi.Needs("read:patients").Reading(),
//		"/clinic.v1.Patients/Watch": authfi.Needs("read:patients").Reading(),
//	}
//	server := grpc.NewServer(
//		grpc.UnaryInterceptor(grpcauth.Unary(auth, needs)),
//		grpc.StreamInterceptor(grpcauth.Stream(auth, needs)),
//	)
//
// A procedure without a row is refused. A stream ends, whatever its handler waits
// for, as soon as its caller's token would be refused.
package grpcauth

import (
	"context"
	"errors"
	"strings"

	authfi "github.com/authfi/authfi/sdk/go"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// domain of the reasons in errors.
const domain = "authfi"

// Unary protects calls.
func Unary(auth *authfi.Auth, needs authfi.Procedures) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if needs[info.FullMethod].IsPublic() {
			return handler(ctx, request)
		}
		inside, leave, err := enter(ctx, auth, needs[info.FullMethod])
		if err != nil {
			return nil, refused(ctx, err)
		}
		defer leave()
		return handler(inside, request)
	}
}

// Stream protects streams.
func Stream(auth *authfi.Auth, needs authfi.Procedures) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if needs[info.FullMethod].IsPublic() {
			return handler(server, stream)
		}
		inside, leave, err := enter(stream.Context(), auth, needs[info.FullMethod])
		if err != nil {
			return refused(stream.Context(), err)
		}
		defer leave()
		err = handler(server, &watched{stream, inside})
		if cause := ended(inside); cause != nil {
			return refused(stream.Context(), cause) // whatever the handler made of it
		}
		return err
	}
}

func enter(ctx context.Context, auth *authfi.Auth, needs authfi.Procedure) (context.Context, context.CancelFunc, error) {
	call, err := needs.Call(metadata.ValueFromIncomingContext(ctx, "authorization"))
	if err != nil {
		return nil, nil, err
	}
	return auth.Enter(ctx, call)
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
	grpc.ServerStream
	ctx context.Context
}

func (w *watched) Context() context.Context { return w.ctx }

func (w *watched) SendMsg(message any) error {
	if cause := ended(w.ctx); cause != nil {
		return cause
	}
	return w.ServerStream.SendMsg(message)
}

// RecvMsg does not wait longer for a message than the caller may stay. The one that
// is waited for then is nobody's: the end of the stream ends the waiting.
func (w *watched) RecvMsg(message any) error {
	received := make(chan error, 1)
	go func() { received <- w.ServerStream.RecvMsg(message) }()
	select {
	case err := <-received:
		if cause := ended(w.ctx); cause != nil {
			return cause
		}
		return err
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// refused is the status of a refusal, with its code, and with what was required and
// what is missing, as google.rpc.ErrorInfo; its challenge is in the trailer.
func refused(ctx context.Context, err error) error {
	refusal := authfi.AsRefusal(err)
	if challenge := refusal.Challenge(); challenge != "" {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("www-authenticate", challenge)) // without one the status says it
	}
	info := &errdetails.ErrorInfo{Reason: string(refusal.Code), Domain: domain, Metadata: map[string]string{}}
	if len(refusal.Required) > 0 {
		info.Metadata["required"] = strings.Join(refusal.Required, " ")
		info.Metadata["missing"] = strings.Join(refusal.Missing, " ")
	}
	plain := status.New(code(refusal), refusal.Detail())
	if detailed, err := plain.WithDetails(info); err == nil {
		return detailed.Err()
	}
	return plain.Err()
}

func code(refusal *authfi.Refusal) codes.Code {
	switch refusal.Code {
	case authfi.InsufficientPermission:
		return codes.PermissionDenied
	case authfi.AuthUnavailable, authfi.PermissionsUnavailable:
		return codes.Unavailable
	default:
		return codes.Unauthenticated
	}
}
