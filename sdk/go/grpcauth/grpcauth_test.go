package grpcauth_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	authfi "github.com/authfi/authfi/sdk/go"
	"github.com/authfi/authfi/sdk/go/authfitest"
	"github.com/authfi/authfi/sdk/go/grpcauth"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// text is every message of the service of the tests.
type text = wrapperspb.StringValue

func unary(name string) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(server any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(text)
		if err := decode(in); err != nil {
			return nil, err
		}
		return intercept(ctx, in, &grpc.UnaryServerInfo{Server: server, FullMethod: "/test.Clinic/" + name}, func(ctx context.Context, _ any) (any, error) {
			u, _ := authfi.UserFrom(ctx)
			if u == nil {
				return wrapperspb.String("nobody"), nil
			}
			return wrapperspb.String(u.ID), nil
		})
	}}
}

// service has a call for each row of the table, one without a row, and two streams:
// one that waits for its caller, one that waits for its end.
var service = grpc.ServiceDesc{
	ServiceName: "test.Clinic", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{unary("Get"), unary("Anyone"), unary("Open"), unary("Forgotten")},
	Streams: []grpc.StreamDesc{
		{StreamName: "Echo", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				in := new(text)
				if err := s.RecvMsg(in); err != nil {
					return err
				}
				if err := s.SendMsg(in); err != nil {
					return err
				}
			}
		}},
		{StreamName: "Watch", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			if err := errors.Join(s.RecvMsg(new(text)), s.SendMsg(wrapperspb.String("first"))); err != nil {
				return err
			}
			<-s.Context().Done()
			return errors.Join(s.SendMsg(wrapperspb.String("too late")), errors.New("the handler's own"))
		}},
	},
}

var needs = authfi.Procedures{
	"/test.Clinic/Get":    authfi.Needs("read:patients").Reading(),
	"/test.Clinic/Anyone": authfi.AnyUser(),
	"/test.Clinic/Open":   authfi.Public(),
	"/test.Clinic/Echo":   authfi.Needs("read:patients"),
	"/test.Clinic/Watch":  authfi.Needs("read:patients").Reading(),
}

func dial(t *testing.T, auth *authfi.Auth) *grpc.ClientConn {
	t.Helper()
	server := grpc.NewServer(grpc.UnaryInterceptor(grpcauth.Unary(auth, needs)), grpc.StreamInterceptor(grpcauth.Stream(auth, needs)))
	server.RegisterService(&service, new(any))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func with(t *testing.T, tokens ...string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	for _, token := range tokens {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return ctx
}

// reason is what a status carries.
func reason(err error) (codes.Code, *errdetails.ErrorInfo) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return status.Code(err), info
		}
	}
	return status.Code(err), &errdetails.ErrorInfo{}
}

func TestUnary(t *testing.T) {
	issuer := authfitest.New(t)
	conn := dial(t, issuer.Auth(t))
	doctor := issuer.SignIn(authfitest.Person{ID: "usr-1", Permissions: []string{"read:patients"}})
	nobody := issuer.SignIn(authfitest.Person{ID: "usr-2"})
	for name, c := range map[string]struct {
		method string
		tokens []string
		code   codes.Code
		answer string // or the reason
	}{
		"who holds the permission":       {"Get", []string{doctor}, codes.OK, "usr-1"},
		"who lacks it":                   {"Get", []string{nobody}, codes.PermissionDenied, "insufficient_permission"},
		"without a token":                {"Get", nil, codes.Unauthenticated, "unauthenticated"},
		"with two tokens":                {"Get", []string{doctor, doctor}, codes.Unauthenticated, "invalid_request"},
		"with a token that is none":      {"Get", []string{doctor + "x"}, codes.Unauthenticated, "invalid_token"},
		"any user":                       {"Anyone", []string{nobody}, codes.OK, "usr-2"},
		"any user but nobody":            {"Anyone", nil, codes.Unauthenticated, "unauthenticated"},
		"a public procedure":             {"Open", nil, codes.OK, "nobody"},
		"a procedure that has no row":    {"Forgotten", []string{doctor}, codes.PermissionDenied, "insufficient_permission"},
		"the same for those without one": {"Forgotten", nil, codes.PermissionDenied, "insufficient_permission"},
	} {
		out, trailer := new(text), metadata.MD{}
		code, info := reason(conn.Invoke(with(t, c.tokens...), "/test.Clinic/"+c.method, new(text), out, grpc.Trailer(&trailer)))
		if code != c.code || out.Value+info.Reason != c.answer {
			t.Errorf("%s: %v %s%s", name, code, out.Value, info.Reason)
		}
		if name == "who lacks it" && (info.Metadata["required"] != "read:patients" || info.Metadata["missing"] != "read:patients" ||
			trailer["www-authenticate"][0] != `Bearer realm="authfi", error="insufficient_scope", scope="read:patients"`) {
			t.Errorf("%v %v", info, trailer)
		}
	}
}

// TestStreams: a stream that waits for its caller and one that waits for its end are
// both ended by the revocation, with the reason.
func TestStreams(t *testing.T) {
	issuer := authfitest.New(t)
	conn := dial(t, issuer.Auth(t))
	for _, method := range []string{"Echo", "Watch"} {
		token := issuer.SignIn(authfitest.Person{Permissions: []string{"read:patients"}})
		stream, err := conn.NewStream(with(t, token), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Clinic/"+method)
		if err == nil {
			err = stream.SendMsg(wrapperspb.String("first"))
		}
		if err == nil && method == "Watch" {
			err = stream.CloseSend() // a stream of the server alone begins then
		}
		if err == nil {
			err = stream.RecvMsg(new(text))
		}
		if err != nil {
			t.Fatal(err)
		}
		issuer.Revoke(token)
		out := new(text)
		if code, info := reason(stream.RecvMsg(out)); code != codes.Unauthenticated || info.Reason != "token_revoked" || out.Value != "" {
			t.Errorf("%s: %v %s %q", method, code, info.Reason, out.Value)
		}
	}
	stream, err := conn.NewStream(with(t, issuer.SignIn(authfitest.Person{})), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Clinic/Echo")
	if err != nil {
		t.Fatal(err)
	}
	if code, info := reason(stream.RecvMsg(new(text))); code != codes.PermissionDenied || info.Metadata["missing"] != "read:patients" {
		t.Errorf("%v %v", code, info)
	}
}

// TestUnavailable: when nobody can tell, it is not the caller's fault; what only
// reads goes on.
func TestUnavailable(t *testing.T) {
	issuer := authfitest.New(t)
	conn := dial(t, issuer.Auth(t))
	token := issuer.SignIn(authfitest.Person{ID: "usr-1", Permissions: []string{"read:patients"}})
	if err := conn.Invoke(with(t, token), "/test.Clinic/Get", new(text), new(text)); err != nil {
		t.Fatal(err)
	}
	issuer.GoOffline()
	issuer.Advance(61 * time.Second)
	if err := conn.Invoke(with(t, token), "/test.Clinic/Get", new(text), new(text)); err != nil {
		t.Error(err)
	}
	referred := issuer.SignIn(authfitest.Person{Claims: map[string]any{"permissions_ref": authfitest.URL + "/oauth2/permissions"}})
	for credential, want := range map[string]string{token: "auth_unavailable", referred: "permissions_unavailable"} {
		code, info := reason(conn.Invoke(with(t, credential), "/test.Clinic/Anyone", new(text), new(text)))
		if code != codes.Unavailable || info.Reason != want {
			t.Errorf("%v %v, want %s", code, info, want)
		}
	}
}
