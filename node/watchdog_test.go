package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// TestWatchdogIsFedByProofsAlone: with all parts sound it is told round by round; while
// one of them hangs, for however long, not once.
func TestWatchdogIsFedByProofsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 10 * time.Second
		var out bytes.Buffer
		var told []time.Duration
		began := time.Now()
		hangs := make(chan struct{})
		var hang, fail atomic.Bool
		w := watchdog{every: every, log: slog.New(slog.NewTextHandler(&out, nil)), alive: func() { told = append(told, time.Since(began)) }}
		w.parts = map[string]func(context.Context) error{
			"sound": func(context.Context) error { return nil },
			"moody": func(ctx context.Context) error {
				if !hang.Load() {
					return nil
				}
				select {
				case <-hangs:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			},
			"failing": func(context.Context) error {
				if fail.Load() {
					return errors.New("refused")
				}
				return nil
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.run(ctx) }()
		is := func(when string, want ...time.Duration) {
			t.Helper()
			synctest.Wait()
			if len(told) != len(want) {
				t.Fatalf("%s: told at %v, want %v", when, told, want)
			}
			for i := range want {
				if told[i].Truncate(time.Second) != want[i]*time.Second {
					t.Fatalf("%s: told at %v, want %v", when, told, want)
				}
			}
		}
		pass := func(d time.Duration) { <-time.After(d) }
		pass(25 * time.Second)
		is("all sound", 0, 10, 20)
		hang.Store(true)
		pass(60 * time.Second)
		is("one hangs", 0, 10, 20)
		if line := out.String(); !strings.Contains(line, "moody") || strings.Contains(line, "sound,") || strings.Count(line, "\n") != 1 {
			t.Errorf("the log says %q", line)
		}
		hang.Store(false)
		close(hangs)
		is("it goes on, with a round that was due", 0, 10, 20, 85, 85)
		fail.Store(true)
		pass(50 * time.Second)
		is("one answers with an error", 0, 10, 20, 85, 85)
		fail.Store(false)
		pass(time.Second)
		is("and then does not", 0, 10, 20, 85, 85, 135, 135)
		stop()
		<-ended
	})
}

// TestStartIsExtendedByProgressAlone: a start that makes steps is told of, one that
// hangs is not.
func TestStartIsExtendedByProgressAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps atomic.Uint64
		var told atomic.Int64
		done := make(chan struct{})
		go tellProgress(done, steps.Load, func() { told.Add(1) })
		for _, step := range []struct {
			rows uint64
			want int64
		}{{0, 0}, {1, 1}, {0, 1}, {1000, 2}, {1, 3}, {0, 3}} {
			synctest.Wait()
			steps.Add(step.rows)
			<-time.After(startEvery)
			synctest.Wait()
			if told.Load() != step.want {
				t.Errorf("told %d times, want %d", told.Load(), step.want)
			}
		}
		close(done)
	})
}

// TestLoadedRowsAreSteps: a state of many users is loaded at a start, and when it came
// from another node, in the time that it takes.
func TestLoadedRowsAreSteps(t *testing.T) {
	m := disk.NewMemory()
	if err := m.Commit(state.Meta{Applied: 1}, []state.Write{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b"), Value: []byte("2")}}); err != nil {
		t.Fatal(err)
	}
	var pulse cluster.Pulse
	meta, err := countedRows{m, &pulse}.Load(func(_, _ []byte) error { return nil })
	if err != nil || meta.Applied != 1 || pulse.Steps() != 2 {
		t.Errorf("%d steps, %+v, %v", pulse.Steps(), meta, err)
	}
}

// TestHangingDiskIsNoError: a disk that answers goes on, whatever it answers; one that
// does not, does not. A pipe that nobody reads is a file that hangs.
func TestHangingDiskIsNoError(t *testing.T) {
	n := &Node{cfg: Config{Dir: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := n.proveDisk(ctx); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(n.cfg.Dir, watchdogFile)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.proveDisk(ctx); err != nil {
		t.Errorf("a disk that answers with an error: %v", err)
	}
	if err := errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)); err != nil {
		t.Fatal(err)
	}
	short, cancelShort := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancelShort()
	if err := n.proveDisk(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a disk that hangs: %v", err)
	}
	reader, err := os.OpenFile(file, os.O_RDWR, 0) // lets the writer go on
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := n.proveDisk(ctx); err != nil {
		t.Errorf("it answers again: %v", err)
	}
}
