package effective

// vector is a persistent vector of row pointers: two fixed levels of 64 under a
// flat top. A writer that holds the edit token of a node writes it in place and
// copies any other node first; readers of an older top never see that.
type vector[T any] struct {
	top   []*branch[T]
	token uint64 // edit that owns top
	n     uint32 // ordinals below n have been handed out
	live  int    // rows
	free  *hole  // ordinals to hand out again
}

// hole is an immutable stack of ordinals whose rows are gone. They may be reused
// at once: whoever drops a row first clears every row that names it.
type hole struct {
	ordinal uint32
	next    *hole
}

const (
	fanout     = 64
	fanoutBits = 6
)

type branch[T any] struct {
	token  uint64
	leaves [fanout]*leaf[T]
}

type leaf[T any] struct {
	token uint64
	rows  [fanout]*T
}

// at is nil for an ordinal that was never handed out or whose row is gone.
func (v *vector[T]) at(i uint32) *T {
	t := i >> (2 * fanoutBits)
	if int(t) >= len(v.top) || v.top[t] == nil {
		return nil
	}
	l := v.top[t].leaves[i>>fanoutBits&(fanout-1)]
	if l == nil {
		return nil
	}
	return l.rows[i&(fanout-1)]
}

// each walks the rows that there are.
func (v *vector[T]) each(yield func(*T)) {
	for i := range v.n {
		if row := v.at(i); row != nil {
			yield(row)
		}
	}
}

// set writes row i for the edit that holds token.
func (v *vector[T]) set(i uint32, row *T, token uint64) {
	t := int(i >> (2 * fanoutBits))
	if v.token != token || t >= len(v.top) {
		top := make([]*branch[T], max(len(v.top), t+1))
		copy(top, v.top)
		v.top, v.token = top, token
	}
	b := v.top[t]
	if b == nil {
		b = &branch[T]{token: token}
	} else if b.token != token {
		copied := *b
		copied.token = token
		b = &copied
	}
	v.top[t] = b
	k := i >> fanoutBits & (fanout - 1)
	l := b.leaves[k]
	if l == nil {
		l = &leaf[T]{token: token}
	} else if l.token != token {
		copied := *l
		copied.token = token
		l = &copied
	}
	b.leaves[k] = l
	l.rows[i&(fanout-1)] = row
}

// next hands out an ordinal for a row that is about to be set.
func (v *vector[T]) next() uint32 {
	v.live++
	if h := v.free; h != nil {
		v.free = h.next
		return h.ordinal
	}
	v.n++
	return v.n - 1
}

// drop takes row i away and its ordinal back.
func (v *vector[T]) drop(i uint32, token uint64) {
	v.set(i, nil, token)
	v.live--
	v.free = &hole{i, v.free}
}
