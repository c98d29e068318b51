package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	spicedb "github.com/authzed/authzed-go/proto/authzed/api/v1"
	authzed "github.com/authzed/authzed-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	spicedbKey  = "bench"
	spicedbBulk = 1_000 // relationships a message of the bulk import
	// spicedbWait is how long SpiceDB may answer from a revision before the load:
	// its quantization interval and a tenth more.
	spicedbWait = 6 * time.Second
)

// spicedbSchema is the directory in SpiceDB's words; permission is a word of its
// schema language.
const spicedbSchema = `definition user {}

definition group {
	relation member: user
}

definition role {
	relation assignee: user | group#member
}

definition perm {
	relation role: role
	permission granted = role->assignee
}`

// spicedbServer is one SpiceDB and a client of it.
type spicedbServer struct {
	process *process
	https   string // its address
	client  *authzed.Client
}

// startSpiceDB serves a database that was migrated.
func startSpiceDB(ctx context.Context, program, uri, log string, cert *certificate) (s *spicedbServer, err error) {
	s = &spicedbServer{}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	address, err := freeAddress()
	if err != nil {
		return s, err
	}
	if s.https, err = freeAddress(); err != nil {
		return s, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program,
		"serve", "--grpc-addr", address, "--grpc-preshared-key", spicedbKey, "--telemetry-endpoint", "", "--skip-release-check",
		"--metrics-enabled=false", "--http-enabled", "--http-addr", s.https,
		"--http-tls-cert-path", cert.certFile, "--http-tls-key-path", cert.keyFile, "--dispatch-cluster-enabled=false", "--log-level", "warn",
		"--datastore-engine", "postgres", "--datastore-conn-uri", uri, "--datastore-gc-interval", "1h")
	if s.process, err = spawn(log, cmd); err != nil {
		return s, err
	}
	if s.client, err = authzed.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(presharedKey{})); err != nil {
		return s, err
	}
	return s, s.process.await(ctx, func(ctx context.Context) error {
		_, err := s.client.WriteSchema(ctx, &spicedb.WriteSchemaRequest{Schema: spicedbSchema})
		return err
	})
}

// presharedKey is the credential, over a connection without TLS: it costs the
// peer less than ours does.
type presharedKey struct{}

func (presharedKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + spicedbKey}, nil
}

func (presharedKey) RequireTransportSecurity() bool { return false }

func migrateSpiceDB(ctx context.Context, program, uri string) error {
	return finish(exec.CommandContext(ctx, program, "datastore", "migrate", "head", "--datastore-engine", "postgres", "--datastore-conn-uri", uri))
}

func (s *spicedbServer) stop() {
	if s.client != nil {
		s.client.Close()
	}
	if s.process != nil {
		s.process.stop(syscall.SIGTERM)
	}
}

// fill imports everything that the directory says.
func (s *spicedbServer) fill(ctx context.Context, d *Directory) error {
	stream, err := s.client.ImportBulkRelationships(ctx)
	if err != nil {
		return err
	}
	relations := d.relations()
	for at := 0; at < len(relations); at += spicedbBulk {
		batch := relations[at:min(at+spicedbBulk, len(relations))]
		message := &spicedb.ImportBulkRelationshipsRequest{}
		for _, r := range batch {
			message.Relationships = append(message.Relationships, spicedbRelationship(r))
		}
		if err := stream.Send(message); err != nil {
			_, received := stream.CloseAndRecv() // which says why
			return errors.Join(err, received)
		}
	}
	answer, err := stream.CloseAndRecv()
	if err == nil && answer.GetNumLoaded() != uint64(len(relations)) {
		err = fmt.Errorf("%d of %d relationships were loaded", answer.GetNumLoaded(), len(relations))
	}
	return err
}

func spicedbRelationship(r relation) *spicedb.Relationship {
	switch r.kind {
	case member:
		return relationship("group", name("g", r.second), "member", "user", name("u", r.first), "")
	case userRole:
		return relationship("role", name("r", r.second), "assignee", "user", name("u", r.first), "")
	case groupRole:
		return relationship("role", name("r", r.second), "assignee", "group", name("g", r.first), "member")
	case grant:
		return relationship("perm", name("p", r.second), "role", "role", name("r", r.first), "")
	}
	panic(fmt.Sprintf("peers: relation of kind %d", r.kind))
}

