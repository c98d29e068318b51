package state

import (
	"slices"
	"sort"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/tidwall/btree"
)

// Root is the whole state at one applied index, immutable.
type Root struct {
	meta   Meta
	system *System
	orgs   *btree.Map[string, *rows]
}

// Applied is the index that the root belongs to.
func (r *Root) Applied() directory.Index { return r.meta.Applied }

// Meta describes the root as it is stored.
func (r *Root) Meta() Meta { return r.meta }

// System is the instance's own tables.
func (r *Root) System() *System { return r.system }

// Org is the handle of one organization; false if there is none with this id.
func (r *Root) Org(id directory.OrgID) (*Org, bool) {
	o, ok := r.orgs.Get(string(id[:]))
	if !ok {
		return nil, false
	}
	return &Org{rows: o, applied: r.meta.Applied}, true
}

// EachOrg walks the organizations in id order.
func (r *Root) EachOrg(after directory.OrgID, yield func(*Org) bool) {
	r.orgs.Ascend(string(after[:]), func(key string, o *rows) bool {
		return key == string(after[:]) || yield(&Org{rows: o, applied: r.meta.Applied})
	})
}

// Organizations counts them.
func (r *Root) Organizations() int { return r.orgs.Len() }

// EachStored walks every stored row in key order, as a stream of the state
// carries them.
func (r *Root) EachStored(row func(key, value []byte) error) error {
	if err := r.system.eachStored(row); err != nil {
		return err
	}
	var err error
	r.orgs.Scan(func(_ string, o *rows) bool {
		err = o.eachStored(row)
		return err == nil
	})
	return err
}

func (r *rows) eachStored(row func(key, value []byte) error) (err error) {
	r.tree.Scan(func(key string, v any) bool {
		if stored(key[0]) {
			err = row(storedKey(r.id, key), encodeRow(v))
		}
		if err == nil && key[0] == tableGroup {
			err = r.eachEdgeRow(key[1:], row)
		}
		return err == nil
	})
	return err
}

func (r *rows) eachEdgeRow(group string, row func(key, value []byte) error) (err error) {
	var g directory.GroupID
	copy(g[:], group)
	for _, child := range r.index.Children(g) {
		if err := row(storedKey(r.id, pairKey(tableNesting, g, child)), edgeValue); err != nil {
			return err
		}
	}
	r.index.EachMember(g, func(u directory.UserID) bool {
		err = row(storedKey(r.id, pairKey(tableMember, g, u)), edgeValue)
		return err == nil
	})
	return err
}

func stored(table byte) bool { return table >= 'a' && table <= 'z' || table >= '1' && table <= '9' }

// Writer owns the working copies and makes roots. One goroutine uses it.
type Writer struct {
	meta      Meta
	orgs      map[directory.OrgID]*working
	published *btree.Map[string, *rows]
	system    *System
	touched   []*working
	dropped   []*rows // organizations deleted since the last root
}

// NewWriter starts from an empty state.
func NewWriter() *Writer {
	w := &Writer{orgs: map[directory.OrgID]*working{}, published: new(btree.Map[string, *rows])}
	w.open(directory.OrgID{})
	return w
}

func (w *Writer) open(id directory.OrgID) *working {
	o := &working{
		rows:    rows{id: id, tree: new(tree), index: effective.New()},
		writer:  w,
		pending: map[string][]byte{},
		dirty:   true,
	}
	o.editor = o.index.Edit()
	w.orgs[id] = o
	w.touched = append(w.touched, o)
	return o
}

// drop forgets an organization. What a batch wrote to it before is not stored.
func (w *Writer) drop(id directory.OrgID) {
	o := w.orgs[id]
	delete(w.orgs, id)
	w.touched = slices.DeleteFunc(w.touched, func(t *working) bool { return t == o })
	if old, ok := w.published.Get(string(id[:])); ok {
		w.dropped = append(w.dropped, old)
	}
}

