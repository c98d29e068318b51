package node

import (
	"runtime/metrics"
	"testing"
)

func TestGarbageIsBounded(t *testing.T) {
	for _, row := range []struct {
		live    uint64
		stagger float64
		want    int
	}{
		{0, 0, 400},
		{garbageMax / 4, 0, 400},
		{heapWanted - garbageMax, 0, 265},
		{heapWanted / 2, 0, 100},
		{heapWanted - garbageMin, 0, 55},
		{heapWanted, 0, 35},
		{1 << 30, 0, 25},
		{1 << 40, 0, 25},
		{heapWanted - garbageMax, 0.5, 220},
		{heapWanted - garbageMax, 1, 175},
		{heapWanted / 2, 1, 65},
		{1 << 40, 1, 25},
	} {
		if got := gcPercent(row.live, row.stagger); got != row.want {
			t.Errorf("%d bytes: %d percent, want %d", row.live, got, row.want)
		}
	}
}

// TestLiveHeapIsKnown: a metric that the runtime no longer has would read as
// nothing, and the bound would be gone without a sign.
func TestLiveHeapIsKnown(t *testing.T) {
	sample := []metrics.Sample{{Name: liveHeapMetric}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("%s has kind %v", liveHeapMetric, sample[0].Value.Kind())
	}
}
