package bpf

import (
	"testing"
	"time"
)

// A bucket ends where the next begins, and its octave at a power of two.
func TestBucketsFollowEachOther(t *testing.T) {
	last := uint64(0)
	for i := range histogramMax {
		end := bucketEnd(i)
		if end <= last || i >= 2*histogramParts && float64(end-last) > float64(end)/histogramParts {
			t.Fatalf("bucket %d is from %d to %d", i, last, end)
		}
		if i%histogramParts == histogramParts-1 && end&(end-1) != 0 {
			t.Errorf("octave of bucket %d ends at %d", i, end)
		}
		last = end
	}
	if want := uint64(4 * time.Second); last < want {
		t.Errorf("the last bucket ends at %d, %d is wanted", last, want)
	}
}

func TestHistogramCountsEverySegment(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	const requests = 200
	c := r.dial(t)
	for range requests {
		if got := exchange(t, c, get("/health", "")); got != "200 GET /health 0" {
			t.Fatal(got)
		}
	}
	h, err := r.Histogram()
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for _, o := range h.Octaves {
		sum += o.Count
	}
	if h.Count != requests || sum != requests {
		t.Errorf("%d segments, %d in octaves, want %d", h.Count, sum, requests)
	}
	half, all := h.Quantile(0.5), h.Quantile(1)
	if half == 0 || half > all || all > uint64(time.Second) {
		t.Errorf("half within %d ns, all within %d", half, all)
	}
	if mean := h.SumNs / h.Count; mean == 0 || mean > all {
		t.Errorf("mean of %d ns, the longest is %d", mean, all)
	}
}
