package access

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

// TestIDsSortByCreation also within one millisecond, and hold their time.
func TestIDsSortByCreation(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	var before directory.UserID
	for i := range 100_000 {
		if i%1000 == 0 {
			now = now.Add(time.Millisecond)
		}
		id := NewID[directory.UserID](now)
		if bytes.Compare(before[:], id[:]) >= 0 {
			t.Fatalf("%s after %s", id, before)
		}
		if got := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5]); got != now.UnixMilli() {
			t.Fatalf("%s was made at %d", id, got)
		}
		before = id
	}
}

// TestIDsOfAnEarlierTime: a clock that goes back makes ids of its own time.
func TestIDsOfAnEarlierTime(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	late, early := NewID[directory.UserID](now), NewID[directory.UserID](now.Add(-time.Hour))
	if bytes.Compare(early[:], late[:]) >= 0 {
		t.Errorf("%s is not before %s", early, late)
	}
}

// TestIDsDiffer: whoever makes them at once.
func TestIDsDiffer(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	var mu sync.Mutex
	seen := map[directory.UserID]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				id := NewID[directory.UserID](now)
				mu.Lock()
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestIDCarries(t *testing.T) {
	id := [16]byte{8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff}
	add(&id, 1)
	if want := ([16]byte{7: 1}); id != want {
		t.Errorf("%x", id)
	}
}
