package policy

import (
	"strings"
	"testing"
)

// A run takes exactly the bytes that a step would take without leaving its
// state.
func TestRunTakesWhatStepsTake(t *testing.T) {
	for _, state := range []machineState{inValue, inToken} {
		for c := range 256 {
			one, many := NewMachine(), NewMachine()
			for _, m := range []*Machine{one, many} {
				m.state, m.token = state, []byte("t")
			}
			_, refusal := one.step(byte(c))
			stays := refusal == ReasonAllowed && one.state == state
			n := many.run([]byte{byte(c), byte(c)})
			if want := map[bool]int{true: 2, false: 0}[stays]; n != want {
				t.Errorf("state %d: a run takes %d of byte %#x, want %d", state, n, c, want)
			}
		}
	}
	for over := range 2 {
		m := NewMachine()
		m.state, m.headerBytes = inValue, HeaderMax-10
		if n, _, refusal := m.Feed([]byte(strings.Repeat("v", 10+over))); n != 10+over || (refusal == ReasonTooLarge) != (over == 1) {
			t.Errorf("%d bytes past the limit: %d, %v", over, n, refusal)
		}
	}
}

// BenchmarkFeed reads a request of 1.5 KB, 1,000 bytes of it token.
func BenchmarkFeed(b *testing.B) {
	routes := []Route{{Path: "/data/**"}}
	program, err := Compile(1, routes, NewNumbering(routes))
	if err != nil {
		b.Fatal(err)
	}
	request := []byte("GET /data/a HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer " + strings.Repeat("t", 1000) +
		"\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\nX-Padding: " + strings.Repeat("p", 300) + "\r\n\r\n")
	m := NewMachine()
	for b.Loop() {
		m.Begin(program, 1, 2)
		if _, complete, _ := m.Feed(request); !complete {
			b.Fatal("not complete")
		}
		m.Allow()
	}
}
