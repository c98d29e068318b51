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

	"github.com/authfi/authfi/dev"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
)

// Sizes of the directory benchmark.
const (
	directoryRuns   = 5
	checks          = 1_000_000 // per run, in process
	lists           = 20_000    // per run, in process
	reads           = 1_000     // per run, over HTTPS
	pageSize        = 50
	permissionCount = 2_000
	indexRoles      = 500
)

func directoryBench(ctx context.Context, b *bench) (err error) {
	if err := inProcess(b.report); err != nil {
		return err
	}
	c, err := b.start(ctx, "auto")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	users, err := importAll(ctx, b, c)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := floor(ctx, b.report, c); err != nil {
		return err
	}
	if err := listSources(ctx, b.report, c, users); err != nil {
		return err
	}
	if err := userPages(ctx, b.report, c); err != nil {
		return err
	}
	return memory(b.report, c)
}

func permissionName(i int) string { return fmt.Sprintf("read:thing-%04d", i) }

func numbered[ID ~[16]byte](i int) (id ID) {
	binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
	return id
}

// hospital is the directory of the in-process figures: 5 groups a user, 3 of
// 500 roles a group, 10 of 2,000 permissions a role.
func hospital() effective.Rows {
	random := rand.New(rand.NewPCG(42, 42))
	rows := effective.Rows{
		Roles: make([]effective.RoleRow, indexRoles), Groups: make([]effective.GroupRow, peopleGroups),
		Users: make([]effective.UserRow, people),
	}
	for i := range rows.Roles {
		rows.Roles[i].ID = numbered[directory.RoleID](i)
		for range 10 {
			p := directory.Permission(permissionName(random.IntN(permissionCount)))
			rows.Roles[i].Permissions = append(rows.Roles[i].Permissions, p)
		}
	}
	for i := range rows.Groups {
		rows.Groups[i].ID = numbered[directory.GroupID](i)
		for range rolesPerGroup {
			rows.Groups[i].Roles = append(rows.Groups[i].Roles, numbered[directory.RoleID](random.IntN(indexRoles)))
		}
	}
	for i := range rows.Users {
		rows.Users[i].ID, rows.Users[i].Active = numbered[directory.UserID](i), true
		for range groupsPerUser {
			rows.Users[i].Groups = append(rows.Users[i].Groups, numbered[directory.GroupID](random.IntN(peopleGroups)))
		}
	}
	return rows
}

type question struct {
	user       directory.UserID
	permission directory.Permission
}

func inProcess(r *report) error {
	index, err := effective.Build(hospital())
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(7, 7))
	questions := make([]question, 1<<17) // of all users, so that the rows are not in the caches
	for i := range questions {
		questions[i] = question{
			numbered[directory.UserID](random.IntN(people)),
			directory.Permission(permissionName(random.IntN(permissionCount))),
		}
	}
	var check, allocations, list []float64
	for range directoryRuns {
		ns, n := checkTime(index, questions)
		check, allocations = append(check, ns), append(allocations, n)
		list = append(list, listTime(index, questions))
	}
	shape := fmt.Sprintf("In process, on an index of %d users in %d groups each, random users", people, groupsPerUser)
	r.add("check_ns_in_process", "ns", fmt.Sprintf("%s and permissions: mean of %d checks a run.", shape, checks), check)
	r.add("check_allocations", "1/check", fmt.Sprintf("%s and permissions: heap allocations of the whole process during a run over its %d checks.", shape, checks), allocations)
	r.add("list_sources_in_process_p50_us", "us", fmt.Sprintf("%s: p50 of %d lists of a user's permissions with every source.", shape, lists), list)
	return nil
}

func checkTime(index *effective.Index, questions []question) (ns, allocations float64) {
	var before, after runtime.MemStats
	granted := 0
	defer func() { runtime.KeepAlive(granted) }() // so that the work is not dropped
	runtime.ReadMemStats(&before)
	began := time.Now()
	for i := range checks {
		q := &questions[i%len(questions)]
		if index.Has(q.user, q.permission) {
			granted++
		}
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	return float64(took.Nanoseconds()) / checks, float64(after.Mallocs-before.Mallocs) / checks
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

// floor is what any answer over HTTPS costs on this machine.
func floor(ctx context.Context, r *report, c *cluster) error {
	operator := c.operator()
	var runs []float64
	for range directoryRuns {
		took := make([]float64, reads)
		for i := range took {
			began := time.Now()
			if err := operator.do(ctx, http.MethodGet, "/healthz", nil, nil); err != nil {
				return err
			}
			took[i] = micros(time.Since(began))
		}
		runs = append(runs, quantile(took, 0.5))
	}
	r.add("https_floor_p50_us", "us", fmt.Sprintf("p50 of %d GET /healthz a run, over HTTPS and one connection to each node in turn: what every read below pays before it does anything.", reads), runs)
	return nil
}

func listSources(ctx context.Context, r *report, c *cluster, users []string) error {
	operator := c.operator()
	random := rand.New(rand.NewPCG(11, 11))
	var runs, sizes []float64
	for range directoryRuns {
		var took []float64
		for range reads {
			var answer []byte
			path := "/api/v1/users/" + users[random.IntN(len(users))] + "/permissions"
			began := time.Now()
			if err := operator.do(ctx, http.MethodGet, path, nil, &answer); err != nil {
				return err
			}
			took, sizes = append(took, micros(time.Since(began))), append(sizes, float64(len(answer)))
			if !bytes.Contains(answer, []byte(`"via":"group-`)) {
				return fmt.Errorf("%s has no permissions", path)
			}
		}
		runs = append(runs, quantile(took, 0.5))
	}
	r.add("list_sources_p50_us", "us", fmt.Sprintf("p50 of %d GET /users/{id}/permissions a run, of random users of the imported %d, each with every source (median answer %.0f bytes of JSON), over HTTPS and one connection to each node in turn.", reads, people, quantile(sizes, 0.5)), runs)
	return nil
}

func userPages(ctx context.Context, r *report, c *cluster) error {
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
			path := fmt.Sprintf("/api/v1/users?org_id=%s&limit=%d&cursor=%s", c.org, pageSize, url.QueryEscape(cursor))
			began := time.Now()
			if err := operator.do(ctx, http.MethodGet, path, nil, &answer); err != nil {
				return err
			}
			took = append(took, millis(time.Since(began)))
			if answer.Total < people || len(answer.Users) == 0 {
				return fmt.Errorf("a page has %d users of %d", len(answer.Users), answer.Total)
			}
			cursor = answer.Cursor
		}
		runs = append(runs, quantile(took, 0.99))
	}
	r.add("users_page_p99_ms_100k", "ms", fmt.Sprintf("p99 of %d GET /users pages of %d a run, following the cursor through %d users, over HTTPS and one connection to each node in turn.", reads, pageSize, people), runs)
	return nil
}

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

func memory(r *report, c *cluster) error {
	var nodes []float64
	for i := range dev.Nodes {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID(i)))
		if err != nil {
			return err
		}
		found := highWater.FindSubmatch(status)
		if found == nil {
			return fmt.Errorf("node-%d reports no resident memory", i+1)
		}
		kib, err := strconv.Atoi(string(found[1]))
		if err != nil {
			return err
		}
		nodes = append(nodes, float64(kib)/1024)
	}
	how := fmt.Sprintf("The largest high-water mark of resident memory (VmHWM) of the three nodes after importing %d users in %d groups each and the reads; the runs are the nodes.", people, groupsPerUser)
	r.put("rss_mib_100k", "MiB", how, max(nodes[0], nodes[1], nodes[2]), nodes)
	return nil
}
