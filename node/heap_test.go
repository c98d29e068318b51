package node

import (
	"runtime/metrics"
	"testing"
)

func TestGarbageIsBounded(t *testing.T) {
	for _, row := range []struct {
		live uint64
		want int
	}{
		{0, 100},
		{garbageMax, 100},
		{garbageMax + 1, 95},
		{1 << 30, 50},
		{4 * garbageMax, 25},
		{1 << 40, 25},
	} {
		if got := gcPercent(row.live); got != row.want {
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
