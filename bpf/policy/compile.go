package policy

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Program is the compiled policy of one service. Row 0 is dead and row 1 the
// start; rule set 0 is none. A program without routes has no row 1.
type Program struct {
	Rows    []Row
	Accepts []Accept

	version  uint64
	routes   int
	dryRun   bool
	deciding []deciding // by row
}

// deciding is, per method, the number of the route that decides, from 1; 0 is
// none.
type deciding [methodSlots]uint16

// Start is the state before the first byte of a path.
func (p *Program) Start() uint16 {
	if p == nil || len(p.Rows) < 2 {
		return 0
	}
	return 1
}

// Next is the state after one decoded byte.
func (p *Program) Next(state uint16, b byte) uint16 {
	if p == nil || int(state) >= len(p.Rows) {
		return 0
	}
	return p.Rows[state].Next[b]
}

// atom is one step of a pattern.
type atom struct {
	kind atomKind
	b    byte
}

type atomKind uint8

const (
	exactly  atomKind = iota // the byte b
	segment                  // one or more bytes other than '/'
	anything                 // any bytes, to the end
)

func parsePattern(path string) (atoms []atom) {
	for _, s := range strings.Split(path[1:], "/") {
		atoms = append(atoms, atom{kind: exactly, b: '/'})
		switch s {
		case "*":
			atoms = append(atoms, atom{kind: segment})
		case "**":
			atoms = append(atoms, atom{kind: anything})
		default:
			for i := range len(s) {
				atoms = append(atoms, atom{kind: exactly, b: s[i]})
			}
		}
	}
	return atoms
}

// specificity orders patterns segment by segment: literal, then *, then **.
func specificity(path string) string {
	var b strings.Builder
	for _, s := range strings.Split(path[1:], "/") {
		switch s {
		case "**":
			b.WriteByte('1')
		case "*":
			b.WriteByte('2')
		default:
			b.WriteByte('3')
		}
	}
	return b.String() + "4" // an end is more specific than a rest
}

// place is a position in one route's pattern; inside means that a segment atom
// has taken at least one byte.
type place struct {
	route, atom uint16
	inside      bool
}

// compiler is a subset construction over all routes of a service.
type compiler struct {
	service  *Service
	routes   []Route
	patterns [][]atom
	rank     []string
	rules    []Rule
	ids      map[string]uint16
	sets     [][]place
	accepts  map[Accept]uint16
	program  *Program
}

// Compile makes the program of a service that is nothing but its routes.
func Compile(org uint32, routes []Route, numbers *Numbering) (*Program, error) {
	return (&Service{Routes: routes}).Compile(org, numbers)
}

func newCompiler(s *Service) *compiler {
	return &compiler{
		service: s, routes: s.Routes, ids: map[string]uint16{}, accepts: map[Accept]uint16{},
		program: &Program{
			Rows: make([]Row, 1), Accepts: make([]Accept, 1), deciding: make([]deciding, 1),
			version: s.Version, routes: len(s.Routes), dryRun: s.DryRun,
		},
		sets: make([][]place, 1),
	}
}

func ruleOf(org uint32, r *Route, numbers *Numbering) (rule Rule, err error) {
	rule = Rule{Action: Token, Org: org}
	if r.Public {
		rule.Action = Public
	}
	if r.MFA {
		rule.MFA = 1
	}
	if r.Upgrade {
		rule.Flags |= FlagUpgrade
	}
	if r.GetBody {
		rule.Flags |= FlagGetBody
	}
	if r.asksForRights() {
		rule.Numbering = numbers.id
	}
	if rule.Any, err = numbers.mask(r.Roles, RoleName); err != nil {
		return rule, err
	}
	rule.All, err = numbers.mask(r.everyOne(), func(name string) string { return name })
	return rule, err
}

func (c *compiler) run(start []place) error {
	if len(start) == 0 {
		if c.service.DryRun { // of a program without rows nobody could tell
			c.row(0, deciding{})
		}
		return nil
	}
	if _, err := c.state(start); err != nil {
		return err
	}
	for at := 1; at < len(c.sets); at++ {
		for b := range 256 {
			next, err := c.state(c.step(c.sets[at], byte(b)))
			if err != nil {
				return err
			}
			c.program.Rows[at].Next[b] = next
		}
	}
	return nil
}

