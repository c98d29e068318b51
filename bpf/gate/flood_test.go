package gate_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/authfi/authfi/bpf/gate"
	frames "golang.org/x/net/http2"
)

// flood sends until the gate ends the connection, and says how often it could.
func (r *framer) flood(max int, send func(i int) error) int {
	r.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.ends()
	}()
	sent := 0
	for sent < max && send(sent) == nil {
		sent++
	}
	<-ended
	return sent
}

// A client that costs work without end is cut off, and others are served.
func TestFloodsEndTheConnection(t *testing.T) {
	huge := bytes.Repeat([]byte{'x'}, 16<<10)
	for why, c := range map[string]struct {
		max  int // more than the gate may take
		send func(*framer, int) error
	}{
		"settings": {1 << 20, func(r *framer, _ int) error { return r.frames.WriteSettings() }},
		"pings":    {1 << 20, func(r *framer, _ int) error { return r.frames.WritePing(false, [8]byte{}) }},
		"priorities": {1 << 20, func(r *framer, i int) error {
			return r.frames.WritePriority(uint32(2*i+1), frames.PriorityParam{StreamDep: 0})
		}},
		"unknown": {1 << 20, func(r *framer, _ int) error { return r.frames.WriteRawFrame(0x55, 0, 0, nil) }},
		"continuation": {1 << 12, func(r *framer, i int) error {
			if i == 0 {
				return r.frames.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(asking(nil))})
			}
			return r.frames.WriteContinuation(1, false, huge)
		}},
		"empty continuation": {1 << 20, func(r *framer, i int) error {
			if i == 0 {
				return r.frames.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: r.encode(asking(nil))})
			}
			return r.frames.WriteContinuation(1, false, nil)
		}},
		"empty data": {1 << 20, func(r *framer, i int) error {
			if i == 0 {
				return r.headers(1, false, asking(map[string]string{":method": "POST", "authorization": ""}))
			}
			return r.frames.WriteData(1, false, nil)
		}},
	} {
		f := startWith(t, gate.Settings{H2C: true}, nil)
		r := f.framer()
		if sent := r.flood(c.max, func(i int) error { return c.send(r, i) }); sent == c.max {
			t.Errorf("%s: all of %d were taken", why, sent)
		}
		other := f.framer()
		other.headers(1, true, asking(nil))
		if status := other.status(1); status != "200" {
			t.Errorf("%s: another client: %s", why, status)
		}
		f.reached(1)
		f.stop()
	}
}

// Rapid reset: streams that are opened and reset at once never make the service
// do more at a time than the limit of streams, and not without end.
func TestRapidResetIsBounded(t *testing.T) {
	var now, most atomic.Int64
	f := startWith(t, gate.Settings{H2C: true, Limits: gate.Limits{Streams: 10}}, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-r.Context().Done()
	})
	r := f.framer()
	const max = 1 << 18
	sent := r.flood(max, func(i int) error {
		stream := uint32(2*i + 1)
		if err := r.headers(stream, true, asking(nil)); err != nil {
			return err
		}
		return r.frames.WriteRSTStream(stream, frames.ErrCodeCancel)
	})
	t.Logf("%d streams, %d reached the service, at most %d at a time", sent, f.served.Load(), most.Load())
	if sent == max || most.Load() > 20 { // the service hears of an end a moment later
		t.Errorf("%d streams were taken, %d at a time", sent, most.Load())
	}
}

// A block that is small on the wire and large when it is unpacked.
func TestHeaderBombIsRefused(t *testing.T) {
	f := startWith(t, gate.Settings{H2C: true}, nil)
	r := f.framer()
	fields := asking(nil)
	for range 2000 {
		fields = append(fields, "x-bomb: "+strings.Repeat("b", 3000))
	}
	block := r.encode(fields)
	if len(block) > 16<<10 {
		t.Fatalf("no bomb: %d bytes", len(block))
	}
	r.frames.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true, EndHeaders: true})
	if status := r.status(1); status != "431" && status != "ended" && status != "reset" {
		t.Error(status)
	}
	many := f.framer()
	fields = asking(nil)
	for range 128 { // with the token one more than the limit
		fields = append(fields, "x-a: b")
	}
	many.headers(1, true, fields)
	if status := many.status(1); status != "431" {
		t.Errorf("129 fields: %s", status)
	}
	f.reached(0)
	many.headers(3, true, fields[:len(fields)-1])
	if status := many.status(3); status != "200" {
		t.Errorf("128 fields: %s", status)
	}
}

func TestStreamsOfAConnectionAreLimited(t *testing.T) {
	release := make(chan struct{})
	f := startWith(t, gate.Settings{H2C: true, Limits: gate.Limits{Streams: 3}}, func(w http.ResponseWriter, r *http.Request) { <-release })
	r := f.framer()
	for i := range 4 {
		r.headers(uint32(2*i+1), true, asking(nil))
	}
	if status := r.status(7); status != "reset" {
		t.Errorf("the fourth stream: %s", status)
	}
	close(release)
	if status := r.status(1); status != "200" {
		t.Errorf("the first: %s", status)
	}
}

// A client that takes nothing cannot keep a stream that was cut.
func TestStreamIsCutThoughTheClientTakesNothing(t *testing.T) {
	f := startHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	r := f.framer()
	r.headers(1, true, asking(nil))
	if status := r.status(1); status != "200" {
		t.Fatal(status)
	}
	received := 0
	for received < 65535 { // the window that nobody extends
		frame, err := r.frames.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := frame.(*frames.DataFrame); ok {
			received += len(data.Data())
		}
	}
	f.revoked.Store(true)
	f.gate.Review(subject)
	if status := r.status(1); status != "reset" {
		t.Error(status)
	}
}
