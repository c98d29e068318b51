package fsm_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// TestProofCountsOnce, whatever node it comes to, for as long as it is good; then it is
// forgotten, by those that come after it.
func TestProofCountsOnce(t *testing.T) {
	w := world(t, nil)
	proof := func(n int, life time.Duration) directory.Proof {
		p := directory.Proof{Expires: w.now.Add(life)}
		binary.BigEndian.PutUint64(p.Hash[:], uint64(n))
		return p
	}
	spend := func(what string, want directory.Kind, proofs ...directory.Proof) {
		t.Helper()
		if err := w.asNode(&fsm.SpendProofs{Proofs: proofs}); (err == nil) != (want == 0) || err != nil && directory.KindOf(err) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	first := proof(1, time.Minute)
	spend("nothing", directory.KindInvalid)
	spend("three", directory.KindInvalid, first, proof(2, time.Minute), proof(3, time.Minute))
	spend("one", 0, first)
	spend("it again", directory.KindUnauthenticated, first)
	spend("it beside another", directory.KindUnauthenticated, proof(2, time.Minute), first)
	spend("that other", 0, proof(2, time.Minute)) // refused together, so not spent
	spend("one that is over", directory.KindUnauthenticated, proof(3, 0))
	spend("one that lives as long as it may", 0, proof(3, directory.ProofLifeMax))
	spend("one that lives longer", directory.KindUnauthenticated, proof(4, directory.ProofLifeMax+time.Millisecond))
	if n := w.view().Proofs(); n != 3 {
		t.Errorf("%d are remembered", n)
	}
	w.pass(time.Minute)
	spend("later", 0, proof(5, time.Minute))
	if n := w.view().Proofs(); n != 2 {
		t.Errorf("%d are remembered, want the two that are good", n)
	}
	if err := w.try(&fsm.SpendProofs{Proofs: []directory.Proof{proof(6, time.Minute)}}); err != nil {
		t.Errorf("an operator: %v", err)
	}
}

// TestProofsMax at the limit and one past it.
func TestProofsMax(t *testing.T) {
	w := world(t, nil)
	var envelopes []*fsm.Envelope
	for n := range directory.ProofsMax + 1 {
		p := directory.Proof{Expires: w.now.Add(time.Minute)}
		binary.BigEndian.PutUint64(p.Hash[:], uint64(n))
		envelopes = append(envelopes, &fsm.Envelope{Actor: directory.Actor{Kind: directory.ActorNode}, Command: &fsm.SpendProofs{Proofs: []directory.Proof{p}}})
	}
	results := w.send(envelopes...)
	if err := results[directory.ProofsMax-1].Err; err != nil {
		t.Errorf("the last that fits: %v", err)
	}
	if err := results[directory.ProofsMax].Err; directory.KindOf(err) != directory.KindExhausted {
		t.Errorf("one more: %v", err)
	}
}