// state finds or makes the row of a set of places.
func (c *compiler) state(set []place) (uint16, error) {
	if len(set) == 0 {
		return 0, nil
	}
	key := keyOf(set)
	if id, ok := c.ids[key]; ok {
		return id, nil
	}
	if len(c.sets) > StatesMax {
		return 0, directory.Exhausted("policies", "overlapping wildcards need more than %d path states", StatesMax)
	}
	winners := c.winners(set)
	accept, err := c.accept(winners)
	if err != nil {
		return 0, err
	}
	id := uint16(len(c.sets))
	c.ids[key] = id
	c.sets = append(c.sets, set)
	c.row(accept, winners)
	return id, nil
}

func (c *compiler) row(accept uint16, winners deciding) {
	row := Row{Accept: accept}
	if c.service.DryRun {
		row.Flags |= RowDryRun
	}
	c.program.Rows = append(c.program.Rows, row)
	c.program.deciding = append(c.program.deciding, winners)
}

func keyOf(set []place) string {
	b := make([]byte, 0, 5*len(set))
	for _, p := range set {
		b = binary.BigEndian.AppendUint16(b, p.route)
		b = binary.BigEndian.AppendUint16(b, p.atom)
		if p.inside {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return string(b)
}

// step moves every place by one byte.
func (c *compiler) step(set []place, b byte) (next []place) {
	if c.service.FoldCase && b >= 0x80 {
		return nil
	}
	for _, p := range set {
		if moved, ok := c.move(p, b); ok {
			next = append(next, moved)
		}
		// The slash that stands for nothing: what ended before it has ended.
		if length := len(c.patterns[p.route]); c.service.FoldSlash && b == '/' && c.ends(p) && int(p.atom) <= length {
			next = append(next, place{route: p.route, atom: uint16(length) + 1})
		}
	}
	slices.SortFunc(next, comparePlaces)
	return slices.Compact(next)
}

func (c *compiler) move(p place, b byte) (place, bool) {
	pattern := c.patterns[p.route]
	if int(p.atom) >= len(pattern) {
		return p, false
	}
	a := pattern[p.atom]
	switch a.kind {
	case anything:
		return p, true
	case segment:
		if b != '/' {
			return place{p.route, p.atom, true}, true
		}
		if !p.inside || int(p.atom)+1 >= len(pattern) {
			return p, false
		}
		p.atom++ // the segment has ended; the byte belongs to what follows
		a = pattern[p.atom]
	}
	same := a.b == b || c.service.FoldCase && lower(a.b) == lower(b)
	return place{route: p.route, atom: p.atom + 1}, a.kind == exactly && same
}

func comparePlaces(a, b place) int {
	if a.route != b.route {
		return int(a.route) - int(b.route)
	}
	if a.atom != b.atom {
		return int(a.atom) - int(b.atom)
	}
	if a.inside == b.inside {
		return 0
	}
	if b.inside {
		return -1
	}
	return 1
}

// winners are, per method, the most specific route that ends here. A named method
// beats all methods; which route was listed first never decides.
func (c *compiler) winners(set []place) (winners deciding) {
	var best [methodSlots]string
	for _, p := range set {
		if !c.matches(p) {
			continue
		}
		rank := c.rank[p.route] + "0"
		if len(c.routes[p.route].Methods) > 0 {
			rank = c.rank[p.route] + "1"
		}
		for _, m := range c.routes[p.route].methods() {
			if rank > best[m] {
				best[m], winners[m] = rank, p.route+1
			}
		}
	}
	return winners
}

// accept is the rule set of the winners.
func (c *compiler) accept(winners deciding) (uint16, error) {
	var rules Accept
	for m, route := range winners {
		if route > 0 {
			rules[m] = c.rules[route-1]
		}
	}
	if rules == (Accept{}) {
		return 0, nil
	}
	if id, ok := c.accepts[rules]; ok {
		return id, nil
	}
	if len(c.program.Accepts) > AcceptsMax {
		return 0, directory.Exhausted("policies", "more than %d different sets of rules", AcceptsMax)
	}
	id := uint16(len(c.program.Accepts))
	c.accepts[rules] = id
	c.program.Accepts = append(c.program.Accepts, rules)
	return id, nil
}

// matches reports whether the path so far is one of the route's, by itself or, where
// slashes are folded, with one more at its end.
func (c *compiler) matches(p place) bool {
	if c.ends(p) {
		return true
	}
	if !c.service.FoldSlash {
		return false
	}
	moved, ok := c.move(p, '/')
	return ok && c.ends(moved)
}

func (c *compiler) ends(p place) bool {
	pattern := c.patterns[p.route]
	if int(p.atom) >= len(pattern) {
		return true
	}
	last := int(p.atom) == len(pattern)-1
	kind := pattern[p.atom].kind
	return last && (kind == anything || kind == segment && p.inside)
}
