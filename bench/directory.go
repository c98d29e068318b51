package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/authfi/authfi/bench/dataset"
	"github.com/authfi/authfi/dev"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
)

// Sizes of the directory benchmark.
const (
	directoryRuns = 5
	checks        = 1_000_000 // per run, in process
	lists         = 20_000    // per run, in process
	reads         = 1_000     // per run, over HTTPS
	pageSize      = 50
)

// directoryBench measures one cluster with the directory in it, compares it with
// the peers, and ends with a node of a million users.
func directoryBench(ctx context.Context, b *bench) error {
	peers, err := preparePeers(ctx)
	if err != nil {
		return err
	}
	d := dataset.New(b.people)
	if err := inProcess(b.report, d); err != nil {
		return err
	}
	if err := importByCommand(ctx, b, d); err != nil {
		return err
	}
	if err := directoryCluster(ctx, b, d, peers); err != nil {
		return err
	}
	return scale(ctx, b)
}

// directoryCluster needs no kernel: nothing in it is protected.
func directoryCluster(ctx context.Context, b *bench, d *dataset.Directory, peers *peerPrograms) (err error) {
	c, err := b.start(ctx, "gate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	in, err := importAll(ctx, b.report, c, d)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := floor(ctx, b.report, c); err != nil {
		return err
	}
	if err := listSources(ctx, b.report, c, in); err != nil {
		return err
	}
	if err := userPages(ctx, b.report, c, in); err != nil {
		return err
	}
	if err := memory(b.report, c, in); err != nil {
		return err
	}
	if err := compareChecks(ctx, b, c, d, in, peers); err != nil {
		return err
	}
	return freshness(ctx, b.report, c, in)
}

func numbered[ID ~[16]byte](i int32) (id ID) {
	binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
	return id
}

func numberedAll[ID ~[16]byte](numbers []int32) (ids []ID) {
	for _, number := range numbers {
		ids = append(ids, numbered[ID](number))
	}
	return ids
}

// indexRows is the directory as the index takes it.
func indexRows(d *dataset.Directory) (rows effective.Rows) {
	for i, permissions := range d.RolePermissions {
		row := effective.RoleRow{ID: numbered[directory.RoleID](int32(i))}
		for _, permission := range permissions {
			row.Permissions = append(row.Permissions, directory.Permission(dataset.Permission(permission)))
		}
		rows.Roles = append(rows.Roles, row)
	}
	for i, roles := range d.GroupRoles {
		rows.Groups = append(rows.Groups, effective.GroupRow{ID: numbered[directory.GroupID](int32(i)), Roles: numberedAll[directory.RoleID](roles)})
	}
	for i, groups := range d.UserGroups {
		rows.Users = append(rows.Users, effective.UserRow{
			ID: numbered[directory.UserID](int32(i)), Active: true,
			Groups: numberedAll[directory.GroupID](groups), Roles: numberedAll[directory.RoleID](d.UserRole[i : i+1]),
		})
	}
	return rows
}

type question struct {
	user       directory.UserID
	permission directory.Permission
	allowed    bool
}

func inProcess(r *report, d *dataset.Directory) error {
	index, err := effective.Build(indexRows(d))
	if err != nil {
		return err
	}
	var questions []question // of all users, so that the rows are not in the caches
	for _, q := range d.Questions(1<<17, 7) {
		questions = append(questions, question{numbered[directory.UserID](q.User), directory.Permission(dataset.Permission(q.Permission)), q.Allowed})
	}
	var check, allocations, list []float64
	for range directoryRuns {
		ns, n, err := checkTime(index, questions)
		if err != nil {
			return err
		}
		check, allocations = append(check, ns), append(allocations, n)
		list = append(list, listTime(index, questions))
	}
	shape := fmt.Sprintf("In process, on an index of %d users in %d groups each, random users, half of the answers yes", len(d.UserGroups), dataset.GroupsPerUser)
	r.add("check_ns_in_process", "ns", fmt.Sprintf("%s and permissions: mean of %d checks a run.", shape, checks), check)
	r.add("check_allocations", "1/check", fmt.Sprintf("%s and permissions: heap allocations of the whole process during a run over its %d checks.", shape, checks), allocations)
	r.add("list_sources_in_process_p50_us", "us", fmt.Sprintf("%s: p50 of %d lists of a user's permissions with every source.", shape, lists), list)
	return nil
}

