package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the collector may leave lying. By default garbage takes as much memory
// as what lives. A small directory would be collected all the time: at a thousand
// requests a second that was an eighth of two CPUs. So garbage has what lives leaves
// of a heap that stays below a gigabyte with all that is beside it, which is enough
// for a hundred thousand users. A million live in more than that, and a node should
// not need another for what is already dead; the price is that the collector runs
// more often, and it is only paid by large directories.
//
// All nodes do the same work, and so would collect at the same moment; a stagger,
// another one on each node from 0 to 1, takes them apart.
const (
	heapWanted     = 704 << 20
	garbageMin     = 256 << 20
	garbageMax     = 512 << 20
	gcPercentMax   = 400
	gcPercentMin   = 25 // below, the collector would be busy all the time
	heapWatchEvery = time.Second
)

const liveHeapMetric = "/gc/heap/live:bytes"

// watchHeap keeps the collector's target as the heap grows, until the context ends.
func watchHeap(ctx context.Context, stagger float64) {
	sample := []metrics.Sample{{Name: liveHeapMetric}}
	percent := 0
	ticker := time.NewTicker(heapWatchEvery)
	defer ticker.Stop()
	for {
		metrics.Read(sample)
		if wanted := gcPercent(sample[0].Value.Uint64(), stagger); wanted != percent {
			percent = wanted
			debug.SetGCPercent(percent)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// gcPercent is the collector's target for a heap of which so many bytes live. It
// moves in steps, since to set it stops the program for a moment.
func gcPercent(live uint64, stagger float64) int {
	const step = 5
	garbage := min(max(heapWanted-min(live, heapWanted), garbageMin), garbageMax)
	garbage -= uint64(stagger * float64(garbage) / 3)
	percent := int(garbage*100/max(live, 1)) / step * step
	return min(max(percent, gcPercentMin), gcPercentMax)
}
