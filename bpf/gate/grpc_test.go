package gate_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// testService is gRPC's own test service, as far as it is called here.
type testService struct {
	pb.UnimplementedTestServiceServer
	f *fixture
}

func (s *testService) UnaryCall(ctx context.Context, r *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	s.f.served.Add(1)
	md, _ := metadata.FromIncomingContext(ctx)
	grpc.SetHeader(ctx, metadata.Pairs("seen-user", strings.Join(md.Get("x-authfi-user"), "|")))
	grpc.SetTrailer(ctx, metadata.Pairs("at-the-end", "yes", "binary-bin", "\x00\xff"))
	if r.ResponseStatus != nil {
		return nil, status.Error(codes.Code(r.ResponseStatus.Code), r.ResponseStatus.Message)
	}
	return &pb.SimpleResponse{Payload: r.Payload}, nil
}

func (s *testService) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	s.f.served.Add(1)
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: r.Payload}); err != nil {
			return err
		}
	}
}

// startGRPC runs a gRPC service behind a gate, with TLS before the gate or not.
func startGRPC(t *testing.T, secure bool) (f *fixture, client pb.TestServiceClient) {
	f = &fixture{t: t}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterTestServiceServer(server, &testService{f: f})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	settings := gate.Settings{H2C: true}
	creds := insecure.NewCredentials()
	if secure {
		a := newAuthority(t)
		settings, creds = a.settings(), credentials.NewTLS(a.clientConfig())
	}
	settings.Upstream, settings.Backend = listener.Addr().String(), gate.BackendSettings{HTTP2: true}
	f.enforce([]policy.Route{{Path: "/grpc.testing.TestService/**", Methods: []string{"POST"}}})
	f.run("127.0.0.1:0", settings)
	t.Cleanup(func() { f.stop() })
	conn, err := grpc.NewClient(f.gate.Addr().String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return f, pb.NewTestServiceClient(conn)
}

func withToken(ctx context.Context, t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "x-authfi-user", "forged")
}

func TestGRPC(t *testing.T) {
	for _, secure := range []bool{false, true} {
		f, client := startGRPC(t, secure)
		if _, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("without a token: %v", err)
		}
		f.reached(0)
		ctx := withToken(t.Context(), t)
		var header, trailer metadata.MD
		body := []byte(strings.Repeat("payload ", 100_000))
		got, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: body}}, grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil || string(got.Payload.Body) != string(body) {
			t.Fatalf("unary call: %d bytes, %v", len(got.GetPayload().GetBody()), err)
		}
		if header.Get("seen-user")[0] != "user-5" || trailer.Get("at-the-end")[0] != "yes" || trailer.Get("binary-bin")[0] != "\x00\xff" {
			t.Errorf("header %v, trailer %v", header, trailer)
		}
		// A failure comes as trailers alone.
		_, err = client.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: 9, Message: "not now"}})
		if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "not now" {
			t.Errorf("failure: %v", err)
		}
		f.reached(2)
	}
}

func TestGRPCStreams(t *testing.T) {
	f, client := startGRPC(t, true)
	stream, err := client.FullDuplexCall(withToken(t.Context(), t))
	if err != nil {
		t.Fatal(err)
	}
	say := func(text string) error {
		return stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte(text)}})
	}
	for _, text := range []string{"one", "two", strings.Repeat("three", 50_000)} {
		if err := say(text); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || string(got.Payload.Body) != text {
			t.Fatalf("%d bytes, %v", len(got.GetPayload().GetBody()), err)
		}
	}
	began := time.Now()
	f.revoked.Store(true)
	f.gate.Review(subject)
	if _, err := stream.Recv(); err == nil || err == io.EOF {
		t.Fatalf("the stream goes on: %v", err)
	}
	t.Logf("ended after %v", time.Since(began))
	if _, err := client.UnaryCall(withToken(t.Context(), t), &pb.SimpleRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("after the revocation: %v", err)
	}
	f.reached(1)
}

// TestGRPCStreamEndsWell: an answer that is a head alone stays one. It was flushed
// first in one of ten.
func TestGRPCStreamEndsWell(t *testing.T) {
	_, client := startGRPC(t, false)
	for range 200 {
		stream, err := client.FullDuplexCall(withToken(t.Context(), t))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	}
}
