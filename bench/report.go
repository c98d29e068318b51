package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is one benchmark's file, in the contract's shape.
type report struct {
	Name    string            `json:"name"`
	Commit  string            `json:"commit"`
	Time    time.Time         `json:"time"`
	Machine machine           `json:"machine"`
	Metrics map[string]metric `json:"metrics"`
	Plots   []plot            `json:"-"`
}

type machine struct {
	Kernel    string  `json:"kernel"`
	CPUs      int     `json:"cpus"`
	MemoryMiB uint64  `json:"memory_mib"`
	Load      float64 `json:"load_1m"` // when the benchmark began
}

// metric is null where nothing could be measured, and How then says why.
type metric struct {
	Value *float64 `json:"value"`
	Unit  string   `json:"unit"`
	Runs  int      `json:"runs"`
	Min   *float64 `json:"min"`
	Max   *float64 `json:"max"`
	How   string   `json:"how"`
}

func newReport(name string) (*report, error) {
	commit, err := commit()
	if err != nil {
		return nil, err
	}
	m, err := thisMachine()
	if err != nil {
		return nil, err
	}
	return &report{Name: name, Commit: commit, Time: time.Now().UTC(), Machine: m, Metrics: map[string]metric{}}, nil
}

// dirty ends the name of what was not committed.
const dirty = "-dirty"

// commit says so when what is measured is not what was committed.
func commit() (string, error) {
	head, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("git rev-parse: %w", err)
	}
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	if err != nil {
		return "", fmt.Errorf("git status: %w", err)
	}
	name := strings.TrimSpace(string(head))
	if len(changed) > 0 {
		name += dirty
	}
	return name, nil
}

func thisMachine() (machine, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return machine{}, err
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return machine{}, err
	}
	return machine{
		Kernel: unix.ByteSliceToString(name.Release[:]), CPUs: runtime.NumCPU(),
		MemoryMiB: info.Totalram * uint64(info.Unit) >> 20,
		Load:      float64(info.Loads[0]) / (1 << 16), // fixed point, 16 bits of fraction
	}, nil
}

// add records the median of runs.
func (r *report) add(name, unit, how string, runs []float64) {
	r.put(name, unit, how, quantile(runs, 0.5), runs)
}

// put records a value that was worked out of runs in another way.
func (r *report) put(name, unit, how string, value float64, runs []float64) {
	low, high := slices.Min(runs), slices.Max(runs)
	r.Metrics[name] = metric{Value: &value, Unit: unit, Runs: len(runs), Min: &low, Max: &high, How: how}
	fmt.Printf("%s %s = %.6g %s (min %.6g, max %.6g, %d runs)\n", r.Name, name, value, unit, low, high, len(runs))
}

// addOr is add, or says why there is nothing to add.
func (r *report) addOr(name, unit, how string, runs []float64, missing string) {
	if missing == "" && len(runs) > 0 {
		r.add(name, unit, how, runs)
		return
	}
	r.Metrics[name] = metric{Unit: unit, How: "Not measured: " + missing}
	fmt.Printf("%s %s is missing: %s\n", r.Name, name, missing)
}

func (r *report) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err := page.Execute(&html, r); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, r.Name)
	return errors.Join(
		os.WriteFile(file+".json", append(text, '\n'), 0o644),
		os.WriteFile(file+".html", html.Bytes(), 0o644),
	)
}

// Names are the metrics in the order of the page.
func (r *report) Names() []string { return slices.Sorted(maps.Keys(r.Metrics)) }

// digits shows a number of the page.
func digits(v *float64) string {
	if v == nil {
		return "missing"
	}
	return fmt.Sprintf("%.5g", *v)
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{"digits": digits}).Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>AuthFI benchmark: {{.Name}}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse}td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left;vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums}</style>
<h1>{{.Name}}</h1>
<p>Commit {{.Commit}}, {{.Time.Format "2006-01-02 15:04 MST"}}; Linux {{.Machine.Kernel}}, {{.Machine.CPUs}} CPUs, {{.Machine.MemoryMiB}} MiB, load {{printf "%.2f" .Machine.Load}} at the start.</p>
<table><tr><th>metric<th class="n">value<th>unit<th class="n">runs<th class="n">min<th class="n">max<th>how
{{range $name := .Names}}{{with index $.Metrics $name}}<tr><td>{{$name}}<td class="n">{{digits .Value}}<td>{{.Unit}}<td class="n">{{.Runs}}<td class="n">{{digits .Min}}<td class="n">{{digits .Max}}<td>{{.How}}
{{end}}{{end}}</table>
{{range .Plots}}<h2>{{.Title}}</h2>
{{.SVG}}
{{end}}</html>
`))

// quantile is the nearest-rank quantile; values keep their order.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
func millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
