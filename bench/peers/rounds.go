package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// service is one that is asked, or that cannot be.
type service struct {
	check  func(ctx context.Context, client, question int) (bool, error)
	pids   []int
	asked  atomic.Int64 // goes on through the rounds, so that a question comes again as late as it can
	result Result
}

func newService(name, setting string, check func(ctx context.Context, client, question int) (bool, error), pids []int) *service {
	return &service{check: check, pids: pids, result: Result{Name: name, Setting: setting, Rounds: []Round{}}}
}

// missing stands for a service that has no figure.
func missing(name, why string) *service {
	return &service{result: Result{Name: name, Missing: why, Rounds: []Round{}}}
}

// start starts the peers and fills them. What cannot be started is missing.
func start(ctx context.Context, plan *Plan) (services []*service, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range slices.Backward(stops) {
			s()
		}
	}
	own, err := newAuthFI(plan)
	if err != nil {
		return nil, stop, err
	}
	services = []*service{own}
	var db *postgres
	unfit := plan.Why
	if plan.Postgres != "" {
		if db, err = startPostgres(ctx, plan.Postgres, plan.Dir); err == nil {
			stops = append(stops, db.stop)
		} else {
			db, unfit = nil, "Postgres: "+err.Error()
		}
	}
	cert, err := newCertificate(plan.Dir)
	if err != nil {
		return services, stop, err
	}
	for _, peer := range []struct {
		names   []string
		program string
		start   func(context.Context, *Plan, *postgres, *certificate) ([]*service, func(), error)
	}{
		{[]string{"openfga", "openfga_cached", "openfga_grpc"}, plan.OpenFGA, openfgaServices},
		{[]string{"spicedb", "spicedb_consistent", "spicedb_grpc"}, plan.SpiceDB, spicedbServices},
	} {
		if db == nil || peer.program == "" {
			services = append(services, allMissing(peer.names, unfit)...)
			continue
		}
		found, stopPeer, err := peer.start(ctx, plan, db, cert)
		stops = append(stops, stopPeer)
		if ctx.Err() != nil {
			return services, stop, ctx.Err()
		}
		if err != nil {
			found = allMissing(peer.names, err.Error())
		}
		services = append(services, found...)
	}
	return services, stop, nil
}

func allMissing(names []string, why string) (services []*service) {
	for _, name := range names {
		services = append(services, missing(name, why))
	}
	return services
}

// compare asks every service in each round, the first of a round another each
// time, so that what else the machine does meets all of them alike.
func compare(ctx context.Context, plan *Plan, services []*service) error {
	for round := range plan.Rounds {
		for _, clients := range plan.Clients {
			for i := range services {
				s := services[(i+round)%len(services)]
				if s.check == nil || s.result.Missing != "" {
					continue
				}
				if err := s.round(ctx, plan, round, clients); err != nil {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					s.result.Missing, s.result.Rounds = err.Error(), []Round{}
				}
			}
		}
	}
	for _, s := range services {
		if s.result.Missing != "" {
			continue
		}
		var err error
		if s.result.Memory, err = memoryMiB(s.pids); err != nil {
			return err
		}
	}
	return nil
}

// round lets clients ask one after the other for the time of the plan. A wrong
// answer is worse than none, so it ends the service's part.
func (s *service) round(ctx context.Context, plan *Plan, number, clients int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from := time.Now().Add(seconds(plan.Warm))
	until := from.Add(seconds(plan.Measure))
	took := make([][]float64, clients)
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			var err error
			if took[client], err = s.ask(ctx, plan.Questions, client, from, until); err != nil {
				cancel(err)
			}
		})
	}
	cpu, err := s.cpuBetween(ctx, from, until)
	all.Wait()
	if context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	latencies := slices.Concat(took...)
	if len(latencies) == 0 {
		return fmt.Errorf("no answer in %v", until.Sub(from))
	}
	slices.Sort(latencies)
	r := Round{
		Round: number, Clients: clients, Answers: len(latencies), Rate: float64(len(latencies)) / plan.Measure,
		P50: latencies[len(latencies)/2], P99: latencies[len(latencies)*99/100],
		CPU: cpu * 1e6 / float64(len(latencies)),
	}
	s.result.Rounds = append(s.result.Rounds, r)
	note("round %d, %d clients: %s %.0f/s, p50 %.0f us, p99 %.0f us, %.0f us of CPU per answer", number+1, clients, s.result.Name, r.Rate, r.P50, r.P99, r.CPU)
	return nil
}

// ask is one client. It keeps how long the answers took that came in the time of
// measuring, in microseconds.
func (s *service) ask(ctx context.Context, questions []Question, client int, from, until time.Time) (took []float64, err error) {
	for {
		n := int(s.asked.Add(1)) % len(questions)
		q := questions[n]
		began := time.Now()
		if began.After(until) {
			return took, nil
		}
		allowed, err := s.check(ctx, client, n)
		if err != nil {
			return nil, err
		}
		if allowed != q.Allowed {
			return nil, fmt.Errorf("user %d, permission %d: the answer is %v, which is wrong", q.User, q.Permission, allowed)
		}
		if ended := time.Now(); ended.After(from) && ended.Before(until) {
			took = append(took, float64(ended.Sub(began).Nanoseconds())/1e3)
		}
	}
}

// cpuBetween is the CPU time that the service uses in the time of measuring.
func (s *service) cpuBetween(ctx context.Context, from, until time.Time) (float64, error) {
	var used [2]float64
	for i, at := range []time.Time{from, until} {
		select {
		case <-time.After(time.Until(at)):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		var err error
		if used[i], err = cpuSeconds(s.pids); err != nil {
			return 0, err
		}
	}
	return used[1] - used[0], nil
}
