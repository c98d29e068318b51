package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/authfi/authfi/bench/dataset"
	"github.com/authfi/authfi/dev"
)

// Sizes of the comparison with the peers.
const (
	compareRounds    = 5
	compareQuestions = 32_768 // distinct, half of them with the answer yes
	compareWarm      = time.Second
	compareMeasure   = 4 * time.Second
	// driverGrace is what the driver gets to stop the peers when the benchmark ends
	// early.
	driverGrace = time.Minute
)

var compareClients = []int{16, 64}

// comparisonPlan is what the driver in bench/peers reads.
type comparisonPlan struct {
	Directory   *dataset.Directory `json:"directory"`
	Permissions []string           `json:"permissions"`
	Questions   []dataset.Question `json:"questions"`
	AuthFI      comparedCluster    `json:"authfi"`
	OpenFGA     string             `json:"openfga"`
	SpiceDB     string             `json:"spicedb"`
	Postgres    string             `json:"postgres"`
	Why         string             `json:"why"`
	Dir         string             `json:"dir"`
	Rounds      int                `json:"rounds"`
	Clients     []int              `json:"clients"`
	Warm        float64            `json:"warm_s"`
	Measure     float64            `json:"measure_s"`
}

type comparedCluster struct {
	Bases []string `json:"bases"`
	CA    string   `json:"ca"`
	Token string   `json:"token"`
	Users []string `json:"users"`
	PIDs  []int    `json:"pids"`
}

// compared is what the driver writes of one service.
type compared struct {
	Name    string          `json:"name"`
	Setting string          `json:"setting"`
	Missing string          `json:"missing"`
	Load    float64         `json:"load_s"`
	Memory  float64         `json:"memory_mib"`
	Rounds  []comparedRound `json:"rounds"`
}

type comparedRound struct {
	Round   int     `json:"round"`
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	CPU     float64 `json:"cpu_us"`
}

// compareChecks asks the cluster and the peers the same questions.
func compareChecks(ctx context.Context, b *bench, c *cluster, d *dataset.Directory, in *imported, peers *peerPrograms) error {
	plan := &comparisonPlan{
		Directory: d, Questions: d.Questions(compareQuestions, 7),
		AuthFI:  comparedCluster{CA: c.CA(), Token: c.OperatorToken(), Users: in.users},
		OpenFGA: peers.openfga, SpiceDB: peers.spicedb, Postgres: peers.postgres, Why: peers.why,
		Dir: b.dir, Rounds: compareRounds, Clients: compareClients,
		Warm: compareWarm.Seconds(), Measure: compareMeasure.Seconds(),
	}
	for permission := range int32(dataset.Permissions) {
		plan.Permissions = append(plan.Permissions, dataset.Permission(permission))
	}
	for i := range dev.Nodes {
		plan.AuthFI.Bases = append(plan.AuthFI.Bases, c.API(i))
		plan.AuthFI.PIDs = append(plan.AuthFI.PIDs, c.PID(i))
	}
	services, err := drive(ctx, peers.driver, plan)
	if err != nil {
		return err
	}
	reportComparison(b.report, d, services, peers.versions)
	return nil
}

// drive runs the driver to its end.
func drive(ctx context.Context, driver string, plan *comparisonPlan) (services []compared, err error) {
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, driver)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = driverGrace
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	if err := json.Unmarshal(out, &services); err != nil || len(services) == 0 || services[0].Name != "authfi" {
		return nil, fmt.Errorf("peers: the driver's result cannot be read: %w", err)
	}
	if services[0].Missing != "" {
		return nil, fmt.Errorf("peers: AuthFI: %s", services[0].Missing)
	}
	return services, nil
}

// reportComparison gives every figure of every service, and of each pair of rates
// in the same round the ratio.
func reportComparison(r *report, d *dataset.Directory, services []compared, versions map[string]string) {
	own := &services[0]
	const driver = "Clients and services share the CPUs, so every service asked over HTTPS has the same client, which writes its requests out beforehand and looks at status, length and verdict only."
	for i := range services {
		s := &services[i]
		base, _, _ := strings.Cut(s.Name, "_")
		name := strings.TrimSpace(base + " " + versions[base])
		for _, clients := range compareClients {
			suffix := fmt.Sprintf("%s_c%d", s.Name, clients)
			how := fmt.Sprintf("%s, %d clients in closed loops on the CPUs of the services, %d distinct questions about %d users, half yes, half no, every answer checked; a round is %v after %v of warming up and the services take turns in each round. %s. %s",
				name, clients, compareQuestions, len(d.UserGroups), compareMeasure, compareWarm, s.Setting, driver)
			for _, figure := range []struct {
				name, unit string
				of         func(comparedRound) float64
			}{
				{"check_rate_", "1/s", func(c comparedRound) float64 { return c.Rate }},
				{"check_p50_us_", "us", func(c comparedRound) float64 { return c.P50 }},
				{"check_p99_us_", "us", func(c comparedRound) float64 { return c.P99 }},
				{"check_cpu_us_", "us", func(c comparedRound) float64 { return c.CPU }},
			} {
				r.addOr(figure.name+suffix, figure.unit, how, s.values(clients, figure.of), s.Missing)
			}
			if s != own {
				how := fmt.Sprintf("check_rate_authfi_c%d over check_rate_%s of the same round.", clients, suffix)
				r.addOr("check_rate_vs_"+suffix, "times", how, ratios(own, s, clients), s.Missing)
			}
		}
		r.addOr("memory_mib_"+s.Name, "MiB", "PSS of "+name+" and of its database, which the peers share, after the last round; of AuthFI the three nodes.", []float64{s.Memory}, s.Missing)
		if s.Load > 0 {
			r.add("load_s_"+s.Name, "s", "Loading the same directory into "+name+"; one run.", []float64{s.Load})
		}
	}
}

func (s *compared) values(clients int, of func(comparedRound) float64) (values []float64) {
	for _, round := range s.Rounds {
		if round.Clients == clients {
			values = append(values, of(round))
		}
	}
	return values
}

func ratios(a, b *compared, clients int) (values []float64) {
	rate := func(r comparedRound) float64 { return r.Rate }
	over := b.values(clients, rate)
	for i, value := range a.values(clients, rate) {
		if i < len(over) {
			values = append(values, value/over[i])
		}
	}
	return values
}
