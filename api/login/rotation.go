package login

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// Turn is a change of an organization's keys that is due.
type Turn struct {
	Command fsm.OrgCommand
	// After is what every voter must have applied before: whoever is asked for the
	// keys must know those that sign.
	After directory.Index
}

// Turns are the changes that are due at a time. Each key has its own; none of them
// waits for another.
func (t *Tokens) Turns(org *state.Org, now directory.Time) (turns []Turn, err error) {
	if !org.Record().Active() {
		return nil, nil
	}
	policy := org.Record().Keys
	life, announce, retire := policy.Times()
	wanted := map[directory.KeyAlgorithm]bool{}
	for _, by := range policy.Signs() {
		wanted[by] = true
	}
	for _, k := range keysOf(org) {
		switch age := now.Std().Sub(k.Since().Std()); {
		case k.State == directory.KeyAnnounced:
			wanted[k.Signs()] = false
			if age >= announce {
				turns = append(turns, Turn{&fsm.MoveKey{ID: k.ID, To: directory.KeyActive}, k.Version})
			}
		case k.State == directory.KeyActive && !slices.Contains(policy.Signs(), k.Signs()):
			if replaced(org, k) {
				turns = append(turns, Turn{&fsm.MoveKey{ID: k.ID, To: directory.KeyRetiring}, 0})
			}
		case k.State == directory.KeyActive && age < life-announce:
			wanted[k.Signs()] = false
		case k.State == directory.KeyRetiring && age >= retire:
			turns = append(turns, Turn{&fsm.MoveKey{ID: k.ID}, 0})
		}
	}
	for _, by := range policy.Signs() {
		if !wanted[by] {
			continue
		}
		key, err := newKey(t.ring, org.ID(), by)
		if err != nil {
			return nil, err
		}
		turns = append(turns, Turn{&fsm.AnnounceKey{Key: key}, 0})
	}
	return turns, nil
}

// replaced reports whether the organization's first algorithm signs already, so that a
// key of one that is not wanted any more may stop.
func replaced(org *state.Org, k *directory.SigningKey) bool {
	first := active(org, "")
	return first != nil && first.ID != k.ID && first.Signs() == org.Record().Keys.Signs()[0]
}

// NewKey makes a key of an algorithm for an organization; empty: of its first.
func (s *Sessions) NewKey(org *state.Org, by directory.KeyAlgorithm) (directory.SigningKey, error) {
	if by == "" {
		by = org.Record().Keys.Signs()[0]
	}
	if !slices.Contains(directory.KeyAlgorithms(), by) {
		return directory.SigningKey{}, directory.Invalid("algorithm", "must be one of ES256, EdDSA and RS256")
	}
	return newKey(s.ring, org.ID(), by)
}
