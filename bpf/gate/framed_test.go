package gate

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A budget is spent to its last unit and one past it, and comes back.
func TestFrameBudget(t *testing.T) {
	settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
	now := time.Unix(1, 0)
	var g frameGuard
	if !g.allows(preface, now) {
		t.Fatal("the preface is refused")
	}
	for i := range frameBudget / costReset {
		if !g.allows(settings, now) {
			t.Fatalf("refused after %d frames", i)
		}
	}
	if g.allows(settings, now) {
		t.Error("one past the budget is allowed")
	}
	if !g.allows(settings, now.Add(time.Second)) {
		t.Error("nothing came back in a second")
	}
	if g.allows(make([]byte, frameHeaderSize*frameBudget), now.Add(time.Second)) {
		t.Error("empty data frames cost nothing")
	}
}

// What a frame costs does not depend on how it arrives.
func TestFrameGuard(t *testing.T) {
	frame := func(kind, flags byte, length int) string {
		return string([]byte{byte(length >> 16), byte(length >> 8), byte(length), kind, flags, 0, 0, 0, 1}) + strings.Repeat("x", length)
	}
	cost := map[string]string{
		fmt.Sprint(costReset): frame(3, 0, 4), // RST_STREAM
		fmt.Sprint(costPing):  frame(framePing, 0, 8),
		"0":                   frame(frameData, 0, 1) + frame(frameHeaders, 4, 20) + frame(frameWindowUpdate, 0, 4) + frame(frameData, flagEndStream, 0),
	}
	for price, sent := range cost {
		for _, split := range []int{1, 5, len(sent)} {
			g := frameGuard{started: true}
			for rest := sent; len(rest) > 0; {
				n := min(split, len(rest))
				g.allows([]byte(rest[:n]), g.since)
				rest = rest[n:]
			}
			if fmt.Sprint(g.spent) != price {
				t.Errorf("%q costs %d, want %s", sent, g.spent, price)
			}
		}
	}
}
