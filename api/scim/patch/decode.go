package patch

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"
)

const (
	// MaxBody is the largest PATCH or group body in bytes: room for the members
	// of a large group pushed at once.
	MaxBody = 8 << 20
	// MaxUser is the largest body of a user in bytes. Providers send under 10 KB.
	MaxUser = 256 << 10
	// MaxOps is the number of operations in one PATCH. Entra sends at most a
	// few dozen, and puts many members into one operation.
	MaxOps = 1000
	// MaxDepth bounds nested objects and arrays. The deepest known body, an
	// element inside a path-less operation, has 6.
	MaxDepth = 16
	// MaxValues bounds the values of one PATCH or group body, and with it the
	// memory that decoding takes: 40 000 members with all four sub-attributes.
	MaxValues = 200_000
	// MaxUserValues bounds the values of one user.
	MaxUserValues = 4096
	// MaxElements bounds a multi-valued attribute of a user that a PATCH adds
	// to, because adding compares each new element with each old one.
	MaxElements = 100
)

// limits of one kind of body.
type limits struct{ bytes, values int }

// decode reads one JSON object, after checking its size and shape.
func decode(body []byte, max limits) (map[string]any, error) {
	if len(body) > max.bytes {
		return nil, fault(TooMany, "body is larger than %d bytes", max.bytes)
	}
	if err := measure(body, max.values); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil || object == nil {
		return nil, fault(InvalidSyntax, "body is not a JSON object")
	}
	if len(bytes.TrimSpace(body[dec.InputOffset():])) > 0 {
		return nil, fault(InvalidSyntax, "body goes on behind its JSON object")
	}
	return object, nil
}

// measure bounds depth and number of values without allocating. It counts
// commas and opening brackets outside strings, which is at least the number of
// values in well-formed JSON; the decoder judges the rest.
func measure(body []byte, values int) error {
	depth, count, quoted := 0, 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			count++
		case c == '}' || c == ']':
			depth--
		case c == ',':
			count++
		}
		if depth > MaxDepth {
			return fault(TooMany, "body is nested deeper than %d", MaxDepth)
		}
		if count > values {
			return fault(TooMany, "body has more than %d values", values)
		}
	}
	return nil
}

// member finds a key without regard to case. Of two spellings the exact one
// counts, then the first in byte order.
func member(object map[string]any, name string) (any, bool) {
	if v, ok := object[name]; ok {
		return v, true
	}
	for _, key := range keys(object) {
		if strings.EqualFold(key, name) {
			return object[key], true
		}
	}
	return nil, false
}

// keys lists the keys of an object in byte order: what we compute from an
// object may not depend on the order of a map.
func keys(object map[string]any) []string {
	out := make([]string, 0, len(object))
	for key := range object { // order-free: sorted below
		out = append(out, key)
	}
	sort.Strings(out)
	return out
}

// clone copies a JSON value.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = clone(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	default:
		return v
	}
}

// same compares two JSON values by their text, in which object keys are sorted
// and a number is a number whatever its Go type.
func same(a, b any) bool {
	if x, ok := a.(string); ok {
		return x == b
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
