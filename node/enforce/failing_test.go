package enforce

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
)

// tornGate cannot be emptied at first.
type tornGate struct {
	*UserSpace
	resets  atomic.Int32
	between func() // the first failure and the second try
}

func (g *tornGate) Reset() error {
	if g.resets.Add(1) == 1 {
		return errors.New("torn")
	}
	g.between()
	return g.UserSpace.Reset()
}

// A node whose tables could not be filled left an address open and called itself ready.
func TestTablesThatDoNotFollowAreTold(t *testing.T) {
	g := &tornGate{UserSpace: NewUserSpace(nil, slog.New(slog.DiscardHandler))}
	e, _ := start(t, g)
	var between error
	g.between = func() { between = e.Failing() }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	if err := e.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if between == nil || between.Error() != "torn" {
		t.Errorf("while they do not follow: %v", between)
	}
	if err := e.Failing(); err != nil {
		t.Errorf("when they do: %v", err)
	}
	cancel()
	<-done
}