// Org runs one entry on an organization. An error from apply undoes all that
// it did. ok is false when the organization does not exist.
func (w *Writer) Org(id directory.OrgID, apply func(*OrgTx) error) (ok bool, err error) {
	o, ok := w.orgs[id]
	if !ok || id.IsZero() {
		return false, nil
	}
	return true, w.run(o, apply)
}

// System runs one entry on the instance.
func (w *Writer) System(apply func(*SystemTx) error) error {
	return w.run(w.instance(), func(tx *OrgTx) error { return apply(&SystemTx{OrgTx: tx, writer: w}) })
}

func (w *Writer) run(o *working, apply func(*OrgTx) error) error {
	w.touch(o)
	return o.run(apply)
}

func (o *working) run(apply func(*OrgTx) error) error {
	tx := &OrgTx{working: o}
	mark := o.editor.Mark()
	err := apply(tx)
	if err != nil {
		tx.rollback(mark)
	}
	return err
}

// touch makes the next root take a working copy anew.
func (w *Writer) touch(o *working) {
	if !o.dirty {
		w.touched = append(w.touched, o)
		o.dirty = true
	}
}

// instance is the instance's own tables.
func (w *Writer) instance() *working { return w.orgs[directory.OrgID{}] }

// Publish freezes everything written so far as the state at (index, term) and
// returns the root and the rows to store with it.
func (w *Writer) Publish(index directory.Index, term uint64) (*Root, []Write) {
	writes := w.bury()
	for _, o := range w.touched {
		before := Sum{}
		if old, ok := w.frozen(o.id); ok {
			before = old.sum
		}
		w.meta.Sum = w.meta.Sum.sub(before).add(o.sum)
		writes = o.drain(writes)
		w.freeze(o)
	}
	w.touched = w.touched[:0]
	w.meta.Applied, w.meta.Term = index, term
	system := *w.system
	system.applied = index
	return &Root{meta: w.meta, system: &system, orgs: w.published.Copy()}, writes
}

// bury takes dropped organizations out of the root and of the storage.
func (w *Writer) bury() (writes []Write) {
	for _, o := range w.dropped {
		w.meta.Sum = w.meta.Sum.sub(o.sum)
		w.published.Delete(string(o.id[:]))
		remove := func(key, _ []byte) error {
			writes = append(writes, Write{Key: key})
			return nil
		}
		if err := o.eachStored(remove); err != nil {
			panic("state: " + err.Error()) // remove fails never
		}
	}
	w.dropped = nil
	return writes
}

func (w *Writer) frozen(id directory.OrgID) (*rows, bool) {
	if id.IsZero() {
		if w.system == nil {
			return nil, false
		}
		return &w.system.rows, true
	}
	return w.published.Get(string(id[:]))
}

// freeze hands a copy to readers.
func (w *Writer) freeze(o *working) {
	copied := o.freeze()
	o.dirty = false
	if o.id.IsZero() {
		w.system = &System{rows: copied}
		return
	}
	w.published.Set(string(o.id[:]), &copied)
}

// freeze copies the rows for readers; the working tree goes on and is never read
// by anybody else.
func (o *working) freeze() rows {
	o.index = o.editor.Published()
	copied := o.rows
	copied.tree = o.tree.Copy()
	return copied
}

// drain appends the pending rows in key order.
func (o *working) drain(writes []Write) []Write {
	keys := make([]string, 0, len(o.pending))
	for key := range o.pending { // order-free: sorted below
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		writes = append(writes, Write{Key: storedKey(o.id, key), Value: o.pending[key]})
	}
	clear(o.pending)
	return writes
}

// Meta describes what the writer has published last.
func (w *Writer) Meta() Meta { return w.meta }

// Peek reads the instance's working tables, which may be ahead of any root.
func (w *Writer) Peek(read func(*System)) {
	read(&System{rows: w.orgs[directory.OrgID{}].rows, applied: w.meta.Applied})
}
