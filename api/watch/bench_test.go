package watch

import (
	"runtime"
	"testing"

	"github.com/authfi/authfi/api/access"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// BenchmarkCheck is what the constants of a stream count with: looking at a user's
// credential again.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(b)
	u := w.reader(w.orgs[0], "ines")
	who, err := w.gate.Stand(b.Context(), u.grant.AccessToken)
	must(b, err)
	for b.Loop() {
		must(b, who.Again())
		_, err := w.gate.Admit(b.Context(), who.Caller(), w.orgs[0], operation, access.Freshness{})
		must(b, err)
	}
}

// BenchmarkRows is a snapshot of 10,000 users from the socket to the reader.
func BenchmarkRows(b *testing.B) {
	const rows = 10_000
	w := newWorld(b)
	w.users(w.orgs[0], "many", rows)
	for _, d := range dialects {
		b.Run(d.name, func(b *testing.B) {
			for b.Loop() {
				f := d.follow(b, w.server, w.token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String(), Snapshot: true})
				takeUntil(b, f, typeSynced)
				f.stop()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/rows, "us/row")
		})
	}
}

// BenchmarkStreams holds many open streams and reports what one takes.
func BenchmarkStreams(b *testing.B) {
	w := newWorld(b)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		if n == streamsPerOrganization {
			continue
		}
		if n%(streamsPerCaller) == 0 {
			w.token = w.reader(w.orgs[0], string(rune('a'+n/streamsPerCaller))).grant.AccessToken
		}
		takeUntil(b, followEvents(b, http1(w.server), w.server.URL, w.token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String()}), typeHeartbeat)
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/float64(n)/1024, "KiB/stream-with-client")
}
