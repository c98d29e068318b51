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

// tried are run by their name alone: chaos tries the product with faults, for as long
// as it is told, and questions is a part of directory.
var tried = []benchmark{{"chaos", chaosRun}, {"questions", questions}}

// Users of the directories that are measured, which the metrics' names say, and the
// hostile requests of enforcement.
const (
	people  = 100_000
	many    = 1_000_000
	hostile = 10_000_000
	runs    = 5 // of enforcement
)

type sizes struct {
	people, many, hostile, runs int
	alone                       bool // no peers are asked
}

// trialDir, below that of the reports, is for those of other sizes.
const trialDir = "trial"

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
	out     string // where reports go, and what a run that was ended leaves
	report  *report
	faults  trial
	failed  error // what was found and must not be; the report is written all the same
}

func main() {
	name := flag.String("name", "", "run this benchmark only")
	out := flag.String("out", "bench/out", "directory of the reports")
	size := sizes{}
	flag.IntVar(&size.people, "people", people, "users of most benchmarks; another number is for trying them, and the report goes to "+trialDir)
	flag.IntVar(&size.many, "many", many, "users of what is measured at scale; the same")
	var faults trial
	flag.DurationVar(&faults.last, "for", 10*time.Minute, "how long the fault runs last")
	flag.Uint64Var(&faults.seed, "seed", uint64(time.Now().UnixNano()), "of the faults; that of another run repeats its schedule")
	flag.StringVar(&faults.only, "only", "", "faults whose names contain this")
	flag.IntVar(&size.hostile, "hostile", hostile, "hostile requests of enforcement, which a further run of the same commit goes on with; the same")
	flag.IntVar(&size.runs, "runs", runs, "runs of enforcement; the same")
	flag.BoolVar(&size.alone, "alone", false, "ask no peers in questions; the same")
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
	if size != (sizes{people: people, many: many, hostile: hostile, runs: runs}) {
		out = filepath.Join(out, trialDir)
		fmt.Printf("%s: a trial, the report goes to %s\n", b.name, out)
	}
	work := &bench{program: program, dir: dir, out: out, report: report, sizes: size, faults: faults}
	if err := b.run(ctx, work); err != nil {
		return err
	}
	return errors.Join(report.write(out), work.failed)
}
