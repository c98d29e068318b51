package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	openfga "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
)

// How OpenFGA is filled.
const (
	openfgaTuples  = 100 // a write: its limit
	openfgaWriters = 8
)

// openfgaModel is the directory in OpenFGA's words, schema 1.1.
const openfgaModel = `{
	"schema_version": "1.1",
	"type_definitions": [
		{"type": "user"},
		{"type": "group", "relations": {"member": {"this": {}}},
			"metadata": {"relations": {"member": {"directly_related_user_types": [{"type": "user"}]}}}},
		{"type": "role", "relations": {"assignee": {"this": {}}},
			"metadata": {"relations": {"assignee": {"directly_related_user_types": [{"type": "user"}, {"type": "group", "relation": "member"}]}}}},
		{"type": "permission", "relations": {"granted": {"this": {}}},
			"metadata": {"relations": {"granted": {"directly_related_user_types": [{"type": "role", "relation": "assignee"}]}}}}
	]
}`

// openfgaServer is one OpenFGA and a client of it.
type openfgaServer struct {
	process      *process
	https        string // its address
	connection   *grpc.ClientConn
	client       openfga.OpenFGAServiceClient
	store, model string
}

// openfgaCaches are all the caches that OpenFGA's own guide to production names.
// With them its answers may be ten seconds old.
var openfgaCaches = []string{
	"--check-query-cache-enabled", "--check-iterator-cache-enabled", "--cache-controller-enabled",
	"--check-cache-limit", "1000000", "--list-objects-iterator-cache-enabled",
}

// startOpenFGA serves a database that was migrated.
func startOpenFGA(ctx context.Context, program, uri, log string, cert *certificate, more ...string) (o *openfgaServer, err error) {
	o = &openfgaServer{}
	defer func() {
		if err != nil {
			o.stop()
		}
	}()
	address, err := freeAddress()
	if err != nil {
		return o, err
	}
	if o.https, err = freeAddress(); err != nil {
		return o, err
	}
	args := append([]string{
		"run", "--grpc-addr", address, "--playground-enabled=false", "--http-addr", o.https, "--http-upstream-timeout", "120s",
		"--http-tls-enabled", "--http-tls-cert", cert.certFile, "--http-tls-key", cert.keyFile,
		"--metrics-enabled=false", "--datastore-metrics-enabled=false", "--request-timeout", "120s",
		"--datastore-engine", "postgres", "--datastore-uri", uri, "--datastore-max-open-conns", "30",
	}, more...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	cmd.Env = append(os.Environ(), "OPENFGA_LOG_LEVEL=none")
	if o.process, err = spawn(log, cmd); err != nil {
		return o, err
	}
	if o.connection, err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return o, err
	}
	o.client = openfga.NewOpenFGAServiceClient(o.connection)
	return o, o.process.await(ctx, func(ctx context.Context) error {
		_, err := o.client.ListStores(ctx, &openfga.ListStoresRequest{})
		return err
	})
}

func migrateOpenFGA(ctx context.Context, program, uri string) error {
	return finish(exec.CommandContext(ctx, program, "migrate", "--datastore-engine", "postgres", "--datastore-uri", uri))
}

func (o *openfgaServer) stop() {
	if o.connection != nil {
		o.connection.Close()
	}
	if o.process != nil {
		o.process.stop(syscall.SIGTERM)
	}
}

// fill makes a store with the model and everything that the directory says.
func (o *openfgaServer) fill(ctx context.Context, d *Directory) error {
	store, err := o.client.CreateStore(ctx, &openfga.CreateStoreRequest{Name: "bench"})
	if err != nil {
		return err
	}
	o.store = store.GetId()
	var model openfga.WriteAuthorizationModelRequest
	if err := protojson.Unmarshal([]byte(openfgaModel), &model); err != nil {
		return err
	}
	model.StoreId = o.store
	written, err := o.client.WriteAuthorizationModel(ctx, &model)
	if err != nil {
		return err
	}
	o.model = written.GetAuthorizationModelId()
	relations := d.relations()
	batches := (len(relations) + openfgaTuples - 1) / openfgaTuples
	return forEach(ctx, openfgaWriters, batches, func(ctx context.Context, i int) error {
		return o.write(ctx, relations[i*openfgaTuples:min((i+1)*openfgaTuples, len(relations))])
	})
}

func (o *openfgaServer) write(ctx context.Context, relations []relation) error {
	tuples := make([]*openfga.TupleKey, len(relations))
	for i, r := range relations {
		tuples[i] = openfgaTuple(r)
	}
	_, err := o.client.Write(ctx, &openfga.WriteRequest{
		StoreId: o.store, AuthorizationModelId: o.model, Writes: &openfga.WriteRequestWrites{TupleKeys: tuples},
	})
	return err
}

