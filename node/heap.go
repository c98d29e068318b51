package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much the collector may leave lying. By default garbage takes as much memory
// as what lives, which is right for a small directory; a million users live in a
// gigabyte, and a node should not need another for what is already dead. The price
// is that the collector runs more often, and it is only paid by large directories.
const (
	garbageMax     = 512 << 20
	gcPercentMax   = 100 // the default
	gcPercentMin   = 25  // below, the collector would be busy all the time
	heapWatchEvery = time.Second
)

const liveHeapMetric = "/gc/heap/live:bytes"

// watchHeap keeps the collector's target as the heap grows, until the context ends.
func watchHeap(ctx context.Context) {
	sample := []metrics.Sample{{Name: liveHeapMetric}}
	percent := gcPercentMax
	ticker := time.NewTicker(heapWatchEvery)
	defer ticker.Stop()
	for {
		metrics.Read(sample)
		if wanted := gcPercent(sample[0].Value.Uint64()); wanted != percent {
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
func gcPercent(live uint64) int {
	const step = 5
	if live <= garbageMax {
		return gcPercentMax
	}
	return max(gcPercentMin, int(garbageMax*100/live)/step*step)
}
