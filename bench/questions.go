package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/authfi/authfi/bench/dataset"
)

// questions is the part of the directory benchmark that asks over the network, by
// itself: the floor, the list with sources and the comparison with the peers. It
// takes a quarter of the time.
func questions(ctx context.Context, b *bench) (err error) {
	peers, err := preparePeers(ctx)
	if err != nil {
		return err
	}
	if b.alone {
		peers.openfga, peers.spicedb, peers.why = "", "", "left out"
	}
	c, err := b.start(ctx, "gate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	d := dataset.New(b.people)
	in, err := importAll(ctx, b.report, c, d)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := floor(ctx, b.report, c); err != nil {
		return err
	}
	if err := listSources(ctx, b.report, c, in); err != nil {
		return err
	}
	return compareChecks(ctx, b, c, d, in, peers)
}
