package node_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/node/nodetest"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// TestClientsOfOthers: programs that we did not write speak to real nodes over TLS.
func TestClientsOfOthers(t *testing.T) {
	c := nodetest.Start(t)
	t.Run("connect-go", func(t *testing.T) { connectGo(t, c) })
	t.Run("grpc-go", func(t *testing.T) { grpcGo(t, c) })
	t.Run("node", func(t *testing.T) { connectNode(t, c) })
}

// bearer adds the token to a call, streams included.
type bearer string

func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set("Authorization", "Bearer "+string(b))
		return next(ctx, r)
	}
}

func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", "Bearer "+string(b))
		return conn
	}
}

func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func connectGo(t *testing.T, c *nodetest.Cluster) {
	transport := &http.Transport{TLSClientConfig: c.TLS(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	web := &http.Client{Transport: transport}
	for name, option := range map[string]connect.ClientOption{
		"connect": connect.WithProtoJSON(), "grpc": connect.WithGRPC(), "grpcweb": connect.WithGRPCWeb(),
	} {
		options := connect.WithClientOptions(option, connect.WithInterceptors(bearer(c.Token())), connect.WithSendGzip())
		organizations := authfiv1connect.NewOrganizationServiceClient(web, c.URL(1), options)
		users := authfiv1connect.NewUserServiceClient(web, c.URL(2), options)
		org, err := organizations.CreateOrganization(t.Context(), &authfiv1.CreateOrganizationRequest{Slug: "go-" + name, Name: name})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		request := &authfiv1.CreateUserRequest{OrgId: org.GetId(), Email: "alice@example.org"}
		alice, err := users.CreateUser(t.Context(), request)
		if err != nil || alice.GetUserName() != "alice@example.org" {
			t.Fatalf("%s: %v, %v", name, alice, err)
		}
		_, err = users.CreateUser(t.Context(), request)
		refused := new(connect.Error)
		if connect.CodeOf(err) != connect.CodeAlreadyExists || !asConnect(err, &refused) || len(refused.Details()) != 1 {
			t.Fatalf("%s: taken twice: %v", name, err)
		}
		if detail, err := refused.Details()[0].Value(); err != nil || detail.(*authfiv1.Problem).GetField() != "user_name" {
			t.Fatalf("%s: the detail is %v, %v", name, detail, err)
		}
		late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		if _, err := users.GetUser(late, &authfiv1.GetUserRequest{Id: alice.GetId()}); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
			t.Errorf("%s: after the deadline: %v", name, err)
		}
		cancel()
		watchWith(t, authfiv1connect.NewEventServiceClient(web, c.URL(0), options), org.GetId())
	}
}

func asConnect(err error, to **connect.Error) bool {
	e, ok := err.(*connect.Error)
	*to = e
	return ok
}

// watchWith follows an organization from its beginning.
func watchWith(t *testing.T, events authfiv1connect.EventServiceClient, org string) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	stream, err := events.Watch(ctx, &authfiv1.WatchRequest{OrgId: org})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for _, want := range []string{"organization.created", "user.created"} {
		if !stream.Receive() || stream.Msg().GetType() != want {
			t.Fatalf("the feed has %v, want %s: %v", stream.Msg(), want, stream.Err())
		}
	}
}

// grpcGo calls by name, as the reference implementation of gRPC does.
func grpcGo(t *testing.T, c *nodetest.Cluster) {
	conn, err := grpc.NewClient(strings.TrimPrefix(c.URL(0), "https://"), grpc.WithTransportCredentials(credentials.NewTLS(withH2(c.TLS()))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+c.Token())
	org, header := new(authfiv1.Organization), metadata.MD{}
	create := &authfiv1.CreateOrganizationRequest{Slug: "grpc-go", Name: "gRPC"}
	if err := conn.Invoke(ctx, authfiv1connect.OrganizationServiceCreateOrganizationProcedure, create, org, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if len(header.Get("x-authfi-index")) != 1 {
		t.Errorf("the header has %v", header)
	}
	err = conn.Invoke(ctx, authfiv1connect.OrganizationServiceCreateOrganizationProcedure, create, org)
	if refused := status.Convert(err); refused.Code() != codes.AlreadyExists || len(refused.Details()) != 1 || refused.Details()[0].(*authfiv1.Problem).GetField() != "slug" {
		t.Errorf("taken twice: %v %v", err, status.Convert(err).Details())
	}
	if err := conn.Invoke(t.Context(), authfiv1connect.UserServiceListUsersProcedure, &authfiv1.ListUsersRequest{}, new(authfiv1.ListUsersResponse)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
	following, leave := context.WithCancel(ctx)
	defer leave()
	stream, err := conn.NewStream(following, &grpc.StreamDesc{ServerStreams: true}, authfiv1connect.EventServiceWatchProcedure)
	if err != nil {
		t.Fatal(err)
	}
	event := new(authfiv1.Event)
	for _, err := range []error{stream.SendMsg(&authfiv1.WatchRequest{OrgId: org.GetId()}), stream.CloseSend(), stream.RecvMsg(event)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if event.GetType() != "organization.created" {
		t.Errorf("the feed begins with %v", event)
	}
	leave()
	for err = error(nil); err == nil; err = stream.RecvMsg(event) {
	}
	if status.Code(err) != codes.Canceled {
		t.Errorf("after leaving: %v", err)
	}
}

func withH2(config *tls.Config) *tls.Config {
	config.NextProtos = []string{"h2"}
	return config
}

// connectNode runs testdata/client with the packages that its lock file names.
func connectNode(t *testing.T, c *nodetest.Cluster) {
	dir := filepath.Join(t.TempDir(), "client")
	if err := os.CopyFS(dir, os.DirFS("testdata/client")); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--silent")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm: %v\n%s", err, out)
	}
	descriptors := filepath.Join(dir, "descriptors.bin")
	if err := os.WriteFile(descriptors, descriptorSet(t), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), "node", "client.mjs")
	run.Dir = dir
	run.Env = append(os.Environ(), "AUTHFI_URL="+c.URL(0), "AUTHFI_TOKEN="+c.Token(), "AUTHFI_CACERT="+c.CA(), "DESCRIPTORS="+descriptors)
	out, err := run.CombinedOutput()
	if err != nil || strings.Count(string(out), ": ok") != 3 {
		t.Fatalf("node: %v\n%s", err, out)
	}
}

// descriptorSet is the API and all that it imports, in an order in which each file
// follows what it imports.
func descriptorSet(t *testing.T) []byte {
	t.Helper()
	set, seen := new(descriptorpb.FileDescriptorSet), map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	for _, f := range []protoreflect.FileDescriptor{
		authfiv1.File_authfi_v1_organization_proto, authfiv1.File_authfi_v1_permission_proto, authfiv1.File_authfi_v1_event_proto,
	} {
		add(f)
	}
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
