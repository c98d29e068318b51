package enforce

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
)

// lone is the log of a single node, which has always come as far as the node.
type lone struct{ machine *fsm.Machine }

func (l lone) ReadIndex(context.Context) (uint64, error) { return uint64(l.machine.Applied()), nil }

// start makes an enforcer of a state with one entry and no service.
func start(t *testing.T, g Gate) (*Enforcer, Prover) {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := machine.Apply([]fsm.Entry{{Index: 1, Term: 1}}); err != nil {
		t.Fatal(err)
	}
	anywhere := func(string) bool { return true }
	return New(g, BootClock{}, machine.Root, anywhere, nil, slog.New(slog.DiscardHandler)), lone{machine}
}

func fill(t *testing.T, e *Enforcer) {
	t.Helper()
	if _, err := e.rebuild(); err != nil {
		t.Fatal(err)
	}
}

// A lease that was proved for full tables was given to empty ones, and while they
// were filled the enforced index still was the old one, which proved the next.
func TestLeaseIsNotGivenToTablesThatAreFilledAnew(t *testing.T) {
	u := NewUserSpace(nil, slog.New(slog.DiscardHandler))
	e, log := start(t, u)
	fill(t, e)
	index, err := e.prove(t.Context(), log, time.Second)
	if err != nil || index != 1 {
		t.Fatalf("full tables: index %d, %v", index, err)
	}
	if err := e.empty(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why   string
		fill  bool
		lease uint64
	}{{"emptied meanwhile", false, 0}, {"filled anew", true, 100}} {
		if c.fill {
			fill(t, e)
		}
		if err := e.extend(index, 100); err != nil || u.lease.Load() != c.lease {
			t.Errorf("%s: lease %d, %v, want %d", c.why, u.lease.Load(), err, c.lease)
		}
	}
	if err := e.empty(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := e.prove(ended, log, time.Second); err == nil || e.Enforced() != 0 {
		t.Errorf("empty tables prove index %d, %v", e.Enforced(), err)
	}
}

// A node that had lost its state let all addresses go that it knew no service
// for, which opened them, before it had heard of the log.
func TestAddressesAreLetGoWhenTheStateIsProved(t *testing.T) {
	u := NewUserSpace(nil, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { u.Close() })
	const listen = "127.0.0.1:0"
	if err := u.SetService(listen, "127.0.0.1:1", 1, &policy.Program{}); err != nil {
		t.Fatal(err)
	}
	e, log := start(t, u)
	fill(t, e)
	if settled, err := e.settle(); settled || err != nil || u.services[listen] == nil {
		t.Fatalf("before a proof: settled %v, %v, %v", settled, err, u.services)
	}
	index, err := e.prove(t.Context(), log, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.extend(index, 100); err != nil {
		t.Fatal(err)
	}
	if settled, err := e.settle(); !settled || err != nil || u.services[listen] != nil {
		t.Errorf("after it: settled %v, %v, %v", settled, err, u.services)
	}
	if err := e.empty(); err != nil {
		t.Fatal(err)
	}
	if settled, err := e.settle(); settled || err != nil {
		t.Errorf("emptied again: settled %v, %v", settled, err)
	}
}

// Run does what the two tests above do by hand.
func TestRunSettlesAfterTheFirstLease(t *testing.T) {
	u := NewUserSpace(nil, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { u.Close() })
	const listen = "127.0.0.1:0"
	if err := u.SetService(listen, "127.0.0.1:1", 1, &policy.Program{}); err != nil {
		t.Fatal(err)
	}
	e, log := start(t, settling{u, make(chan struct{}, 1)})
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	go e.Run(ctx)
	if err := e.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	go e.Lease(ctx, log, time.Minute, time.Hour)
	select {
	case <-e.gate.(settling).settled:
	case <-ctx.Done():
		t.Fatal("not settled")
	}
	if u.lease.Load() == 0 {
		t.Error("settled without a lease")
	}
}

// settling tells when it was settled.
type settling struct {
	*UserSpace
	settled chan struct{}
}

func (s settling) Settled() error {
	defer func() { s.settled <- struct{}{} }()
	return s.UserSpace.Settled()
}

// A request that was read with one program was decided with rights that had been
// numbered for another.
func TestUserSpaceRefusesWhatWasReadWithAnotherProgram(t *testing.T) {
	u := NewUserSpace(nil, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { u.Close() })
	const listen = "127.0.0.1:0"
	routes := []policy.Route{{Path: "/", Public: true}}
	compile := func() *policy.Program {
		p, err := policy.Compile(1, routes, policy.NewNumbering(routes))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, second := compile(), compile()
	if err := u.SetService(listen, "127.0.0.1:1", 1, first); err != nil {
		t.Fatal(err)
	}
	s := u.services[listen]
	flow := policy.Flow{State: first.Next(first.Start(), '/')}
	check := func(why string, program *policy.Program, want policy.Reason) {
		t.Helper()
		if got, grant := u.decide(s, program, flow); got != want || grant != (gate.Grant{}) {
			t.Errorf("%s: %v, want %v", why, got, want)
		}
	}
	check("its own program", first, policy.ReasonPublic)
	if err := u.SetService(listen, "127.0.0.1:1", 1, second); err != nil {
		t.Fatal(err)
	}
	check("the one before", first, policy.ReasonLease)
	check("the new one", second, policy.ReasonPublic)
	if err := u.Reset(); err != nil {
		t.Fatal(err)
	}
	check("one before a reset", second, policy.ReasonLease)
	check("none", nil, policy.ReasonLease)
}
