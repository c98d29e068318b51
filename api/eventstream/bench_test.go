package eventstream

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
)

// BenchmarkPoll is a window of tokens from the socket to a receiver that acknowledges
// the one before; one in a machine without a disk.
func BenchmarkPoll(b *testing.B) {
	w := newWorld(b)
	r := w.stream(0, nil)
	var ack []string
	tokens := 0
	for b.Loop() {
		b.StopTimer()
		w.users(0, directory.StreamWindow, directory.StreamWindow)
		body, err := json.Marshal(map[string]any{"ack": ack, "maxEvents": directory.StreamWindow})
		must(b, err)
		b.StartTimer()
		_, raw := r.ask(string(body))
		var got answer
		must(b, json.Unmarshal(raw, &got))
		ack = slices.Collect(maps.Keys(got.Sets))
		tokens += len(ack)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(tokens), "us/token")
}
