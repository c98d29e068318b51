package fsm

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Machine holds one copy of the state. One goroutine applies; any number read.
type Machine struct {
	storage state.Storage
	writer  *state.Writer
	root    atomic.Pointer[state.Root]
	kept    keptRoots
}

// ErrDamaged means that the storage does not hold a state that can be trusted;
// the machine then starts empty and must be filled from elsewhere.
var ErrDamaged = errors.New("stored state is damaged")

// Open loads the state. When the stored rows do not add up it empties the store
// and returns an empty machine together with ErrDamaged. A state of a feature level
// that this build does not understand stays as it is: state.ErrLevel.
func Open(storage state.Storage) (*Machine, error) {
	m := &Machine{storage: storage}
	if err := state.CheckLevel(storage.Load); err != nil {
		return nil, err // sound, and another build's
	}
	writer, err := state.LoadWriter(storage.Load)
	if err != nil {
		if failed := storage.Replace(nothing); failed != nil {
			return nil, fmt.Errorf("empty a damaged store: %w", errors.Join(failed, err))
		}
		writer, err = state.NewWriter(), fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	m.writer = writer
	meta := writer.Meta()
	m.begin(writer.Publish(meta.Applied, meta.Term))
	return m, err
}

// nothing fills a store with no rows: what is replayed into it must not meet
// rows of the state that was damaged.
func nothing(func(key, value []byte) error) (state.Meta, error) { return state.Meta{}, nil }

// Root is the newest published state. The storage follows it: what is not stored
// yet is in the log of a majority, from where a restart takes it.
func (m *Machine) Root() *state.Root { return m.root.Load() }

// Applied is the index of Root.
func (m *Machine) Applied() directory.Index { return m.Root().Applied() }

// Entry is one committed log entry: envelopes that share an index, in order.
type Entry struct {
	Index     directory.Index
	Term      uint64
	Envelopes []*Envelope
}

// Apply applies entries in order, hands their rows to the storage and publishes
// their roots: readers see the last, and RootAt answers for each, so that no node
// lacks an index because it was given several entries at once. It returns one result
// per envelope. A storage failure is the world's: nothing was published, and the
// caller must stop the node, because the log says that the entries happened.
func (m *Machine) Apply(entries []Entry) ([][]Result, error) {
	results := make([][]Result, len(entries))
	made := make([]madeRoot, len(entries))
	for i, entry := range entries {
		if want := m.writer.Meta().Applied + 1; i == 0 && entry.Index < want {
			return nil, fmt.Errorf("entry %d after %d", entry.Index, want-1)
		}
		results[i] = m.applyEntry(entry)
		made[i].root, made[i].writes = m.writer.Publish(entry.Index, entry.Term)
	}
	for _, one := range made {
		if err := m.storage.Commit(one.root.Meta(), one.writes); err != nil {
			return nil, fmt.Errorf("store index %d: %w", one.root.Applied(), err)
		}
	}
	for _, one := range made {
		m.kept.add(one.root, one.writes)
	}
	m.root.Store(made[len(made)-1].root)
	return results, nil
}

// Sync returns once everything that was applied is durable here. The log may be cut
// up to there and no further: what it loses, a restart must find in the storage.
func (m *Machine) Sync() error { return m.storage.Sync() }

// madeRoot is a root with the rows that made it out of the one before.
type madeRoot struct {
	root   *state.Root
	writes []state.Write
}

// begin publishes a root that was loaded, whose rows are stored already.
func (m *Machine) begin(root *state.Root, _ []state.Write) {
	m.kept.reset(root)
	m.root.Store(root)
}

func (m *Machine) applyEntry(entry Entry) []Result {
	results := make([]Result, len(entry.Envelopes))
	var ordinal uint32
	for i, env := range entry.Envelopes {
		e := &effects{index: entry.Index, ordinal: ordinal, env: env}
		results[i] = m.applyOne(e, uint32(i))
		ordinal = e.ordinal
	}
	return results
}

func (m *Machine) applyOne(e *effects, place uint32) Result {
	r := Result{Index: e.index, Ordinal: place}
	switch c := e.env.Command.(type) {
	case OrgCommand:
		r.Outcome, r.Err = m.applyOrg(c, e, place)
	case SystemCommand:
		r.Outcome, r.Err = m.applySystem(c, e, place)
	default:
		panic(fmt.Sprintf("fsm: command %T belongs to nobody", c))
	}
	if r.Err == nil {
		r.Events = e.events
		r.Delta = directory.Delta{Index: e.index, Org: e.env.Org, Rows: e.rows}
	}
	return r
}

func (m *Machine) applyOrg(c OrgCommand, e *effects, place uint32) (out Outcome, err error) {
	exists, err := m.writer.Org(e.env.Org, func(tx *state.OrgTx) (err error) {
		if known, ok := tx.Request(e.env.Request); ok && !e.env.Request.IsZero() {
			e.repeated = true
			out, err = repeat(known, e.env)
			return err
		}
		out, err = change(tx, m.operator, c, e)
		return err
	})
	if !exists {
		return Outcome{}, directory.NotFound("organization")
	}
	if e.logged(err) {
		m.writer.Org(e.env.Org, e.logRefusal(err))
	}
	if known := remembered(e, place, out, err); known != nil {
		m.writer.Org(e.env.Org, func(tx *state.OrgTx) error { return keep(tx, e.env.Request, known) })
	}
	return out, err
}

func (m *Machine) operator(id directory.OperatorID) (known bool) {
	m.writer.Peek(func(s *state.System) { _, known = s.Operator(id) })
	return known
}

// change is what a command does to an organization, for real or in a fork.
func change(tx *state.OrgTx, operator operators, c OrgCommand, e *effects) (Outcome, error) {
	if err := authorize(tx, operator, e.env); err != nil {
		return Outcome{}, err
	}
	out, err := keepsOwner(tx, e.env, func() (Outcome, error) { return c.apply(tx, e.env, e) })
	if err != nil {
		return Outcome{}, callers(err)
	}
	tx.Log(e.events, e.env.Now)
	return out, nil
}

// remembered is the answer to keep for a request that carries an id, errors
// too: a repeat of a refused request is refused alike.
func remembered(e *effects, place uint32, out Outcome, err error) *state.Remembered {
	if e.env.Request.IsZero() {
		return nil
	}
	known := &state.Remembered{
		Index: e.index, Ordinal: place, Object: out.Object, Changed: out.Changed, Command: e.env.Digest,
	}
	if err != nil && !errors.As(err, &known.Err) {
		panic("fsm: a command failed with an error that is not the caller's: " + err.Error())
	}
	return known
}

func keep(tx *state.OrgTx, id directory.RequestID, known *state.Remembered) error {
	if _, ok := tx.Request(id); !ok {
		tx.Remember(id, known)
	}
	return nil
}

func repeat(known *state.Remembered, env *Envelope) (Outcome, error) {
	if known.Command != env.Digest {
		return Outcome{}, directory.Conflict("Idempotency-Key", "was used for another request")
	}
	if known.Err != nil {
		return Outcome{}, known.Err
	}
	return Outcome{Object: known.Object}, nil
}

func (m *Machine) applySystem(c SystemCommand, e *effects, place uint32) (out Outcome, err error) {
	request := e.env.Request
	err = m.writer.System(func(tx *state.SystemTx) (err error) {
		if known, ok := tx.Request(request); ok && !request.IsZero() {
			e.repeated = true
			out, err = repeat(known, e.env)
			return err
		}
		if err := authorizeSystem(tx, e.env); err != nil {
			return err
		}
		if out, err = c.applySystem(tx, e.env, e); err == nil {
			tx.Log(e.events, e.env.Now)
		}
		return callers(err)
	})
	if e.logged(err) {
		m.writer.System(func(tx *state.SystemTx) error { return e.logRefusal(err)(tx.OrgTx) })
	}
	if known := remembered(e, place, out, err); known != nil {
		m.writer.System(func(tx *state.SystemTx) error { return keep(tx.OrgTx, request, known) })
	}
	return out, err
}

// callers passes errors of the caller on. Any other error inside a command
// means that a row which must exist does not: ours, and the node stops.
func callers(err error) error {
	var own *directory.Error
	if err == nil || errors.As(err, &own) && own.Kind != directory.KindInternal {
		return err
	}
	panic("fsm: broken invariant: " + err.Error())
}

// Replace drops the state and takes over the one that fill streams; see
// ReadSnapshot.
func (m *Machine) Replace(fill func(put func(key, value []byte) error) (state.Meta, error)) error {
	if err := m.storage.Replace(fill); err != nil {
		return err
	}
	if err := state.CheckLevel(m.storage.Load); err != nil {
		return err
	}
	writer, err := state.LoadWriter(m.storage.Load)
	if err != nil {
		return err
	}
	m.writer = writer
	meta := writer.Meta()
	m.begin(writer.Publish(meta.Applied, meta.Term))
	return nil
}

// Close closes the storage.
func (m *Machine) Close() error { return m.storage.Close() }
