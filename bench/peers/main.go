// Command peers asks AuthFI and the authorization services that it is compared
// with the same questions in one run. It is a module of its own, so that none of
// their libraries comes near the product's.
//
// It reads a plan as JSON from its standard input and writes what it measured as
// JSON to its standard output. A service that cannot be run here is in the result
// with the reason; it gets no figure.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Plan is what to measure. The benchmark that starts this command makes it.
type Plan struct {
	Directory   Directory  `json:"directory"`
	Permissions []string   `json:"permissions"` // their names in AuthFI, by number
	Questions   []Question `json:"questions"`
	AuthFI      Cluster    `json:"authfi"`
	OpenFGA     string     `json:"openfga"`  // the program; empty: could not be built
	SpiceDB     string     `json:"spicedb"`  // the same
	Postgres    string     `json:"postgres"` // the directory of its programs; empty: not there
	Why         string     `json:"why"`      // why one of the three is empty
	Dir         string     `json:"dir"`      // scratch, for logs
	Rounds      int        `json:"rounds"`
	Clients     []int      `json:"clients"` // of each round, one after the other
	Warm        float64    `json:"warm_s"`
	Measure     float64    `json:"measure_s"`
}

// Directory is everything by number, as the package bench/dataset makes it.
type Directory struct {
	UserGroups      [][]int32 `json:"user_groups"`
	UserRole        []int32   `json:"user_role"`
	GroupRoles      [][]int32 `json:"group_roles"`
	RolePermissions [][]int32 `json:"role_permissions"`
}

// Question is one check and its answer.
type Question struct {
	User       int32 `json:"user"`
	Permission int32 `json:"permission"`
	Allowed    bool  `json:"allowed"`
}

// Cluster is AuthFI, which runs and holds the directory already.
type Cluster struct {
	Bases []string `json:"bases"`
	CA    string   `json:"ca"` // a PEM file
	Token string   `json:"token"`
	Users []string `json:"users"` // their ids, by number
	PIDs  []int    `json:"pids"`
}

// Result is what one service did.
type Result struct {
	Name    string  `json:"name"`
	Setting string  `json:"setting"` // how it was run
	Missing string  `json:"missing"` // why there is no figure; empty when there is
	Load    float64 `json:"load_s"`
	Memory  float64 `json:"memory_mib"`
	Rounds  []Round `json:"rounds"`
}

// Round is what one service did with so many clients for the time of measuring.
type Round struct {
	Round   int     `json:"round"`
	Clients int     `json:"clients"`
	Answers int     `json:"answers"`
	Rate    float64 `json:"rate"` // answers a second
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	CPU     float64 `json:"cpu_us"` // of the service and its database, per answer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	plan := &Plan{}
	if err := json.NewDecoder(os.Stdin).Decode(plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	services, stop, err := start(ctx, plan)
	defer stop()
	if err != nil {
		return err
	}
	if err := compare(ctx, plan, services); err != nil {
		return err
	}
	results := make([]Result, len(services))
	for i, s := range services {
		results[i] = s.result
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// note tells the person who waits what is going on.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "peers: "+format+"\n", args...)
}
