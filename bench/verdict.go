package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/dev"
)

// Sizes of the verdict's own measurement: those for which its target is stated.
const (
	verdictTokens = 100_000
	verdictRoutes = 200
	verdictOrg    = 1
)

// verdictTimes fills the kernel's tables with 100,000 tokens and measures one
// connection for every size of token and policy, from the kernel's own histogram.
func (b *bench) verdictTimes(ctx context.Context) error {
	figures := map[string][]float64{}
	how := map[string]string{}
	for range b.runs {
		for _, c := range []struct {
			name           string
			bytes, routes  int
			quantile       float64
			quantileSpoken string
		}{
			{"verdict_p50_us_512", 512, verdictRoutes, 0.5, "p50"}, {"verdict_p50_us_1k", 1024, verdictRoutes, 0.5, "p50"},
			{"verdict_p50_us_2k", 2048, verdictRoutes, 0.5, "p50"}, {"verdict_p99_us_1k", 1024, verdictRoutes, 0.99, "p99"},
			{"verdict_p50_us_1k_20_routes", 1024, 20, 0.5, "p50"}, {"verdict_p50_us_1k_500_routes", 1024, 500, 0.5, "p50"},
		} {
			us, err := verdictTime(ctx, c.bytes, c.routes, c.quantile)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			figures[c.name] = append(figures[c.name], us)
			how[c.name] = fmt.Sprintf("%s of the kernel program's own histogram (buckets 3 %% wide) over %d keep-alive GETs to the demo service with a token of %d bytes, %d routes and %d tokens in the tables; the tables are filled in process.",
				c.quantileSpoken, verdicts, c.bytes, c.routes, verdictTokens)
		}
	}
	for name, runs := range figures {
		b.report.add(name, "us", how[name], runs)
	}
	return nil
}

func verdictTime(ctx context.Context, bytes, routes int, quantile float64) (us float64, err error) {
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: dev.DemoHandler(0)}
	go server.Serve(listener)
	defer server.Close()
	if err := bpf.MountPins(); err != nil {
		return 0, err
	}
	const pins = "/sys/fs/bpf/authfi-bench"
	if err := bpf.Detach(pins); err != nil { // what a killed run left
		return 0, err
	}
	gate, err := bpf.Open(bpf.Config{PinDir: pins, Measure: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, gate.Close(), bpf.Detach(pins)) }()
	token := strings.Repeat("t", bytes)
	if err := fillGate(gate, netip.MustParseAddrPort(listener.Addr().String()), token, routes); err != nil {
		return 0, err
	}
	guarded, err := dial("http://"+listener.Addr().String(), token)
	if err != nil {
		return 0, err
	}
	defer guarded.close()
	for range verdicts {
		if _, err := guarded.served(); err != nil {
			return 0, err
		}
	}
	h, err := gate.Histogram()
	return float64(h.Quantile(quantile)) / 1e3, err
}

func fillGate(gate *bpf.Enforcer, address netip.AddrPort, token string, n int) error {
	routes := []policy.Route{{Methods: []string{"GET"}, Path: "/api/patients/*", Permissions: []string{"read:patients"}}}
	for i := 1; i < n; i++ {
		routes = append(routes, policy.Route{Path: fmt.Sprintf("/api/v1/resource%d/*/items/*", i), Roles: []string{fmt.Sprint("role", i%50)}})
	}
	numbers := policy.NewNumbering(routes)
	program, err := policy.Compile(verdictOrg, routes, numbers)
	if err != nil {
		return err
	}
	user := policy.Subject{15: 1}
	rights := numbers.With(policy.Rights{}, policy.PermissionName("read:patients"))
	now := bpf.BootNow()
	err = errors.Join(gate.SetKey(1, 2), gate.PutSubject(user, policy.SubjectEntry{Org: verdictOrg, Rights: rights}))
	entry := policy.TokenEntry{ExpiresNs: now + uint64(time.Hour), Subject: user, Org: verdictOrg, Length: uint32(len(token))}
	for i := 0; err == nil && i < verdictTokens-1; i++ {
		err = gate.PutToken(policy.SipHash128(1, 2, fmt.Append(nil, "another ", i)), entry)
	}
	return errors.Join(err, gate.PutToken(policy.SipHash128(1, 2, []byte(token)), entry),
		gate.SetService(address, program), gate.ExtendLease(now+uint64(time.Hour)))
}
