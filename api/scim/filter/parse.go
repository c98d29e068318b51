package filter

import (
	"fmt"
	"strings"
)

const (
	// MaxFilter is the longest filter in bytes. Providers send under 200; a
	// URL is seldom accepted beyond 8 KB by the proxies on the way.
	MaxFilter = 8 << 10
	// MaxPath is the longest PATCH path in bytes: a URN, a name, one value filter.
	MaxPath = 1 << 10
	// MaxDepth bounds nesting of parentheses, not and brackets, and with it the
	// parser's stack.
	MaxDepth = 32
	// MaxTerms bounds the comparisons of one filter, and with it the cost of
	// evaluating it on one resource.
	MaxTerms = 64
)

// Error says what is wrong with a filter or path, and where. Message is fit
// for the detail of a SCIM error.
type Error struct {
	Pos     int // byte offset of the first offending byte
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at position %d", e.Message, e.Pos) }

// Parse reads a filter.
func Parse(s string) (Expr, error) {
	if len(s) > MaxFilter {
		return nil, &Error{MaxFilter, fmt.Sprintf("filter is longer than %d bytes", MaxFilter)}
	}
	p := &parser{text: s}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(s) {
		return nil, p.fail("expected and, or, or the end of the filter")
	}
	return e, nil
}

// ParsePath reads the path of a PATCH operation. An empty path is an error:
// whoever allows operations without a path decides so before calling.
func ParsePath(s string) (Path, error) {
	if len(s) > MaxPath {
		return Path{}, &Error{MaxPath, fmt.Sprintf("path is longer than %d bytes", MaxPath)}
	}
	p := &parser{text: s}
	attr, err := p.attr()
	if err != nil {
		return Path{}, err
	}
	path := Path{URN: attr.URN, Attr: attr.Name, Sub: attr.Sub}
	if p.peek() == '[' {
		if path.Filter, path.Sub, err = p.brackets(attr); err != nil {
			return Path{}, err
		}
	}
	if p.space(); p.pos < len(s) {
		return Path{}, p.fail("expected the end of the path")
	}
	return path, nil
}

// parser descends recursively; depth is counted in enter, so the stack is
// bounded by MaxDepth whatever the input.
type parser struct {
	text   string
	pos    int
	depth  int
	terms  int
	inside bool // inside brackets, where another value filter is not allowed
}

func (p *parser) fail(format string, args ...any) error {
	return &Error{p.pos, fmt.Sprintf(format, args...)}
}

func (p *parser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return p.fail("filter is nested deeper than %d", MaxDepth)
	}
	return nil
}

func (p *parser) or() (Expr, error) {
	left, err := p.and()
	for err == nil && p.keyword("or") {
		var right Expr
		right, err = p.and()
		left = Or{left, right}
	}
	return left, err
}

func (p *parser) and() (Expr, error) {
	left, err := p.term()
	for err == nil && p.keyword("and") {
		var right Expr
		right, err = p.term()
		left = And{left, right}
	}
	return left, err
}

func (p *parser) term() (Expr, error) {
	p.space()
	if p.negation() {
		e, err := p.parentheses()
		return Not{e}, err
	}
	if p.peek() == '(' {
		return p.parentheses()
	}
	return p.comparison()
}

// negation consumes the word not when a parenthesis follows, with or without
// space between; otherwise not is an attribute name.
func (p *parser) negation() bool {
	start := p.pos
	if p.keyword("not") {
		if p.space(); p.peek() == '(' {
			return true
		}
	}
	p.pos = start
	return false
}

func (p *parser) parentheses() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	p.pos++
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	p.depth--
	return e, p.expect(')')
}

func (p *parser) comparison() (Expr, error) {
	p.space()
	start := p.pos
	attr, err := p.attr()
	if err != nil {
		return nil, err
	}
	if p.peek() == '[' {
		return p.valuePath(attr, start)
	}
	return p.compare(attr, start)
}

func (p *parser) valuePath(attr Attr, start int) (Expr, error) {
	inner, sub, err := p.brackets(attr)
	if err != nil || sub == "" {
		return ValuePath{attr, inner, start}, err
	}
	behind, err := p.compare(Attr{Name: sub}, p.pos-len(sub))
	return ValuePath{attr, And{inner, behind}, start}, err
}

