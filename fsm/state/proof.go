package state

import (
	"encoding/binary"

	"github.com/authfi/authfi/directory"
)

// proofKey puts proofs in the order in which they end. The same proof has the same end.
func proofKey(p *directory.Proof) string {
	var k [1 + 8 + 32]byte
	k[0] = tableProof
	binary.BigEndian.PutUint64(k[1:], uint64(p.Expires))
	copy(k[9:], p.Hash[:])
	return string(k[:])
}

// HasProof reports whether a proof was spent.
func (r *rows) HasProof(p *directory.Proof) bool {
	_, ok := r.tree.Get(proofKey(p))
	return ok
}

// Proofs counts those that are remembered.
func (r *rows) Proofs() int { return r.counts[tableProof] }

// PutProof remembers a proof.
func (tx *OrgTx) PutProof(p *directory.Proof) { tx.put(proofKey(p), p) }

// ForgetProofs forgets up to some proofs that have ended.
func (tx *OrgTx) ForgetProofs(now directory.Time, most int) {
	var ended []string
	each(&tx.rows, tableProof, "", func(p *directory.Proof) bool {
		if p.Expires <= now && len(ended) < most {
			ended = append(ended, proofKey(p))
			return true
		}
		return false
	})
	for _, key := range ended {
		tx.remove(key)
	}
}
