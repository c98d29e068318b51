package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// PutKey adds a signing key or moves one to another state. The sealed private
// half never changes. It was never proposed: the commands below took its place.
type PutKey struct {
	Key directory.SigningKey `cbor:"1,keyasint"`
}

func (*PutKey) Kind() Kind { return KindPutKey }

func (c *PutKey) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	k := c.Key
	if k.ID == "" || k.State < directory.KeyAnnounced || k.State > directory.KeyRetiring {
		return Outcome{}, directory.Invalid("key", "needs an id and a state")
	}
	if old, ok := tx.Key(k.ID); ok {
		k.Public, k.Sealed, k.Created = old.Public, old.Sealed, old.Created
	} else {
		k.Created = env.Now
	}
	k.Version = e.index
	tx.PutKey(&k)
	e.event(directory.KeyChanged, tx.Record().ID, "%s", k.ID)
	e.row(directory.RowKey, [16]byte{})
	return Outcome{Changed: true}, nil
}

// AnnounceKey publishes a new key, which signs later: verifiers must know it by then.
// There is one at a time of each algorithm.
type AnnounceKey struct {
	Key directory.SigningKey `cbor:"1,keyasint"`
}

func (*AnnounceKey) Kind() Kind { return KindAnnounceKey }

func (c *AnnounceKey) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	k := c.Key
	if err := newKey(tx, &k); err != nil {
		return Outcome{}, err
	}
	if !slices.Contains(tx.Record().Keys.Signs(), k.Signs()) {
		return Outcome{}, directory.Precondition("algorithm", "the organization does not sign by %s", k.Signs())
	}
	if _, ok := keyIn(tx, directory.KeyAnnounced, k.Signs()); ok {
		return Outcome{}, directory.Conflict("algorithm", "a key of %s is announced already", k.Signs())
	}
	k.Created = env.Now
	putKey(tx, env, e, &k, directory.KeyAnnounced)
	return Outcome{Changed: true}, nil
}

// newKey holds what a key must be that comes in. A name that was there before cannot
// come back: it is made of a public key, and nobody makes the same one twice.
func newKey(tx *state.OrgTx, k *directory.SigningKey) error {
	if err := k.Check(); err != nil {
		return err
	}
	n := 0
	tx.EachKey(func(*directory.SigningKey) bool { n++; return true })
	if n >= directory.KeysMax {
		return directory.Exhausted("keys", "the organization has %d signing keys", n)
	}
	if _, taken := tx.Key(k.ID); taken {
		return directory.Conflict("id", "is taken")
	}
	return nil
}

// keyIn finds the newest key of an algorithm in a state.
func keyIn(tx *state.OrgTx, in directory.KeyState, by directory.KeyAlgorithm) (found *directory.SigningKey, ok bool) {
	tx.EachKey(func(k *directory.SigningKey) bool {
		if k.State == in && k.Signs() == by && (found == nil || k.Created > found.Created) {
			found = k
		}
		return true
	})
	return found, found != nil
}

// putKey puts a key into a state.
func putKey(tx *state.OrgTx, env *Envelope, e *effects, k *directory.SigningKey, to directory.KeyState) {
	moved := *k
	moved.State, moved.Began, moved.Version = to, env.Now, e.index
	tx.PutKey(&moved)
	e.event(directory.KeyChanged, tx.Record().ID, "%s %s", k.ID, to)
	e.row(directory.RowKey, [16]byte{})
}

// removeKey ends a key. What it signed is no token of anybody any more.
func removeKey(tx *state.OrgTx, e *effects, k *directory.SigningKey, how string) {
	tx.DeleteKey(k)
	e.event(directory.KeyChanged, tx.Record().ID, "%s %s", k.ID, how)
	e.row(directory.RowKey, [16]byte{})
}

// activate lets a key sign in the place of those of its algorithm that do.
func activate(tx *state.OrgTx, env *Envelope, e *effects, k *directory.SigningKey) {
	for {
		old, ok := keyIn(tx, directory.KeyActive, k.Signs())
		if !ok {
			break
		}
		putKey(tx, env, e, old, directory.KeyRetiring)
	}
	putKey(tx, env, e, k, directory.KeyActive)
}

// MoveKey moves a key to its next state when its time in this one has passed: from
// announced to active, from active to retiring when its algorithm is not wanted any
// more, and from retiring to gone, which is zero. Whether every voter has applied the
// announcement is the proposer's to find out.
type MoveKey struct {
	ID string             `cbor:"1,keyasint"`
	To directory.KeyState `cbor:"2,keyasint,omitempty"`
}

func (*MoveKey) Kind() Kind { return KindMoveKey }

