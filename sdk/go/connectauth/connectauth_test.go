package connectauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	authfi "github.com/authfi/authfi/sdk/go"
	"github.com/authfi/authfi/sdk/go/authfitest"
	"github.com/authfi/authfi/sdk/go/connectauth"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// text is every message of the service of the tests.
type text = wrapperspb.StringValue

var needs = authfi.Procedures{
	"/test.Clinic/Get":    authfi.Needs("read:patients"),
	"/test.Clinic/Read":   authfi.Needs("read:patients"),
	"/test.Clinic/Anyone": authfi.AnyUser(),
	"/test.Clinic/Open":   authfi.Public(),
	"/test.Clinic/Echo":   authfi.Needs("read:patients"),
	"/test.Clinic/Watch":  authfi.Needs("read:patients").Reading(),
}

func call(ctx context.Context, _ *connect.Request[text]) (*connect.Response[text], error) {
	u, _ := authfi.UserFrom(ctx)
	if u == nil {
		return connect.NewResponse(wrapperspb.String("nobody")), nil
	}
	return connect.NewResponse(wrapperspb.String(u.ID)), nil
}

// echo waits for its caller.
func echo(_ context.Context, stream *connect.BidiStream[text, text]) error {
	for {
		in, err := stream.Receive()
		if err != nil {
			return err
		}
		if err := stream.Send(in); err != nil {
			return err
		}
	}
}

// watch waits for its end.
func watch(ctx context.Context, _ *connect.Request[text], stream *connect.ServerStream[text]) error {
	if err := stream.Send(wrapperspb.String("first")); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(stream.Send(wrapperspb.String("too late")), errors.New("the handler's own"))
}

func serve(t *testing.T, auth *authfi.Auth) *httptest.Server {
	t.Helper()
	protection := connect.WithInterceptors(connectauth.New(auth, needs))
	mux := http.NewServeMux()
	for _, name := range []string{"Get", "Anyone", "Open", "Forgotten"} {
		mux.Handle("/test.Clinic/"+name, connect.NewUnaryHandler("/test.Clinic/"+name, call, protection))
	}
	mux.Handle("/test.Clinic/Read", connect.NewUnaryHandler("/test.Clinic/Read", call, protection, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	mux.Handle("/test.Clinic/Echo", connect.NewBidiStreamHandler("/test.Clinic/Echo", echo, protection))
	mux.Handle("/test.Clinic/Watch", connect.NewServerStreamHandler("/test.Clinic/Watch", watch, protection))
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func client(server *httptest.Server, name string, options ...connect.ClientOption) *connect.Client[text, text] {
	return connect.NewClient[text, text](server.Client(), server.URL+"/test.Clinic/"+name, options...)
}

// reason is what an error carries.
func reason(err error) (connect.Code, *errdetails.ErrorInfo) {
	failure := new(connect.Error)
	if !errors.As(err, &failure) {
		return 0, &errdetails.ErrorInfo{}
	}
	for _, detail := range failure.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.ErrorInfo); ok {
				return failure.Code(), info
			}
		}
	}
	return failure.Code(), &errdetails.ErrorInfo{}
}

func invoke(t *testing.T, server *httptest.Server, method string, tokens []string, options ...connect.ClientOption) (string, connect.Code, *errdetails.ErrorInfo) {
	t.Helper()
	request := connect.NewRequest(wrapperspb.String(""))
	for _, token := range tokens {
		request.Header().Add("Authorization", "Bearer "+token)
	}
	answer, err := client(server, method, options...).CallUnary(t.Context(), request)
	if err != nil {
		code, info := reason(err)
		return info.Reason, code, info
	}
	return answer.Msg.Value, 0, nil
}