// brackets reads [filter] and a sub-attribute behind it, if there is one.
func (p *parser) brackets(attr Attr) (inner Expr, sub string, err error) {
	if p.inside || attr.Sub != "" {
		return nil, "", p.fail("a value filter is not allowed here")
	}
	if err := p.enter(); err != nil {
		return nil, "", err
	}
	p.inside = true
	p.pos++
	if inner, err = p.or(); err != nil {
		return nil, "", err
	}
	p.inside = false
	p.depth--
	if err = p.expect(']'); err != nil || p.peek() != '.' {
		return inner, "", err
	}
	p.pos++
	behind, err := p.attr()
	if err == nil && (behind.URN != "" || behind.Sub != "") {
		err = p.fail("expected one sub-attribute behind the value filter")
	}
	return inner, behind.Name, err
}

func (p *parser) compare(attr Attr, start int) (Expr, error) {
	if p.terms++; p.terms > MaxTerms {
		return nil, p.fail("filter has more than %d comparisons", MaxTerms)
	}
	p.space()
	behind := p.pos
	op := operator(p.word())
	switch op {
	case "":
		p.pos = behind
		return nil, p.fail("expected an operator such as eq behind %q", attr.String())
	case Present:
		return Compare{Attr: attr, Op: op, Pos: start}, nil
	}
	value, err := p.value()
	return Compare{attr, op, value, start}, err
}

var operators = [...]Op{Equal, NotEqual, Contains, StartsWith, EndsWith, Greater, GreaterOrEqual, Less, LessOrEqual, Present}

// operator finds the operator that a word spells, in any case.
func operator(word string) Op {
	if len(word) != 2 {
		return ""
	}
	for _, op := range operators {
		if word[0]|0x20 == op[0] && word[1]|0x20 == op[1] {
			return op
		}
	}
	return ""
}

// attr reads [URN ":"] name ["." sub]. The URN ends at the last colon, since
// versions inside it contain dots.
func (p *parser) attr() (Attr, error) {
	p.space()
	start := p.pos
	word := p.word()
	var a Attr
	name := word
	if i := strings.LastIndexByte(word, ':'); i >= 0 {
		a.URN, name = word[:i], word[i+1:]
	}
	var dotted bool
	a.Name, a.Sub, dotted = strings.Cut(name, ".")
	prefixed := len(word) != len(name)
	if !isName(a.Name) || dotted && !isName(a.Sub) || prefixed && !isURN(a.URN) {
		p.pos = start
		return Attr{}, p.fail("expected an attribute name")
	}
	return a, nil
}

// isURN asks for the shape only, so that a tenant-defined extension passes.
func isURN(s string) bool {
	return len(s) > len("urn:") && strings.EqualFold(s[:len("urn:")], "urn:")
}

func isName(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		first := isLetter(c) || c == '$'
		if !first && (i == 0 || c != '-' && c != '_' && !isDigit(c)) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// word takes the longest run of bytes that a name, a URN or an operator has.
func (p *parser) word() string {
	start := p.pos
	for p.pos < len(p.text) && isWord(p.text[p.pos]) {
		p.pos++
	}
	return p.text[start:p.pos]
}

func isWord(c byte) bool {
	switch c {
	case '$', '-', '_', '.', ':':
		return true
	}
	return isLetter(c) || isDigit(c)
}

// keyword consumes the given word, in any case, if it comes next.
func (p *parser) keyword(want string) bool {
	start := p.pos
	p.space()
	end := p.pos + len(want)
	if end > len(p.text) || !strings.EqualFold(p.text[p.pos:end], want) || end < len(p.text) && isWord(p.text[end]) {
		p.pos = start
		return false
	}
	p.pos = end
	return true
}

func (p *parser) expect(c byte) error {
	if p.space(); p.peek() != c {
		return p.fail("expected %q", string(c))
	}
	p.pos++
	return nil
}

// peek gives the next byte, or zero at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *parser) space() {
	for p.peek() == ' ' || p.peek() == '\t' {
		p.pos++
	}
}