func (c *MoveKey) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	k, ok := tx.Key(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("key")
	}
	_, announce, retire := tx.Record().Keys.Times()
	switch {
	case c.To == directory.KeyActive && k.State == directory.KeyAnnounced && env.Now >= k.Since().Add(announce):
		activate(tx, env, e, k)
	case c.To == directory.KeyRetiring && k.State == directory.KeyActive && !slices.Contains(tx.Record().Keys.Signs(), k.Signs()):
		if _, ok := keyIn(tx, directory.KeyActive, tx.Record().Keys.Signs()[0]); !ok {
			return Outcome{}, directory.Precondition("key", "nothing would sign in its place")
		}
		putKey(tx, env, e, k, directory.KeyRetiring)
	case c.To == 0 && k.State == directory.KeyRetiring && env.Now >= k.Since().Add(retire):
		removeKey(tx, e, k, "gone")
	default:
		return Outcome{}, directory.Precondition("key", "cannot go from %s to %s now", k.State, c.To)
	}
	return Outcome{Changed: true}, nil
}

// RevokeKey takes a key out at once, whatever its state: it may be somebody else's by
// now. In the place of one that signs comes the one that is announced, or else Next,
// though not every verifier knows it yet.
type RevokeKey struct {
	ID   string               `cbor:"1,keyasint"`
	Next directory.SigningKey `cbor:"2,keyasint,omitzero"`
}

func (*RevokeKey) Kind() Kind { return KindRevokeKey }

func (c *RevokeKey) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	k, ok := tx.Key(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("key")
	}
	tx.DeleteKey(k)
	if k.State == directory.KeyActive {
		next, ok := keyIn(tx, directory.KeyAnnounced, k.Signs())
		if !ok {
			next = &c.Next
			if err := newKey(tx, next); err != nil {
				return Outcome{}, err
			}
			if next.Signs() != k.Signs() {
				return Outcome{}, directory.Invalid("algorithm", "must be that of the key that is revoked")
			}
			made := *next
			made.Created = env.Now
			next = &made
		}
		activate(tx, env, e, next)
	}
	removeKey(tx, e, k, "revoked")
	forgetSigned(tx, e, k)
	return Outcome{Changed: true}, nil
}

// forgetSigned takes the tokens that a key has signed from the sessions that hold
// them, so that enforcement points, which know no keys, refuse them too.
func forgetSigned(tx *state.OrgTx, e *effects, k *directory.SigningKey) {
	signer := directory.SignerOf(k.ID)
	signed := func(t directory.AccessToken) bool { return t.Signer == signer || t.Signer == 0 }
	var holding []*directory.Session
	tx.EachSession(func(s *directory.Session) bool {
		if slices.ContainsFunc(s.Tokens, signed) {
			holding = append(holding, s)
		}
		return true
	})
	for _, old := range holding {
		s := *old
		s.Tokens, s.Version = slices.DeleteFunc(slices.Clone(old.Tokens), signed), e.index
		tx.PutSession(&s)
		e.row(directory.RowSession, s.ID)
	}
}

// SetKeyPolicy says how the organization's keys come and go from now on. An algorithm
// that clients ask for stays.
type SetKeyPolicy struct {
	Policy directory.KeyPolicy `cbor:"1,keyasint"`
}

func (*SetKeyPolicy) Kind() Kind { return KindSetKeyPolicy }

func (c *SetKeyPolicy) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	o := *tx.Record()
	if err := c.Policy.Check(); err != nil {
		return Outcome{}, err
	}
	if o.Keys.Same(&c.Policy) {
		return unchanged(o.ID)
	}
	var asked *directory.Client
	tx.EachClient(func(client *directory.Client) bool {
		if client.Algorithm != "" && !slices.Contains(c.Policy.Signs(), client.Algorithm) {
			asked = client
		}
		return asked == nil
	})
	if asked != nil {
		return Outcome{}, directory.Precondition("algorithms", "the client %s asks for %s", asked.Name, asked.Algorithm)
	}
	o.Keys, o.Modified, o.Version = c.Policy, env.Now, e.index
	tx.PutOrganization(&o)
	e.event(directory.OrganizationUpdated, o.ID, "signing keys")
	e.row(directory.RowOrganization, o.ID)
	return changed(o.ID)
}

// maySignBy: a client gets tokens of the algorithm from its first one on.
func maySignBy(tx *state.OrgTx, by directory.KeyAlgorithm) error {
	if by == "" {
		return nil
	}
	if !slices.Contains(tx.Record().Keys.Signs(), by) {
		return directory.Precondition("signing_algorithm", "the organization does not sign by it")
	}
	if _, ok := keyIn(tx, directory.KeyActive, by); !ok {
		return directory.Precondition("signing_algorithm", "the key is announced and does not sign yet")
	}
	return nil
}