func TestUnary(t *testing.T) {
	issuer := authfitest.New(t)
	server := serve(t, issuer.Auth(t))
	doctor := issuer.SignIn(authfitest.Person{ID: "usr-1", Permissions: []string{"read:patients"}})
	nobody := issuer.SignIn(authfitest.Person{ID: "usr-2"})
	for name, options := range map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()}} {
		for _, c := range []struct {
			method string
			tokens []string
			code   connect.Code
			answer string // or the reason
		}{
			{"Get", []string{doctor}, 0, "usr-1"},
			{"Get", []string{nobody}, connect.CodePermissionDenied, "insufficient_permission"},
			{"Get", nil, connect.CodeUnauthenticated, "unauthenticated"},
			{"Get", []string{doctor, doctor}, connect.CodeUnauthenticated, "invalid_request"},
			{"Get", []string{doctor + "x"}, connect.CodeUnauthenticated, "invalid_token"},
			{"Anyone", []string{nobody}, 0, "usr-2"},
			{"Anyone", nil, connect.CodeUnauthenticated, "unauthenticated"},
			{"Open", nil, 0, "nobody"},
			{"Forgotten", []string{doctor}, connect.CodePermissionDenied, "insufficient_permission"},
		} {
			answer, code, info := invoke(t, server, c.method, c.tokens, options...)
			if answer != c.answer || code != c.code {
				t.Errorf("%s, %s with %d tokens: %v %q, want %v %q", name, c.method, len(c.tokens), code, answer, c.code, c.answer)
			}
			if code == connect.CodePermissionDenied && c.method == "Get" && (info.Metadata["required"] != "read:patients" || info.Metadata["missing"] != "read:patients") {
				t.Errorf("%s: %v", name, info)
			}
		}
	}
}

// TestStreams: a stream that waits for its caller and one that waits for its end are
// both ended by the revocation, with the reason.
func TestStreams(t *testing.T) {
	issuer := authfitest.New(t)
	server := serve(t, issuer.Auth(t))
	token := issuer.SignIn(authfitest.Person{Permissions: []string{"read:patients"}})
	both := client(server, "Echo").CallBidiStream(t.Context())
	both.RequestHeader().Set("Authorization", "Bearer "+token)
	if err := both.Send(wrapperspb.String("first")); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Receive(); err != nil {
		t.Fatal(err)
	}
	request := connect.NewRequest(wrapperspb.String(""))
	request.Header().Set("Authorization", "Bearer "+token)
	down, err := client(server, "Watch").CallServerStream(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if !down.Receive() {
		t.Fatal(down.Err())
	}
	issuer.Revoke(token)
	if _, err = both.Receive(); err == nil {
		t.Fatal("a message after the end")
	}
	if code, info := reason(err); code != connect.CodeUnauthenticated || info.Reason != "token_revoked" {
		t.Errorf("%v: %v", err, info)
	}
	if down.Receive() {
		t.Fatalf("a message after the end: %v", down.Msg())
	}
	if code, info := reason(down.Err()); code != connect.CodeUnauthenticated || info.Reason != "token_revoked" {
		t.Errorf("%v: %v", down.Err(), info)
	}
	refused := client(server, "Echo").CallBidiStream(t.Context())
	refused.RequestHeader().Set("Authorization", "Bearer "+issuer.SignIn(authfitest.Person{}))
	_ = refused.Send(nil) // the headers; what came of them is received
	_, err = refused.Receive()
	if code, info := reason(err); code != connect.CodePermissionDenied || info.Metadata["missing"] != "read:patients" {
		t.Errorf("%v %v", err, info)
	}
}

// TestUnavailable: when nobody can tell, it is not the caller's fault; what the
// procedure declares as free of side effects goes on.
func TestUnavailable(t *testing.T) {
	issuer := authfitest.New(t)
	server := serve(t, issuer.Auth(t))
	token := issuer.SignIn(authfitest.Person{ID: "usr-1", Permissions: []string{"read:patients"}})
	if answer, _, _ := invoke(t, server, "Get", []string{token}); answer != "usr-1" {
		t.Fatal(answer)
	}
	issuer.GoOffline()
	issuer.Advance(61 * time.Second)
	if answer, _, _ := invoke(t, server, "Read", []string{token}); answer != "usr-1" {
		t.Error(answer)
	}
	referred := issuer.SignIn(authfitest.Person{Claims: map[string]any{"permissions_ref": authfitest.URL + "/oauth2/permissions"}})
	for _, credential := range []string{token, referred} {
		if answer, code, _ := invoke(t, server, "Get", []string{credential}); code != connect.CodeUnavailable {
			t.Errorf("%v %s", code, answer)
		}
	}
}
