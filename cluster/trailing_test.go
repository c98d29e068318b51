package cluster

import (
	"log/slog"
	"testing"
)

// TestTrailing: a log that keeps no more than one message has is refused; with one entry
// more it is taken. What would become of it the simulation has shown: a follower that
// never comes back.
func TestTrailing(t *testing.T) {
	for trailing, want := range map[uint64]bool{1: false, appendEntriesMax: false, appendEntriesMax + 1: true, 0: true} {
		dir := t.TempDir()
		id, err := InitIdentity(dir, "one", nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(Config{
			NodeID: "one", Dir: dir, Listen: "127.0.0.1:0", Identity: id, Machine: new(journal), Logger: slog.New(slog.DiscardHandler),
			Trailing: trailing,
		})
		if (err == nil) != want {
			t.Errorf("%d entries: %v", trailing, err)
		}
		if err == nil {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
