// Command bench measures the product and writes what it found as reports: one
// JSON file in the contract's shape and one page of the same per benchmark. A
// benchmark that fails writes nothing, and a figure that was not measured is not
// in the report. Everything is driven from outside, over the sockets that users
// have; only what is named "in process" calls a package.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

type benchmark struct {
	name string
	run  func(context.Context, *bench) error
}

var benchmarks = []benchmark{
	{"enforcement", enforcement},
	{"directory", directoryBench},
	{"scim", scim},
	{"cluster", clusterBench},
	{"tokens", tokens},
}

// tried are run by their name alone: they try the product with faults, for as long as
// they are told.
var tried = []benchmark{{"chaos", chaosRun}}

// Users of the directories that are measured, which the metrics' names say, and the
// hostile requests of enforcement.
const (
	people  = 100_000
	many    = 1_000_000
	hostile = 10_000_000
)

type sizes struct{ people, many, hostile int }

// trial is what the fault runs are told.
type trial struct {
	last time.Duration
	seed uint64
	only string
}

// bench is one benchmark under way.
type bench struct {
	sizes
	program string // the authfi binary that is measured
	dir     string // scratch, removed at the end
	report  *report
	faults  trial
	failed  error // what was found and must not be; the report is written all the same
}

func main() {
	name := flag.String("name", "", "run this benchmark only")
	out := flag.String("out", "bench/out", "directory of the reports")
	size := sizes{}
	flag.IntVar(&size.people, "people", people, "users of most benchmarks; another number is for trying them and writes no report")
	flag.IntVar(&size.many, "many", many, "users of what is measured at scale; the same")
	var faults trial
	flag.DurationVar(&faults.last, "for", 10*time.Minute, "how long the fault runs last")
	flag.Uint64Var(&faults.seed, "seed", uint64(time.Now().UnixNano()), "of the faults; that of another run repeats its schedule")
	flag.StringVar(&faults.only, "only", "", "faults whose names contain this")
	flag.IntVar(&size.hostile, "hostile", hostile, "hostile requests of enforcement; the same")
	rival := rivalFlags()
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if rival.kind != "" {
		fmt.Fprintln(os.Stderr, "bench:", rival.serve())
		os.Exit(1)
	}
	if err := run(ctx, *name, *out, size, faults); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, name, out string, size sizes, faults trial) error {
	chosen := benchmarks
	if name != "" {
		all := slices.Concat(benchmarks, tried)
		i := slices.IndexFunc(all, func(b benchmark) bool { return b.name == name })
		if i < 0 {
			return fmt.Errorf("there is no benchmark %q", name)
		}
		chosen = all[i : i+1]
	}
	for _, b := range chosen {
		if err := b.measure(ctx, out, size, faults); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	return nil
}

func (b benchmark) measure(ctx context.Context, out string, size sizes, faults trial) error {
	dir, err := os.MkdirTemp("", "authfi-bench-")
	if err != nil {
		return err
	}
	if err := b.measureIn(ctx, dir, out, size, faults); err != nil {
		return fmt.Errorf("%w (logs in %s)", err, dir)
	}
	return os.RemoveAll(dir)
}

// measureIn uses a directory for the program, the data and the logs.
func (b benchmark) measureIn(ctx context.Context, dir, out string, size sizes, faults trial) error {
	program := filepath.Join(dir, "authfi")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./cmd/authfi")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, said)
	}
	report, err := newReport(b.name)
	if err != nil {
		return err
	}
	work := &bench{program: program, dir: dir, report: report, sizes: size, faults: faults}
	if err := b.run(ctx, work); err != nil {
		return err
	}
	if size != (sizes{people, many, hostile}) {
		fmt.Printf("%s: no report is written of %d and %d users and %d hostile requests\n", b.name, size.people, size.many, size.hostile)
		return nil
	}
	return errors.Join(report.write(out), work.failed)
}
