package access

import (
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// A list whose pages all come from one index may take its reader minutes. The
// machine keeps its newest roots only, so the node that began the list pins the
// organization's view. A view costs what later entries have replaced in that one
// organization, hence at most a copy of it, and so the pins have bounds: how long
// a reader may take, how many states of one organization are held, and how many
// in all. A state that is pushed out, or older than that, answers no more.
const (
	pinAge              = 10 * time.Minute
	pinsPerOrganization = 4
	pinsMax             = 128
)

// ErrCursorExpired means that the index which a cursor names is not kept any
// more: the list has to be begun anew. It is a precondition to those who only
// know kinds.
var ErrCursorExpired error = cursorExpired{}

type cursorExpired struct{}

func (cursorExpired) Error() string { return "cursor: " + cursorExpiredText }

// Unwrap lets errors.As find the kind, the field and the text.
func (cursorExpired) Unwrap() error {
	return directory.Precondition("cursor", cursorExpiredText)
}

const cursorExpiredText = "the state that the list was begun on is not kept any more; begin it anew"

// pins are the views that lists in progress are read from.
type pins struct {
	mu      sync.Mutex // held for a walk over at most pinsMax pins
	at      map[pinPlace]*pin
	order   []*pin // as they were begun
	dropped uint64 // pushed out before their time
}

type pinPlace struct {
	org   directory.OrgID
	index directory.Index
}

// pin is one state of an organization. While others write, it has many indexes.
type pin struct {
	view   *state.Org
	until  time.Time
	places []pinPlace
}

// add pins a view, which is the organization's at an index, for pinAge from now on.
func (p *pins) add(index directory.Index, view *state.Org, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(now)
	place := pinPlace{view.ID(), index}
	one, ok := p.at[place]
	if !ok {
		if one = p.same(view); one == nil {
			p.makeRoom(place.org)
			one = &pin{view: view}
			p.order = append(p.order, one)
		}
		one.places = append(one.places, place)
		if p.at == nil {
			p.at = map[pinPlace]*pin{}
		}
		p.at[place] = one
	}
	one.until = now.Add(pinAge)
}

// same finds a pin of the same content.
func (p *pins) same(view *state.Org) *pin {
	for _, one := range p.order {
		if one.view.ID() == view.ID() && one.view.Sum() == view.Sum() {
			return one
		}
	}
	return nil
}

// makeRoom pushes out the organization's own oldest pin when it has its share,
// and the oldest of all when there is no more room for anybody.
func (p *pins) makeRoom(org directory.OrgID) {
	own, oldest := 0, -1
	for i, one := range p.order {
		if one.view.ID() == org {
			if own == 0 {
				oldest = i
			}
			own++
		}
	}
	switch {
	case own >= pinsPerOrganization:
		p.drop(oldest)
		p.dropped++
	case len(p.order) >= pinsMax:
		p.drop(0)
		p.dropped++
	}
}

func (p *pins) drop(i int) {
	for _, place := range p.order[i].places {
		delete(p.at, place)
	}
	p.order = append(p.order[:i], p.order[i+1:]...)
}

// forget drops what is too old.
func (p *pins) forget(now time.Time) {
	for i := len(p.order) - 1; i >= 0; i-- {
		if now.After(p.order[i].until) {
			p.drop(i)
		}
	}
}

func (p *pins) find(org directory.OrgID, index directory.Index, now time.Time) (*state.Org, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(now)
	one, ok := p.at[pinPlace{org, index}]
	if !ok {
		return nil, false
	}
	return one.view, true
}

// Keep sets where the newest roots are kept. It is called once, before the gate
// is used; without it only pinned views answer at an index of the past.
func (g *Gate) Keep(rootAt func(directory.Index) (*state.Root, bool)) { g.rootAt = rootAt }

// ForgetPins lets go of what no cursor may name any more; a timer calls it, so
// that a node which is asked nothing keeps nothing.
func (g *Gate) ForgetPins() {
	g.pins.mu.Lock()
	defer g.pins.mu.Unlock()
	g.pins.forget(g.now())
}

// Pins counts the states that are pinned, and those that were pushed out before
// their time.
func (g *Gate) Pins() (pinned int, dropped uint64) {
	g.pins.mu.Lock()
	defer g.pins.mu.Unlock()
	return len(g.pins.order), g.pins.dropped
}

// Pin keeps the pass's view for the further pages of a list that begins.
func (p *Pass) Pin() { p.gate.pins.add(p.view.Applied(), p.view, p.gate.now()) }

// At is the organization at an index which this node has reached, for a further
// page of a list. The rights of the caller are those of the pass, which come from
// the newest state. The handle may say a smaller index than the asked one: the
// last that had an effect.
func (p *Pass) At(index directory.Index) (*state.Org, error) {
	if view, ok := p.pinned(index); ok {
		return view, nil
	}
	view, ok := p.kept(index)
	if !ok {
		return nil, ErrCursorExpired
	}
	// The list began on another node; its reader may come here again.
	p.gate.pins.add(index, view, p.gate.now())
	return view, nil
}

// Kept is At for a question that is asked once: nothing is pinned for it.
func (p *Pass) Kept(index directory.Index) (*state.Org, bool) {
	if view, ok := p.pinned(index); ok {
		return view, true
	}
	return p.kept(index)
}

// pinned is the view of the pass itself or one that a list in progress holds.
func (p *Pass) pinned(index directory.Index) (*state.Org, bool) {
	if index == p.view.Applied() {
		return p.view, true
	}
	return p.gate.pins.find(p.Org(), index, p.gate.now())
}

// kept looks among the newest roots.
func (p *Pass) kept(index directory.Index) (*state.Org, bool) {
	if p.gate.rootAt == nil {
		return nil, false
	}
	root, ok := p.gate.rootAt(index)
	if !ok {
		return nil, false
	}
	return root.Org(p.Org())
}
