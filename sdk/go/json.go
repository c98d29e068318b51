package authfi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

type object = map[string]any

// depthMax bounds nesting; a token has lists of strings, a key set one level more.
const depthMax = 16

var errJSON = errors.New("not an object of JSON with every name once")

// parseObject reads an object in which no name is there twice, on any level: two
// readers could read two things out of it. Numbers stay as they are written.
func parseObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := parseValue(decoder, depthMax)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	o, ok := value.(object)
	if !ok {
		return nil, errJSON
	}
	return o, nil
}

func parseValue(decoder *json.Decoder, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == 0 {
		return nil, errJSON
	}
	if delim == '{' {
		return parseMembers(decoder, depth-1)
	}
	list := []any{}
	for decoder.More() {
		item, err := parseValue(decoder, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err = decoder.Token() // the bracket that closes
	return list, err
}

func parseMembers(decoder *json.Decoder, depth int) (object, error) {
	members := object{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		key, ok := name.(string)
		if _, twice := members[key]; !ok || twice {
			return nil, errJSON
		}
		if members[key], err = parseValue(decoder, depth); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return members, err
}

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
