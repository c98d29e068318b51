package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/authfi/authfi/bench/chaos"
)

// chaosRun tries the cluster with faults and reports what it found, also when that is
// a violation: then the report says so, and the command fails.
func chaosRun(ctx context.Context, b *bench) error {
	result, err := chaos.Run(ctx, chaos.Options{
		Program: b.program, Dir: b.dir, For: b.faults.last, Seed: b.faults.seed, Only: b.faults.only, Out: os.Stdout,
	})
	if err != nil {
		if result != nil {
			err = errors.Join(err, violations(result))
		}
		return err
	}
	reportChaos(b.report, result)
	b.failed = violations(result)
	return nil
}

func violations(r *chaos.Result) (err error) {
	for _, v := range r.Violations {
		err = errors.Join(err, errors.New(v))
	}
	return err
}

func reportChaos(r *report, c *chaos.Result) {
	count := func(name, how string, value float64) { r.add(name, "count", how, []float64{value}) }
	run := fmt.Sprintf(" One run, seed %d, %d rounds, %d faults of %d kinds; links were slowed by %s.", c.Seed, c.Rounds, total(c.Faults), len(c.Faults), c.Delays)
	count("operations_checked", "Writes, reads, additions, removals, lists and checks over the public API of all nodes whose history was searched for one order that explains every answer."+run, float64(c.Operations))
	count("operations_unknown", "Of them, writes whose outcome the client was not told.", float64(c.Unknown))
	count("acknowledged_lost", "Acknowledged additions to a group that were not there after the round.", float64(c.Lost))
	count("histories_not_linearizable", "Rounds whose history no order explains.", float64(c.Illegal))
	count("digest_differences", "Rounds after which the digests of the three states at one index were not equal.", float64(c.DigestDifferences))
	count("power_cuts", "Nodes whose disk lost its power: what was not synced was dropped, all of it or some of the pages.", float64(c.PowerCuts))
	count("kills", "Nodes that were killed by kill -9.", float64(c.Kills))
	count("nodes_ended_by_themselves", "Nodes that ended because their disk failed or was full, and were started again as a service manager does.", float64(c.Deaths))
	count("faults", "Faults of every kind.", float64(total(c.Faults)))
	count("forbidden_requests", "Requests to the demo services by who may not: without a token, with a wrong signature, without the role, of a session that was ended more than the life of a lease ago.", float64(c.Forbidden))
	count("unenforced_served", "Of them, those that were served.", float64(c.Unenforced))
	count("authorised_served", "Requests by who may that were served meanwhile.", float64(c.Served))
	if len(c.HangSeconds) > 0 {
		r.add("hanging_disk_lead_lost_s", "s", "From the moment when no sync of the leader's disk returns until the others follow another.", c.HangSeconds)
	}
	if len(c.LowSeconds) > 0 {
		r.add("low_space_lead_lost_s", "s", "From the moment when the leader's disk has less than the reserve until the others follow another.", c.LowSeconds)
	}
	count("violations", "Of any kind; the command fails when there is one.", float64(len(c.Violations)))
}

func total(faults map[string]int) (n int) {
	for _, count := range faults {
		n += count
	}
	return n
}
