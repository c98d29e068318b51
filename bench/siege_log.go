package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// siegeFigures are what came of hostile runs.
type siegeFigures struct {
	Sent       int64   `json:"sent"`
	Served     int64   `json:"served"`    // as the services count
	Succeeded  int64   `json:"succeeded"` // as the answers say
	Legal      int64   `json:"legal"`
	Refused    int64   `json:"legal_refused"`
	Unanswered int64   `json:"unanswered"`
	Seconds    float64 `json:"seconds"`
}

func (f *siegeFigures) add(g siegeFigures) {
	f.Sent += g.Sent
	f.Served += g.Served
	f.Succeeded += g.Succeeded
	f.Legal += g.Legal
	f.Refused += g.Refused
	f.Unanswered += g.Unanswered
	f.Seconds += g.Seconds
}

// siegeLog keeps what has come of the hostile requests of one commit, in a file that
// is written after every chunk: ten millions take a while, and a run that was ended
// is gone on with by the next one.
type siegeLog struct {
	Commit string       `json:"commit"`
	Kernel siegeFigures `json:"kernel"`
	Gate   siegeFigures `json:"gate"`

	file               string
	kernelMax, gateMax int
}

// siegeLogName is the file, beside the reports.
const siegeLogName = "enforcement-hostile.json"

func openSiegeLog(b *bench) (*siegeLog, error) {
	l := &siegeLog{file: filepath.Join(b.out, siegeLogName), kernelMax: b.hostile, gateMax: b.hostile / gateHostileShare}
	text, err := os.ReadFile(l.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if err := json.Unmarshal(text, l); err != nil {
			return nil, fmt.Errorf("%s: %w", l.file, err)
		}
	}
	// What was measured of another program, or of one that nobody can name, is none of this one's.
	if l.Commit != b.report.Commit || strings.HasSuffix(l.Commit, dirty) {
		l.Commit, l.Kernel, l.Gate = b.report.Commit, siegeFigures{}, siegeFigures{}
	}
	return l, nil
}

// share is what one of so many runs sends of what is left.
func (l *siegeLog) share(sent siegeFigures, most, runs int) int {
	left := max(0, int64(most)-sent.Sent)
	return int((left + int64(runs) - 1) / int64(runs))
}

// keep writes what there is, and tells it.
func (l *siegeLog) keep() error {
	seconds := l.Kernel.Seconds + l.Gate.Seconds
	fmt.Printf("hostile requests: %d of %d to the kernel gate, %d of %d to the user-space gate, %.0f a second; %d served\n",
		l.Kernel.Sent, l.kernelMax, l.Gate.Sent, l.gateMax, float64(l.Kernel.Sent+l.Gate.Sent)/seconds, l.Kernel.Served+l.Gate.Served)
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(l.file), 0o755); err != nil {
		return err
	}
	fresh := l.file + ".new"
	if err := os.WriteFile(fresh, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, l.file)
}

// failure is what must not have come of them.
func (l *siegeLog) failure() error {
	served := l.Kernel.Served + l.Gate.Served
	succeeded := l.Kernel.Succeeded + l.Gate.Succeeded
	if served != 0 || succeeded != 0 {
		return fmt.Errorf("%d hostile requests were served and %d were answered with success", served, succeeded)
	}
	return nil
}

func (r *report) addSieges(gate string, f siegeFigures) {
	suffix := ""
	if gate != "kernel" {
		suffix = "_" + gate
	}
	if f.Sent == 0 {
		return
	}
	how := fmt.Sprintf("%d requests that the policy does not let through (no, foreign and cut tokens, methods, paths, encodings, pipelined, smuggled, doubled headers, 40 KB, byte by byte; a third cut in two; no forged packets) to the three services of the %s, %d legal ones between them, each over a connection of its own; %d ended without an answer", f.Sent, gate, f.Legal, f.Unanswered)
	r.add("hostile_requests"+suffix, "requests", how+".", []float64{float64(f.Sent)})
	r.add("hostile_served"+suffix, "requests", "What the services counted beyond the legal ones: "+how+".", []float64{float64(f.Served)})
	r.add("hostile_succeeded"+suffix, "requests", "Those that hid behind nothing that is open and were answered with success all the same: "+how+".", []float64{float64(f.Succeeded)})
	r.add("hostile_rate"+suffix, "1/s", "Of them a second, one machine being attacker, gates and services: "+how+".", []float64{float64(f.Sent) / f.Seconds})
	r.add("legal_refused"+suffix, "requests", "Legal ones that were not answered 200: "+how+".", []float64{float64(f.Refused)})
}
