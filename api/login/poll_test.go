package login

import (
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

// TestPolls: how long a device must wait.
func TestPolls(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	until := start.Add(directory.DeviceLife)
	at := start
	var p polls
	ask := func(key byte) bool { return p.early(pollKey{key: [16]byte{key}}, until, at) }
	for _, row := range []struct {
		what  string
		after time.Duration
		early bool
	}{
		{"the first time", 0, false},
		{"after five seconds", 5 * time.Second, false},
		{"a second early", 4 * time.Second, false},
		{"more than a second early", 4*time.Second - time.Millisecond, true},
		{"now it is ten", 9*time.Second - time.Millisecond, true},
		{"now it is fifteen", 14 * time.Second, false},
		{"and stays fifteen", 14*time.Second - time.Millisecond, true},
		{"now it is twenty", 20 * time.Second, false},
	} {
		at = at.Add(row.after)
		if got := ask(1); got != row.early {
			t.Errorf("%s: early: %v", row.what, got)
		}
	}
	if ask(2) {
		t.Error("another device pays for the first")
	}
	if p.early(pollKey{org: directory.OrgID{1}, key: [16]byte{1}}, until, at) {
		t.Error("one of another organization pays for the first")
	}
	if p.over(pollKey{key: [16]byte{1}}); ask(1) {
		t.Error("one that was decided on is remembered")
	}
}

// TestPollsAreBounded: at the limit those that are over go first.
func TestPollsAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var p polls
	ask := func(i int, until time.Time) bool {
		return p.early(pollKey{key: [16]byte{byte(i), byte(i >> 8), byte(i >> 16)}}, until, now)
	}
	for i := range pollsMax {
		until := now.Add(time.Minute)
		if i == 7 {
			until = now
		}
		ask(i, until)
	}
	if ask(pollsMax, now.Add(time.Minute)); len(p.known) != pollsMax {
		t.Errorf("%d are remembered", len(p.known))
	}
	if !ask(8, now.Add(time.Minute)) {
		t.Error("one that still waits was forgotten for one that was over")
	}
	if ask(pollsMax+1, now.Add(time.Minute)); len(p.known) != pollsMax {
		t.Errorf("%d are remembered when none is over", len(p.known))
	}
}
