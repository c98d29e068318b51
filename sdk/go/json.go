package authfi

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

type object = map[string]any

// depthMax bounds nesting; a token has lists of strings, a key set one level more.
const depthMax = 16

var errJSON = errors.New("not an object of JSON with every name once")

// parseObject reads an object in which no name is there twice, on any level: two
// readers could read two things out of it. Numbers stay as they are written. The
// reader is our own because encoding/json, asked for one token after the other, took
// a third of a verification; TestJSON and FuzzJSON hold it to encoding/json.
func parseObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errJSON
	}
	r := reader{text: string(text)} // one copy, which the strings share
	value, ok := r.value(depthMax)
	o, isObject := value.(object)
	if r.space(); !ok || !isObject || r.at != len(r.text) {
		return nil, errJSON
	}
	return o, nil
}

// reader is a place in a text.
type reader struct {
	text string
	at   int
}

// peek is the next byte, or 0, which begins nothing.
func (r *reader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

func (r *reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// take steps over one byte, behind white space, if it is c.
func (r *reader) take(c byte) bool {
	r.space()
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) value(depth int) (value any, ok bool) {
	r.space()
	switch c := r.peek(); {
	case c == '"':
		return r.string()
	case c == '{' && depth > 0:
		return r.members(depth - 1)
	case c == '[' && depth > 0:
		return r.items(depth - 1)
	case c == '-' || isDigit(c):
		return r.number()
	case c == 't':
		return true, r.word("true")
	case c == 'f':
		return false, r.word("false")
	case c == 'n':
		return nil, r.word("null")
	}
	return nil, false
}

func (r *reader) word(word string) bool {
	if len(r.text)-r.at < len(word) || r.text[r.at:r.at+len(word)] != word {
		return false
	}
	r.at += len(word)
	return true
}

func (r *reader) members(depth int) (any, bool) {
	r.at++ // the brace
	o := object{}
	if r.take('}') {
		return o, true
	}
	for {
		r.space()
		if r.peek() != '"' {
			return nil, false
		}
		name, ok := r.string()
		if _, twice := o[name]; !ok || twice || !r.take(':') {
			return nil, false
		}
		if o[name], ok = r.value(depth); !ok {
			return nil, false
		}
		if !r.take(',') {
			return o, r.take('}')
		}
	}
}

func (r *reader) items(depth int) (any, bool) {
	r.at++ // the bracket
	list := []any{}
	if r.take(']') {
		return list, true
	}
	for {
		item, ok := r.value(depth)
		if !ok {
			return nil, false
		}
		list = append(list, item)
		if !r.take(',') {
			return list, r.take(']')
		}
	}
}

// string reads what has no escapes by itself.
func (r *reader) string() (string, bool) {
	begin, escaped := r.at, false
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			if !escaped {
				return r.text[begin+1 : r.at-1], true
			}
			var s string
			err := json.Unmarshal([]byte(r.text[begin:r.at]), &s)
			return s, err == nil
		case c == '\\':
			escaped = true
			r.at++ // what is escaped may be a quote
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// number reads the grammar of RFC 8259 §6.
func (r *reader) number() (any, bool) {
	begin := r.at
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else if !r.digits() {
		return nil, false
	}
	if r.peek() == '.' {
		if r.at++; !r.digits() {
			return nil, false
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		if !r.digits() {
			return nil, false
		}
	}
	return json.Number(r.text[begin:r.at]), true
}

// digits steps over one at least.
func (r *reader) digits() bool {
	begin := r.at
	for isDigit(r.peek()) {
		r.at++
	}
	return r.at > begin
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// numberMax is the largest integer that every language holds exactly.
const numberMax = 1<<53 - 1

// number reads 0 to numberMax.
func number(value any) (float64, bool) {
	text, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := text.Float64()
	return n, err == nil && n >= 0 && n <= numberMax
}

func text(value any) (string, bool) {
	s, ok := value.(string)
	return s, ok && s != ""
}

func texts(value any) ([]string, bool) {
	items, ok := value.([]any)
	if !ok {
		return nil, false
	}
	list := make([]string, len(items))
	for i, item := range items {
		if list[i], ok = item.(string); !ok {
			return nil, false
		}
	}
	return list, true
}
