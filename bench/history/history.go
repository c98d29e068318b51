// Package history records what concurrent clients asked and were told, and finds
// whether one order of it, in which each operation takes effect at one moment between
// its call and its return, explains every answer: whether it is linearizable.
package history

import (
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what an operation does. A key is a register or a set, never both.
type Kind uint8

const (
	Write  Kind = iota + 1 // Value to a register
	Read                   // of a register
	Add                    // Member to a set
	Remove                 // Member from a set
	List                   // all members of a set
	Has                    // whether Member is in a set
)

// MembersMax bounds a set: its state is one word.
const MembersMax = 64

// Call is an operation on the register or set of a key.
type Call struct {
	Kind   Kind
	Key    string
	Value  string
	Member int
}

// Answer is what a Read, a List or a Has was told.
type Answer struct {
	Value   string
	Members uint64
	Has     bool
}

// History is safe for concurrent use.
type History struct {
	began time.Time

	mu      sync.Mutex
	done    []porcupine.Operation // guarded by mu
	unknown int                   // of done; guarded by mu
}

// New begins a history in which every register is empty and every set too.
func New() *History { return &History{began: time.Now()} }

// Pending is a call that was sent. It is ended once, or never when it had no effect.
type Pending struct {
	h      *History
	client int
	call   Call
	at     int64
}

// Begin is called before a client sends. A client sends one call after the other.
func (h *History) Begin(client int, c Call) Pending {
	return Pending{h, client, c, int64(time.Since(h.began))}
}

// Answered ends a call that was answered.
func (p Pending) Answered(a Answer) {
	p.end(porcupine.Operation{ClientId: p.client, Input: p.call, Call: p.at, Output: a, Return: int64(time.Since(p.h.began))})
}

// Unknown ends a call that may yet take effect. A read that was not answered has none.
func (p Pending) Unknown() {
	if p.call.Kind == Read || p.call.Kind == List || p.call.Kind == Has {
		return
	}
	p.end(porcupine.Operation{Input: p.call, Call: p.at, Output: Answer{}, Return: math.MaxInt64})
}

func (p Pending) end(op porcupine.Operation) {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	if op.Return == math.MaxInt64 {
		p.h.unknown++
		op.ClientId = -p.h.unknown // it overlaps with what its client does next
	}
	p.h.done = append(p.h.done, op)
}

// Len counts operations, and those of unknown outcome among them.
func (h *History) Len() (all, unknown int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.done), h.unknown
}

// Added are the members whose addition to a set was acknowledged.
func (h *History) Added(key string) (members uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.done {
		if c := op.Input.(Call); c.Kind == Add && c.Key == key && op.Return != math.MaxInt64 {
			members |= 1 << c.Member
		}
	}
	return members
}

// Illegal is a history that no order explains.
type Illegal struct {
	Keys []string // whose operations contradict each other
	h    []porcupine.Operation
}

func (e *Illegal) Error() string { return fmt.Sprintf("not linearizable: %v", e.Keys) }

// Draw writes a page that shows the contradiction.
func (e *Illegal) Draw(file string) error {
	_, info := porcupine.CheckOperationsVerbose(model, e.h, time.Minute)
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	return porcupine.Visualize(model, info, out)
}

// Check looks for an order, key by key, for so long each at most. Its error is an
// *Illegal where there is none, and says so where the time was too short to know.
func (h *History) Check(each time.Duration) error {
	h.mu.Lock()
	parts := partition(slices.Clone(h.done))
	h.mu.Unlock()
	bad, undecided := &Illegal{}, []string(nil)
	for _, part := range parts {
		key := part[0].Input.(Call).Key
		switch porcupine.CheckOperationsTimeout(model, part, each) {
		case porcupine.Illegal:
			bad.Keys, bad.h = append(bad.Keys, key), append(bad.h, part...)
		case porcupine.Unknown:
			undecided = append(undecided, key)
		}
	}
	switch {
	case len(bad.Keys) > 0:
		return bad
	case len(undecided) > 0:
		return fmt.Errorf("linearizable or not could not be found out within %s for %v", each, undecided)
	}
	return nil
}

// partition by key, in the order in which keys come up.
func partition(ops []porcupine.Operation) [][]porcupine.Operation {
	var parts [][]porcupine.Operation
	place := map[string]int{}
	for _, op := range ops {
		key := op.Input.(Call).Key
		i, ok := place[key]
		if !ok {
			i = len(parts)
			place[key], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// state of one key.
type state struct {
	value   string
	members uint64
}

var model = porcupine.Model{
	Partition: partition,
	Init:      func() any { return state{} },
	Step: func(before, call, answer any) (bool, any) {
		return step(before.(state), call.(Call), answer.(Answer))
	},
	DescribeOperation: func(call, answer any) string { return describe(call.(Call), answer.(Answer)) },
}

func step(s state, c Call, a Answer) (bool, state) {
	bit := uint64(1) << c.Member
	switch c.Kind {
	case Write:
		return true, state{value: c.Value}
	case Read:
		return a.Value == s.value, s
	case Add:
		return true, state{members: s.members | bit}
	case Remove:
		return true, state{members: s.members &^ bit}
	case List:
		return a.Members == s.members, s
	case Has:
		return a.Has == (s.members&bit != 0), s
	}
	return false, s
}

func describe(c Call, a Answer) string {
	switch c.Kind {
	case Write:
		return fmt.Sprintf("%s := %q", c.Key, c.Value)
	case Read:
		return fmt.Sprintf("%s is %q", c.Key, a.Value)
	case Add:
		return fmt.Sprintf("%s + %d", c.Key, c.Member)
	case Remove:
		return fmt.Sprintf("%s - %d", c.Key, c.Member)
	case List:
		return fmt.Sprintf("%s is %b", c.Key, a.Members)
	}
	return fmt.Sprintf("%d in %s: %v", c.Member, c.Key, a.Has)
}
