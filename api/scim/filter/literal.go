package filter

import (
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// value reads the literal behind an operator.
func (p *parser) value() (any, error) {
	p.space()
	if p.peek() == '"' {
		return p.quoted()
	}
	start := p.pos
	for p.pos < len(p.text) && !endsLiteral(p.text[p.pos]) {
		p.pos++
	}
	word := p.text[start:p.pos]
	switch {
	case strings.EqualFold(word, "true"):
		return true, nil
	case strings.EqualFold(word, "false"):
		return false, nil
	case strings.EqualFold(word, "null"):
		return nil, nil
	case isNumber(word):
		return json.Number(word), nil
	}
	p.pos = start
	return nil, p.fail("expected a quoted string, a number, true, false or null")
}

func endsLiteral(c byte) bool {
	switch c {
	case ' ', '\t', '(', ')', '[', ']':
		return true
	}
	return false
}

// isNumber reports whether a word is a number of JSON (RFC 8259 section 6).
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole := digits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	if s = s[whole:]; strings.HasPrefix(s, ".") {
		n := digits(s[1:])
		if n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if s == "" || s[0]|0x20 != 'e' {
		return s == ""
	}
	if s = s[1:]; strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		s = s[1:]
	}
	return s != "" && digits(s) == len(s)
}

// digits counts the digits that a text begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// quoted reads a string of JSON. Most have no escape, and are a part of the
// filter's own text.
func (p *parser) quoted() (string, error) {
	open := p.pos
	p.pos++
	plain := p.run()
	if p.peek() == '"' {
		p.pos++
		return plain, p.checkUTF8(plain, open)
	}
	out := append(make([]byte, 0, len(plain)+16), plain...)
	for p.pos < len(p.text) && p.text[p.pos:] != `\` {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			s := string(out)
			return s, p.checkUTF8(s, open)
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		case c < ' ':
			return "", p.fail("a string must not contain the control character %#02x; write it as an escape", c)
		}
		out = append(out, p.run()...)
	}
	p.pos = open
	return "", p.fail("string is not closed")
}

// run takes what stands for itself in a string.
func (p *parser) run() string {
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] != '"' && p.text[p.pos] != '\\' && p.text[p.pos] >= ' ' {
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *parser) checkUTF8(s string, open int) error {
	if utf8.ValidString(s) {
		return nil
	}
	p.pos = open
	return p.fail("string is not UTF-8")
}

// escapes are the characters behind a backslash that stand for one, in pairs.
const escapes = "\"\"\\\\//b\bf\fn\nr\rt\t"

// escape reads what follows a backslash (RFC 8259 section 7).
func (p *parser) escape() (rune, error) {
	start := p.pos
	p.pos++
	c := p.peek()
	for i := 0; i < len(escapes); i += 2 {
		if c == escapes[i] {
			p.pos++
			return rune(escapes[i+1]), nil
		}
	}
	r, ok := p.unit()
	if ok && utf16.IsSurrogate(r) {
		low, paired := rune(0), false
		if p.peek() == '\\' {
			p.pos++
			low, paired = p.unit()
		}
		r = utf16.DecodeRune(r, low)
		ok = paired && r != utf8.RuneError
	}
	if !ok {
		p.pos = start
		return 0, p.fail("an escape in the string is not one of JSON")
	}
	return r, nil
}

// unit reads u and four hexadecimal digits: half of a surrogate pair, or all of a
// character.
func (p *parser) unit() (rune, bool) {
	if p.peek() != 'u' || len(p.text)-p.pos < 5 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[p.pos+1 : p.pos+5]) {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	p.pos += 5
	return r, true
}
