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
	client  *authzed.Client
}

// startSpiceDB serves a database that was migrated.
func startSpiceDB(ctx context.Context, program, uri, log string) (s *spicedbServer, err error) {
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
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program,
		"serve", "--grpc-addr", address, "--grpc-preshared-key", spicedbKey, "--telemetry-endpoint", "", "--skip-release-check",
		"--metrics-enabled=false", "--http-enabled=false", "--dispatch-cluster-enabled=false", "--log-level", "warn",
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

func (s *spicedbServer) check(consistency *spicedb.Consistency) func(context.Context, int, Question) (bool, error) {
	return func(ctx context.Context, _ int, q Question) (bool, error) {
		answer, err := s.client.CheckPermission(ctx, &spicedb.CheckPermissionRequest{
			Consistency: consistency,
			Resource:    &spicedb.ObjectReference{ObjectType: "perm", ObjectId: name("p", q.Permission)},
			Permission:  "granted",
			Subject:     &spicedb.SubjectReference{Object: &spicedb.ObjectReference{ObjectType: "user", ObjectId: name("u", q.User)}},
		})
		return answer.GetPermissionship() == spicedb.CheckPermissionResponse_PERMISSIONSHIP_HAS_PERMISSION, err
	}
}

// spicedbServices are SpiceDB with either consistency.
func spicedbServices(ctx context.Context, plan *Plan, db *postgres) (fast, fresh *service, stop func(), err error) {
	stop = func() {}
	uri, err := db.create(ctx, "spicedb")
	if err != nil {
		return nil, nil, stop, err
	}
	if err := migrateSpiceDB(ctx, plan.SpiceDB, uri); err != nil {
		return nil, nil, stop, err
	}
	s, err := startSpiceDB(ctx, plan.SpiceDB, uri, filepath.Join(plan.Dir, "spicedb.log"))
	if err != nil {
		return nil, nil, stop, err
	}
	stop = s.stop
	note("SpiceDB: loading")
	began := time.Now()
	if err := s.fill(ctx, &plan.Directory); err != nil {
		return nil, nil, stop, err
	}
	took := time.Since(began)
	note("SpiceDB: loaded in %.1f s", took.Seconds())
	if err := db.settle(ctx, "spicedb"); err != nil {
		return nil, nil, stop, err
	}
	select {
	case <-time.After(spicedbWait):
	case <-ctx.Done():
		return nil, nil, stop, ctx.Err()
	}
	pids := []int{s.process.cmd.Process.Pid, db.pid()}
	fast = newService("spicedb", "minimize_latency, the default, so that answers may be 5 s old, Postgres 15", s.check(minimizeLatency), pids)
	fast.result.Load = took.Seconds()
	fresh = newService("spicedb_consistent", "fully_consistent, Postgres 15", s.check(fullyConsistent), pids)
	return fast, fresh, stop, nil
}
