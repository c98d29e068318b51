package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// object is a JSON object with its fields in the order of the answer.
type object []member

type member struct {
	name  string
	value any // object, []any, string, json.Number, bool or nil
}

// decode reads one JSON value and keeps order and digits.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := decodeValue(d)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading the answer: more than one value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		o := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeValue(d)
			if err != nil {
				return nil, err
			}
			o = append(o, member{name: fmt.Sprint(name), value: v})
		}
		_, err = d.Token()
		return o, err
	}
	return token, nil
}

func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// MarshalJSON writes the fields in their order.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// marshal writes JSON for people: < stays <.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// replaceField puts other items into an answer; its other fields stay.
func replaceField(body []byte, name string, items []json.RawMessage) []byte {
	v, err := decode(body)
	o, ok := v.(object)
	if err != nil || !ok {
		return body
	}
	for i := range o {
		if o[i].name == name {
			o[i].value = items
		}
	}
	merged, err := marshal(o)
	if err != nil {
		return body
	}
	return merged
}

// appendYAML writes a value as block YAML. A string that could be read as
// something else is quoted as in JSON, which YAML reads alike.
func appendYAML(b []byte, v any, indent int) []byte {
	pad := "\n" + strings.Repeat("  ", indent)
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			return append(b, " {}"...)
		}
		for _, m := range v {
			b = append(append(b, pad...), yamlScalar(m.name)...)
			b = appendYAML(append(b, ':'), m.value, indent+1)
		}
		return b
	case []any:
		if len(v) == 0 {
			return append(b, " []"...)
		}
		for _, item := range v {
			nested := appendYAML(nil, item, indent+1)
			// The first field of an object stands on the line of its dash.
			nested = bytes.TrimPrefix(nested, []byte(pad+"  "))
			b = append(append(append(b, pad...), "- "...), bytes.TrimPrefix(nested, []byte(" "))...)
		}
		return b
	}
	return append(append(b, ' '), yamlScalar(v)...)
}

func yamlScalar(v any) string {
	text, isString := v.(string)
	if isString && plainYAML(text) {
		return text
	}
	quoted, err := marshal(v)
	if err != nil {
		panic("cli: a JSON value cannot be written: " + err.Error())
	}
	return string(quoted)
}

// plainYAML is true of a string that is certainly itself without quotes.
func plainYAML(s string) bool {
	if s == "" || !letter(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !letter(c) && (c < '0' || c > '9') && !strings.ContainsRune("-_./@+", rune(c)) {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	}
	return true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
