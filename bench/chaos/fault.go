package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/authfi/authfi/bench/chaos/volatile"
)

const (
	// leadLostWithin is how long a leader whose disk hangs or is short of space may
	// go on leading.
	leadLostWithin = 5 * time.Second
	// looking is for the polls of who asks, on a machine that is at work.
	looking = time.Second
	// lowSpace is below what a node keeps in reserve.
	lowSpace = 100 << 20
	slowSync = 200 * time.Millisecond
	loss     = 0.3
)

// fault is one kind. It begins and ends by itself; what it leaves, heal ends.
type fault struct {
	name string
	run  func(ctx context.Context, r *round) error
}

// round is what a fault works with.
type round struct {
	c      *cluster
	random *rand.Rand
	result *Result
	leader int // when the fault begins
}

// faults are all kinds. The order matters for what a seed means.
var faults = []fault{
	{"kill the leader", func(ctx context.Context, r *round) error { return r.kill(ctx, r.leader) }},
	{"kill a follower", func(ctx context.Context, r *round) error { return r.kill(ctx, r.follower()) }},
	{"kill all three", func(ctx context.Context, r *round) error { return r.kill(ctx, 0, 1, 2) }},
	{"kill the leader again and again", func(ctx context.Context, r *round) error { return r.killLoop(ctx) }},
	{"stop the leader", func(ctx context.Context, r *round) error { return r.stop(ctx, r.leader) }},
	{"stop a follower", func(ctx context.Context, r *round) error { return r.stop(ctx, r.follower()) }},
	{"cut a pair", func(ctx context.Context, r *round) error {
		return r.cut(ctx, pair(r.leader, r.follower()), pair(r.follower(), r.leader))
	}},
	{"cut off the leader", func(ctx context.Context, r *round) error {
		return r.cut(ctx, append(r.from(r.leader), r.to(r.leader)...)...)
	}},
	{"the leader is not heard", func(ctx context.Context, r *round) error { return r.cut(ctx, r.from(r.leader)...) }},
	{"the leader hears nobody", func(ctx context.Context, r *round) error { return r.cut(ctx, r.to(r.leader)...) }},
	{"a follower is not heard by the leader", func(ctx context.Context, r *round) error { return r.cut(ctx, pair(r.follower(), r.leader)) }},
	{"lose packets", func(ctx context.Context, r *round) error { return r.lose(ctx) }},
	{"slow links", func(ctx context.Context, r *round) error { return r.slow(ctx) }},
	{"slow disk of the leader", func(ctx context.Context, r *round) error {
		return r.trouble(ctx, r.leader, volatile.Trouble{Slow: slowSync})
	}},
	{"failing disk of the leader", func(ctx context.Context, r *round) error {
		return r.trouble(ctx, r.leader, volatile.Trouble{Fail: true})
	}},
	{"failing disk of a follower", func(ctx context.Context, r *round) error {
		return r.trouble(ctx, r.follower(), volatile.Trouble{Fail: true})
	}},
	{"hanging disk of the leader", func(ctx context.Context, r *round) error {
		return r.mustLose(ctx, volatile.Trouble{Hang: true}, &r.result.HangSeconds)
	}},
	{"hanging disk of a follower", func(ctx context.Context, r *round) error {
		return r.trouble(ctx, r.follower(), volatile.Trouble{Hang: true})
	}},
	{"little space at the leader", func(ctx context.Context, r *round) error {
		return r.mustLose(ctx, volatile.Trouble{Free: lowSpace}, &r.result.LowSeconds)
	}},
	{"full disk of the leader", func(ctx context.Context, r *round) error {
		return r.trouble(ctx, r.leader, volatile.Trouble{Full: true})
	}},
	{"full disk of a follower", func(ctx context.Context, r *round) error {
		return r.trouble(ctx, r.follower(), volatile.Trouble{Full: true})
	}},
	{"power cut of the leader", func(ctx context.Context, r *round) error { return r.cutPower(ctx, r.leader) }},
	{"power cut of a follower", func(ctx context.Context, r *round) error { return r.cutPower(ctx, r.follower()) }},
	{"power cut of all three", func(ctx context.Context, r *round) error { return r.cutPower(ctx, 0, 1, 2) }},
	{"altered bytes in the state of a follower", func(ctx context.Context, r *round) error { return r.alter(ctx, r.follower()) }},
	{"power cut of two", func(ctx context.Context, r *round) error { return r.cutPower(ctx, r.leader, r.follower()) }},
}

func pair(from, to int) [2]int { return [2]int{from, to} }

// follower is the same one for the whole of a fault.
func (r *round) follower() int { return (r.leader + 1) % Nodes }

func (r *round) from(i int) (pairs [][2]int) {
	return [][2]int{{i, (i + 1) % Nodes}, {i, (i + 2) % Nodes}}
}

