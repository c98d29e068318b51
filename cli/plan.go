package cli

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

// change is one request that an import makes. It is built when its turn comes,
// since ids of what the import itself makes are known only then.
type change struct {
	procedure string
	fields    func() map[string]any
	done      func(id string)
	lines     []int // of the file, one for each record that it changes
	counted   bool  // the records count already, by another change
	what      string
	// apart is the same as one change for each line, to find the one that is
	// refused; nil when there is one line.
	apart func() []change
}

// weight is how many records it changes.
func (c *change) weight() int {
	if c.counted {
		return 0
	}
	return len(c.lines)
}

// phase is a set of changes that need each other in no way.
type phase struct {
	what    string
	changes []change
}

// plan is what has to be done to make an organization hold a file.
type plan struct {
	mu     sync.Mutex // guards the ids of now while phases run
	now    *snapshot
	phases []phase
	counts []count
	found  archive.Findings
}

// count says what becomes of the records of a kind.
type count struct {
	Kind      string `json:"kind"`
	Created   int    `json:"created"`
	Changed   int    `json:"changed"`
	Unchanged int    `json:"unchanged"`
}

// newPlan compares. Nothing is taken away: what the file does not hold stays. The
// order is that in which records refer to each other; what the organization asks
// of sign-ins comes last, since it may end the caller's.
func newPlan(now *snapshot, file *archive.File) (*plan, error) {
	p := &plan{now: now}
	settings := p.organization(file)
	p.schema(file)
	p.permissions(file)
	p.roles(file)
	p.groups(file)
	p.users(file)
	p.members(file)
	p.nestings(file)
	p.assignments(file)
	p.services(file)
	p.connections(file)
	p.add("settings", settings)
	if err := p.found.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *plan) add(what string, changes []change) {
	if len(changes) > 0 {
		p.phases = append(p.phases, phase{what: what, changes: changes})
	}
}

// changes is how many records the plan changes.
func (p *plan) changes() (n int) {
	for _, c := range p.counts {
		n += c.Created + c.Changed
	}
	return n
}

func (p *plan) id(of ids, name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return of.of(name)
}

// named remembers the id of what was made.
func (p *plan) named(in ids, name string) func(string) {
	return func(id string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		in.put(name, id)
	}
}

// tally counts a record.
func (c *count) tally(exists bool, changed bool) {
	switch {
	case !exists:
		c.Created++
	case changed:
		c.Changed++
	default:
		c.Unchanged++
	}
}

// index finds records by their folded name.
func index[T any](records []*T, name func(*T) string) map[string]*T {
	out := make(map[string]*T, len(records))
	for _, r := range records {
		out[directory.Fold(name(r))] = r
	}
	return out
}

// differing are the fields whose values are not the same.
func differing(old, new map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range new {
		if !equal(old[name], value) {
			out[name] = value
		}
	}
	return out
}

func equal(a, b any) bool {
	listA, ok := a.([]string)
	if listB, also := b.([]string); ok && also {
		return slices.Equal(listA, listB)
	}
	return a == b
}

// record is what the file wants of one object, and what there is.
type record struct {
	noun     string // as in CreateUser
	name     string
	line     int
	id       string // empty: it has to be made
	old, new map[string]any
	in       ids
}

// write makes or changes one object.
func (p *plan) write(c *count, r record) (change, bool) {
	exists := r.id != ""
	fields := maps.Clone(r.new)
	if exists {
		fields = differing(r.old, r.new)
	}
	c.tally(exists, len(fields) > 0)
	if exists && len(fields) == 0 {
		return change{}, false
	}
	made := change{
		procedure: r.noun + "Service.Create" + r.noun, lines: []int{r.line},
		what: "create " + strings.ToLower(r.noun) + " " + r.name, done: p.named(r.in, r.name),
		fields: func() map[string]any { return fields },
	}
	if exists {
		made.procedure = r.noun + "Service.Update" + r.noun
		made.what = "change " + strings.ToLower(r.noun) + " " + r.name + ": " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
		fields["id"] = r.id
		return made, true
	}
	fields[orgField] = p.now.id
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == "" || value == nil })
	return made, true
}
