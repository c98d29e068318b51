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
	"multipath_dropped",
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

// Sizes of the kernel's histogram, as in src/maps.h.
const (
	histogramParts = 32 // of an octave
	histogramMax   = 28 * histogramParts
)

// Histogram is how long verdicts took, per segment, since the programs were
// loaded. It is empty unless the gate measures.
type Histogram struct {
	Count uint64
	SumNs uint64
	// Octaves are the segments that took up to a power of two of nanoseconds, and
	// more than the power before: what a Prometheus histogram adds up. Those of
	// the last may have taken longer.
	Octaves []Octave
	buckets [histogramMax]uint64
}

// Octave is a coarse bucket of a Histogram.
type Octave struct {
	UpToNs uint64
	Count  uint64
}

// Histogram reads what the kernel has measured.
func (e *Enforcer) Histogram() (h Histogram, err error) {
	if h.SumNs, err = total(e.objects.Histogram, histogramMax); err != nil {
		return h, err
	}
	for i := range h.buckets {
		n, err := total(e.objects.Histogram, uint32(i))
		if err != nil {
			return h, err
		}
		h.buckets[i] = n
		h.Count += n
		// The upper end of a bucket is in its octave; the first octave holds all
		// buckets of one nanosecond.
		if i%histogramParts == 0 {
			h.Octaves = append(h.Octaves, Octave{UpToNs: bucketEnd(i + histogramParts - 1)})
		}
		h.Octaves[len(h.Octaves)-1].Count += n
	}
	return h, nil
}

// bucketEnd is the first nanosecond above a bucket.
func bucketEnd(i int) uint64 {
	if i < histogramParts {
		return uint64(i) + 1
	}
	octave := i/histogramParts - 1
	return uint64(histogramParts+i%histogramParts+1) << octave
}

// Quantile is the time within which the share q (0 to 1) of the segments was
// decided, to 3 %; 0 when nothing was measured.
func (h Histogram) Quantile(q float64) (ns uint64) {
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && float64(seen) >= q*float64(h.Count) {
			return bucketEnd(i)
		}
	}
	return 0
}