func relationship(resource, id, relation, subject, subjectID, subjectRelation string) *spicedb.Relationship {
	return &spicedb.Relationship{
		Resource: &spicedb.ObjectReference{ObjectType: resource, ObjectId: id},
		Relation: relation,
		Subject: &spicedb.SubjectReference{
			Object:           &spicedb.ObjectReference{ObjectType: subject, ObjectId: subjectID},
			OptionalRelation: subjectRelation,
		},
	}
}

// Consistencies: the fast one, whose answers may be five seconds old, and the one
// whose answers are as new as ours.
var (
	minimizeLatency = &spicedb.Consistency{Requirement: &spicedb.Consistency_MinimizeLatency{MinimizeLatency: true}}
	fullyConsistent = &spicedb.Consistency{Requirement: &spicedb.Consistency_FullyConsistent{FullyConsistent: true}}
)

// checkByGRPC asks as SpiceDB's own client in Go does.
func (s *spicedbServer) checkByGRPC(plan *Plan, consistency *spicedb.Consistency) func(ctx context.Context, _, question int) (bool, error) {
	return func(ctx context.Context, _, question int) (bool, error) {
		answer, err := s.client.CheckPermission(ctx, spicedbCheck(plan.Questions[question], consistency))
		return answer.GetPermissionship() == spicedb.CheckPermissionResponse_PERMISSIONSHIP_HAS_PERMISSION, err
	}
}

func spicedbCheck(q Question, consistency *spicedb.Consistency) *spicedb.CheckPermissionRequest {
	return &spicedb.CheckPermissionRequest{
		Consistency: consistency,
		Resource:    &spicedb.ObjectReference{ObjectType: "perm", ObjectId: name("p", q.Permission)},
		Permission:  "granted",
		Subject:     &spicedb.SubjectReference{Object: &spicedb.ObjectReference{ObjectType: "user", ObjectId: name("u", q.User)}},
	}
}

// clients ask over HTTPS.
func (s *spicedbServer) clients(plan *Plan, cert *certificate, consistency *spicedb.Consistency) (*lean, error) {
	requests, err := writtenOut(plan, s.https, "/v1/permissions/check", spicedbKey, func(q Question) any {
		return asJSON{spicedbCheck(q, consistency)}
	})
	if err != nil {
		return nil, err
	}
	return newLean(plan, cert.pem, []string{s.https}, requests,
		verdictOf("permissionship", `"PERMISSIONSHIP_HAS_PERMISSION"`, `"PERMISSIONSHIP_NO_PERMISSION"`))
}

// asJSON is a message as its own library writes it.
type asJSON struct{ proto.Message }

// MarshalJSON implements json.Marshaler.
func (m asJSON) MarshalJSON() ([]byte, error) { return protojson.Marshal(m.Message) }

// spicedbServices are SpiceDB with either consistency, and with the fast one by gRPC.
func spicedbServices(ctx context.Context, plan *Plan, db *postgres, cert *certificate) (services []*service, stop func(), err error) {
	stop = func() {}
	uri, err := db.create(ctx, "spicedb")
	if err != nil {
		return nil, stop, err
	}
	if err := migrateSpiceDB(ctx, plan.SpiceDB, uri); err != nil {
		return nil, stop, err
	}
	s, err := startSpiceDB(ctx, plan.SpiceDB, uri, filepath.Join(plan.Dir, "spicedb.log"), cert)
	if err != nil {
		return nil, stop, err
	}
	stop = s.stop
	note("SpiceDB: loading")
	began := time.Now()
	if err := s.fill(ctx, &plan.Directory); err != nil {
		return nil, stop, err
	}
	took := time.Since(began)
	note("SpiceDB: loaded in %.1f s", took.Seconds())
	if err := db.settle(ctx, "spicedb"); err != nil {
		return nil, stop, err
	}
	select {
	case <-time.After(spicedbWait):
	case <-ctx.Done():
		return nil, stop, ctx.Err()
	}
	pids := []int{s.process.cmd.Process.Pid, db.pid()}
	const fast = "minimize_latency, the default, so that answers may be 5 s old, Postgres 15"
	for _, kind := range []struct {
		name, setting string
		consistency   *spicedb.Consistency
	}{
		{"spicedb", fast, minimizeLatency},
		{"spicedb_consistent", "fully_consistent, Postgres 15", fullyConsistent},
	} {
		clients, err := s.clients(plan, cert, kind.consistency)
		if err != nil {
			return nil, stop, err
		}
		services = append(services, newService(kind.name, overHTTPS+kind.setting, clients.check, pids))
	}
	services[0].result.Load = took.Seconds()
	return append(services, newService("spicedb_grpc", overGRPC+fast, s.checkByGRPC(plan, minimizeLatency), pids)), stop, nil
}
