package bpf

import (
	"github.com/authfi/authfi/bpf/policy"
	"github.com/cilium/ebpf"
)

// Stats are the kernel's own counts since the programs were loaded.
type Stats struct {
	Reasons map[policy.Reason]uint64 // verdicts by reason
	Counts  map[string]uint64        // segments, enrolments and every failed call
}

// countNames are the names of enum count in src/maps.h, in order.
var countNames = []string{
	"enrolled", "enrol_failed", "closed", "segments", "requests", "answered", "answer_failed",
	"poison_dropped", "unknown_dropped", "guard_dropped", "leaked", "load_failed",
}

// Stats reads the counters.
func (e *Enforcer) Stats() (Stats, error) {
	s := Stats{Reasons: map[policy.Reason]uint64{}, Counts: map[string]uint64{}}
	for r := policy.ReasonNoRoute; r <= policy.ReasonInternal; r++ {
		n, err := total(e.objects.Reasons, uint32(r))
		if err != nil {
			return s, err
		}
		s.Reasons[r] = n
	}
	for i, name := range countNames {
		n, err := total(e.objects.Counts, uint32(i))
		if err != nil {
			return s, err
		}
		s.Counts[name] = n
	}
	return s, nil
}

func total(m *ebpf.Map, key uint32) (sum uint64, err error) {
	var perCPU []uint64
	if err := m.Lookup(key, &perCPU); err != nil {
		return 0, err
	}
	for _, n := range perCPU {
		sum += n
	}
	return sum, nil
}

// Histogram of the time that the verdict took per segment.
const (
	histogramMax = 1024
	bucketNs     = 50
)

// Latency is the quantile q (0 to 1) of the verdict's time in nanoseconds, to
// the bucket of 50 ns; ok is false when nothing was measured.
func (e *Enforcer) Latency(q float64) (ns uint64, ok bool, err error) {
	var buckets [histogramMax]uint64
	var all uint64
	for i := range buckets {
		if buckets[i], err = total(e.objects.Histogram, uint32(i)); err != nil {
			return 0, false, err
		}
		all += buckets[i]
	}
	var seen uint64
	for i, n := range buckets {
		if seen += n; n > 0 && float64(seen) >= q*float64(all) {
			return uint64(i+1) * bucketNs, true, nil
		}
	}
	return 0, false, nil
}