func checkTime(index *effective.Index, questions []question) (ns, allocations float64, err error) {
	var before, after runtime.MemStats
	wrong := 0
	runtime.ReadMemStats(&before)
	began := time.Now()
	for i := range checks {
		q := &questions[i%len(questions)]
		if index.Has(q.user, q.permission) != q.allowed {
			wrong++
		}
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if wrong > 0 {
		err = fmt.Errorf("%d of %d answers in process are wrong", wrong, checks)
	}
	return float64(took.Nanoseconds()) / checks, float64(after.Mallocs-before.Mallocs) / checks, err
}

func listTime(index *effective.Index, questions []question) float64 {
	took := make([]float64, lists)
	for i := range took {
		began := time.Now()
		runtime.KeepAlive(index.List(questions[i].user))
		took[i] = micros(time.Since(began))
	}
	return quantile(took, 0.5)
}

// importAll is timed once a benchmark: it takes minutes, not moments.
func importAll(ctx context.Context, r *report, c *cluster, d *dataset.Directory) (*imported, error) {
	in, err := importDirectory(ctx, c.operator(), d)
	if err != nil {
		return nil, err
	}
	how := fmt.Sprintf("%d users, %d groups with %d roles each and %d memberships, over HTTPS in bulk requests of %d changes, %d at once, to the three nodes in turn, nodes and client on the same CPUs; one run only.",
		len(in.users), len(in.groups), dataset.RolesPerGroup, len(in.users)*dataset.GroupsPerUser, bulkBatch, bulkWriters)
	t := in.took
	r.add("load_100k_s", "s", how, []float64{(t.users + t.groups + t.members).Seconds()})
	r.add("load_100k_users_s", "s", "The part of load_100k_s that creates the users.", []float64{t.users.Seconds()})
	r.add("load_100k_members_s", "s", "The part of load_100k_s that adds the memberships.", []float64{t.members.Seconds()})
	r.add("load_100k_user_roles_s", "s", "Beyond load_100k_s: a role of their own for each user.", []float64{t.userRoles.Seconds()})
	return in, nil
}

// floor is what any answer over HTTPS costs on this machine.
func floor(ctx context.Context, r *report, c *cluster) (err error) {
	nodes, err := c.leanEach(ctx)
	defer func() { err = errors.Join(err, closeAll(nodes)) }()
	if err != nil {
		return err
	}
	var runs []float64
	for range directoryRuns {
		took := make([]float64, reads)
		for i := range took {
			began := time.Now()
			if _, err := nodes[i%len(nodes)].get("/healthz"); err != nil {
				return err
			}
			took[i] = micros(time.Since(began))
		}
		runs = append(runs, quantile(took, 0.5))
	}
	r.add("https_floor_p50_us", "us", fmt.Sprintf("p50 of %d GET /healthz a run, over HTTPS and one connection to each node in turn: what every list below pays before it does anything.", reads), runs)
	return nil
}

func listSources(ctx context.Context, r *report, c *cluster, in *imported) (err error) {
	nodes, err := c.leanEach(ctx)
	defer func() { err = errors.Join(err, closeAll(nodes)) }()
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(11, 11))
	var runs, sizes []float64
	for range directoryRuns {
		var took []float64
		for i := range reads {
			path := "/api/v1/users/" + in.users[random.IntN(len(in.users))] + "/permissions"
			began := time.Now()
			answer, err := nodes[i%len(nodes)].get(path)
			if err != nil {
				return err
			}
			took, sizes = append(took, micros(time.Since(began))), append(sizes, float64(len(answer)))
			if !bytes.Contains(answer, []byte(`"via":"group-`)) {
				return fmt.Errorf("%s has no permissions", path)
			}
		}
		runs = append(runs, quantile(took, 0.5))
	}
	r.add("list_sources_p50_us", "us", fmt.Sprintf("p50 of %d GET /users/{id}/permissions a run, of random users of the imported %d, each with every source (median answer %.0f bytes of JSON), over HTTPS and one connection to each node in turn.", reads, len(in.users), quantile(sizes, 0.5)), runs)
	return nil
}

func userPages(ctx context.Context, r *report, c *cluster, in *imported) error {
	operator := c.operator()
	var runs []float64
	cursor := ""
	for range directoryRuns {
		var took []float64
		for range reads {
			var answer struct {
				Users  []object
				Total  int
				Cursor string
			}
			path := fmt.Sprintf("/api/v1/users?org_id=%s&limit=%d&cursor=%s", in.org, pageSize, url.QueryEscape(cursor))
			began := time.Now()
			if err := operator.do(ctx, http.MethodGet, path, nil, &answer); err != nil {
				return err
			}
			took = append(took, millis(time.Since(began)))
			if answer.Total < len(in.users) || len(answer.Users) == 0 {
				return fmt.Errorf("a page has %d users of %d", len(answer.Users), answer.Total)
			}
			cursor = answer.Cursor
		}
		runs = append(runs, quantile(took, 0.99))
	}
	r.add("users_page_p99_ms_100k", "ms", fmt.Sprintf("p99 of %d GET /users pages of %d a run, following the cursor through %d users, over HTTPS and one connection to each node in turn.", reads, pageSize, len(in.users)), runs)
	return nil
}

func memory(r *report, c *cluster, in *imported) error {
	var nodes []float64
	for i := range dev.Nodes {
		mib, err := residentMiB(c.PID(i), "VmHWM")
		if err != nil {
			return fmt.Errorf("node-%d: %w", i+1, err)
		}
		nodes = append(nodes, mib)
	}
	how := fmt.Sprintf("The largest high-water mark of resident memory (VmHWM) of the three nodes after importing %d users in %d groups each and with a role of their own, and the reads; the runs are the nodes.", len(in.users), dataset.GroupsPerUser)
	r.put("rss_mib_100k", "MiB", how, max(nodes[0], nodes[1], nodes[2]), nodes)
	return nil
}

// residentMiB reads a line of what the kernel says of a process: VmRSS for now,
// VmHWM for the most that there was.
func residentMiB(pid int, line string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("the kernel reports no %s", line)
	}
	kib, err := strconv.Atoi(string(found[1]))
	return float64(kib) / 1024, err
}