func (r *round) to(i int) (pairs [][2]int) {
	return [][2]int{{(i + 1) % Nodes, i}, {(i + 2) % Nodes, i}}
}

// last is how long a fault lasts: below, at and well above the time of an election.
func (r *round) last(ctx context.Context) {
	select {
	case <-time.After(200*time.Millisecond + time.Duration(r.random.ExpFloat64()*float64(1500*time.Millisecond))):
	case <-ctx.Done():
	}
}

func (r *round) kill(ctx context.Context, which ...int) error {
	for _, i := range which {
		r.c.nodes[i].kill()
		r.result.Kills++
	}
	r.last(ctx)
	return r.start(which)
}

func (r *round) start(which []int) error {
	for _, i := range which {
		if err := r.c.nodes[i].start(); err != nil {
			return err
		}
	}
	return nil
}

// killsInLoop are so close together that a node is killed while it starts.
const killsInLoop = 4

func (r *round) killLoop(ctx context.Context) error {
	for range killsInLoop {
		r.c.nodes[r.leader].kill()
		r.result.Kills++
		if err := r.c.nodes[r.leader].start(); err != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(r.random.IntN(800)) * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (r *round) stop(ctx context.Context, i int) error {
	if err := r.c.nodes[i].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	r.last(ctx)
	return r.c.nodes[i].signal(syscall.SIGCONT)
}

func (r *round) cut(ctx context.Context, pairs ...[2]int) error {
	for _, p := range pairs {
		if err := r.c.net.drop(ctx, p[0], p[1], 1); err != nil {
			return err
		}
	}
	r.last(ctx)
	return r.c.net.heal(ctx)
}

func (r *round) lose(ctx context.Context) error {
	for from := range Nodes {
		for to := range Nodes {
			if from == to {
				continue
			}
			if err := r.c.net.drop(ctx, from, to, loss); err != nil {
				return err
			}
		}
	}
	r.last(ctx)
	return r.c.net.heal(ctx)
}

func (r *round) slow(ctx context.Context) error {
	for i := range Nodes {
		if err := r.c.net.slow(ctx, i, true); err != nil {
			return err
		}
	}
	r.last(ctx)
	var err error
	for i := range Nodes {
		err = errors.Join(err, r.c.net.slow(ctx, i, false))
	}
	return err
}

func (r *round) trouble(ctx context.Context, i int, t volatile.Trouble) error {
	r.c.nodes[i].trouble(t)
	r.last(ctx)
	r.c.nodes[i].trouble(volatile.Trouble{})
	return nil
}

// mustLose is trouble with which the leader must not go on leading.
func (r *round) mustLose(ctx context.Context, t volatile.Trouble, took *[]float64) error {
	r.c.nodes[r.leader].trouble(t)
	defer r.c.nodes[r.leader].trouble(volatile.Trouble{})
	spent, lost := r.c.succeeded(ctx, r.leader, leadLostWithin+looking)
	if !lost {
		r.result.violate("%s leads on after %s with a disk that has %+v", r.c.nodes[r.leader].id(), spent.Round(time.Millisecond), t)
	}
	if ctx.Err() == nil {
		*took = append(*took, spent.Seconds())
	}
	return nil
}

// cutPower takes it from several at once. Of what was not synced nothing survives, or
// some of the pages.
func (r *round) cutPower(ctx context.Context, which ...int) error {
	share := []float64{0, 0, 0.5, 0.9}[r.random.IntN(4)]
	var err error
	for _, i := range which {
		r.result.PowerCuts++
		err = errors.Join(err, r.c.nodes[i].cutPower(func() bool { return r.random.Float64() < share }))
	}
	if err != nil {
		return fmt.Errorf("power cut: %w", err)
	}
	r.last(ctx)
	for _, i := range which {
		if err := r.c.nodes[i].power(); err != nil {
			return err
		}
	}
	return r.start(which)
}

// alteredBytes are so many in each file of the stored state.
const alteredBytes = 8

// alter is a disk that gives back other bytes than it took: in the stored state, which a
// node fills again by itself. A node whose log is damaged does not serve, and is a test
// of its own.
func (r *round) alter(ctx context.Context, i int) error {
	n := r.c.nodes[i]
	if err := n.cutPower(func() bool { return true }); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(n.backing(), "state", "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := r.alterFile(file); err != nil {
			return fmt.Errorf("alter: %w", err)
		}
	}
	r.last(ctx)
	if err := n.power(); err != nil {
		return err
	}
	return n.start()
}

func (r *round) alterFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 || info.IsDir() {
		return err
	}
	for range alteredBytes {
		at, b := r.random.Int64N(min(info.Size(), alteredWithin)), make([]byte, 1)
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		b[0] ^= 1 << r.random.IntN(8)
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
	}
	return nil
}

// alteredWithin is where the files hold something: they are made larger than that.
const alteredWithin = 64 << 10
