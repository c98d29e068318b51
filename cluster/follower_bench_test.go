package cluster

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkFollowerProposes is the time of one write after the other at a follower.
func BenchmarkFollowerProposes(b *testing.B) {
	nodes := trio(b)
	follower := nodes[1]
	if follower.IsLeader() {
		follower = nodes[2]
	}
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		follower.propose(b, "line")
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkFollowerProposesTogether is that of many writes at once.
func BenchmarkFollowerProposesTogether(b *testing.B) {
	nodes := trio(b)
	follower := nodes[1]
	if follower.IsLeader() {
		follower = nodes[2]
	}
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			follower.propose(b, "line")
		}
	})
}