func openfgaTuple(r relation) *openfga.TupleKey {
	switch r.kind {
	case member:
		return &openfga.TupleKey{User: name("user:u", r.first), Relation: "member", Object: name("group:g", r.second)}
	case userRole:
		return &openfga.TupleKey{User: name("user:u", r.first), Relation: "assignee", Object: name("role:r", r.second)}
	case groupRole:
		return &openfga.TupleKey{User: name("group:g", r.first) + "#member", Relation: "assignee", Object: name("role:r", r.second)}
	case grant:
		return &openfga.TupleKey{User: name("role:r", r.first) + "#assignee", Relation: "granted", Object: name("permission:p", r.second)}
	}
	panic(fmt.Sprintf("peers: relation of kind %d", r.kind))
}

// checkByGRPC asks as OpenFGA's own client in Go does.
func (o *openfgaServer) checkByGRPC(plan *Plan) func(ctx context.Context, _, question int) (bool, error) {
	return func(ctx context.Context, _, question int) (bool, error) {
		q := plan.Questions[question]
		answer, err := o.client.Check(ctx, &openfga.CheckRequest{
			StoreId: o.store, AuthorizationModelId: o.model,
			TupleKey: &openfga.CheckRequestTupleKey{
				User: name("user:u", q.User), Relation: "granted", Object: name("permission:p", q.Permission),
			},
		})
		return answer.GetAllowed(), err
	}
}

// clients ask over HTTPS.
func (o *openfgaServer) clients(plan *Plan, cert *certificate) (*lean, error) {
	requests, err := writtenOut(plan, o.https, "/stores/"+o.store+"/check", "", func(q Question) any {
		return map[string]any{
			"authorization_model_id": o.model,
			"tuple_key": map[string]string{
				"user": name("user:u", q.User), "relation": "granted", "object": name("permission:p", q.Permission),
			},
		}
	})
	if err != nil {
		return nil, err
	}
	return newLean(plan, cert.pem, []string{o.https}, requests, verdictOf("allowed", "true", "false"))
}

// openfgaServices are OpenFGA as it comes, with its caches, and as it comes by gRPC.
func openfgaServices(ctx context.Context, plan *Plan, db *postgres, cert *certificate) (services []*service, stop func(), err error) {
	var servers []*openfgaServer
	stop = func() {
		for _, o := range servers {
			o.stop()
		}
	}
	uri, err := db.create(ctx, "openfga")
	if err != nil {
		return nil, stop, err
	}
	if err := migrateOpenFGA(ctx, plan.OpenFGA, uri); err != nil {
		return nil, stop, err
	}
	for i, more := range [][]string{nil, openfgaCaches} {
		o, err := startOpenFGA(ctx, plan.OpenFGA, uri, filepath.Join(plan.Dir, fmt.Sprintf("openfga-%d.log", i)), cert, more...)
		if err != nil {
			return nil, stop, err
		}
		servers = append(servers, o)
	}
	note("OpenFGA: loading")
	began := time.Now()
	if err := servers[0].fill(ctx, &plan.Directory); err != nil {
		return nil, stop, err
	}
	took := time.Since(began)
	servers[1].store, servers[1].model = servers[0].store, servers[0].model
	note("OpenFGA: loaded in %.1f s", took.Seconds())
	if err := db.settle(ctx, "openfga"); err != nil {
		return nil, stop, err
	}
	for i, kind := range []struct{ name, setting string }{
		{"openfga", "default settings, Postgres 15, 30 connections"},
		{"openfga_cached", "all caches on, so that answers may be 10 s old, Postgres 15"},
	} {
		clients, err := servers[i].clients(plan, cert)
		if err != nil {
			return nil, stop, err
		}
		services = append(services, newService(kind.name, overHTTPS+kind.setting, clients.check, servers[i].pids(db)))
	}
	services[0].result.Load = took.Seconds()
	byGRPC := newService("openfga_grpc", overGRPC+"default settings, Postgres 15, 30 connections", servers[0].checkByGRPC(plan), servers[0].pids(db))
	return append(services, byGRPC), stop, nil
}

// pids are the programs that answer.
func (o *openfgaServer) pids(db *postgres) []int { return []int{o.process.cmd.Process.Pid, db.pid()} }

// overGRPC begins the setting of a peer that its own client asks.
const overGRPC = "Over gRPC without TLS, all clients on the one connection of its own library; "

// forEach calls f for 0 to n-1 from several workers and stops at the first
// failure.
func forEach(ctx context.Context, workers, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turns := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range turns {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		turns <- i
	}
	close(turns)
	all.Wait()
	return context.Cause(ctx)
}
