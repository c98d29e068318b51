package authfi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/authfi/authfi/sdk/conformance"
)

// slowObject is the obvious reader, of encoding/json's tokens.
func slowObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := slowValue(decoder, depthMax)
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

func slowValue(decoder *json.Decoder, depth int) (any, error) {
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
		return slowMembers(decoder, depth-1)
	}
	list := []any{}
	for decoder.More() {
		item, err := slowValue(decoder, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	_, err = decoder.Token() // the bracket that closes
	return list, err
}

func slowMembers(decoder *json.Decoder, depth int) (object, error) {
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
		if members[key], err = slowValue(decoder, depth); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return members, err
}

func sameAsSlow(t *testing.T, text []byte) {
	t.Helper()
	got, err := parseObject(text)
	want, wrong := slowObject(text)
	if (err == nil) != (wrong == nil) || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: %v %v, want %v %v", text, got, err, want, wrong)
	}
}

var trickyTexts = []string{
	`{}`, ` { } `, `[]`, `null`, `"x"`, ``, `{`, `}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"a":1}x`, `{"a":1} {}`,
	`{"a":1,"a":1}`, `{"a":{"b":1,"b":2}}`, `{"a":1,"\u0061":2}`, `{"a":[{"b":1},{"b":2}]}`, `{"":0}`,
	`{"a":tru}`, `{"a":true}`, `{"a":truefalse}`, `{"a":nul}`, `{"a":null}`, `{"a":False}`, `{"a":NaN}`, `{"a":Infinity}`,
	`{"a":0}`, `{"a":-0}`, `{"a":00}`, `{"a":01}`, `{"a":-}`, `{"a":+1}`, `{"a":1.}`, `{"a":.5}`, `{"a":1.5}`, `{"a":1e}`, `{"a":1e+}`, `{"a":1e5}`,
	`{"a":1E-5}`, `{"a":1.5e+10}`, `{"a":0x10}`, `{"a":1_0}`, `{"a":123456789012345678901234567890}`, `{"a":-1e999}`,
	`{"a":"\"}`, `{"a":"\\"}`, `{"a":"\\\""}`, `{"a":"\q"}`, `{"a":"\u12"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud800"}`, `{"a":"\udc00x"}`, `{"a":"\/\b\f\n\r\t"}`,
	"{\"a\":\"x\ny\"}", "{\"a\":\"\x00\"}", "{\"a\":\"\x7f\"}", "{\"a\":\"\xff\"}", "\ufeff{}", "{\"a\":1}\x00", "{\v}", "{\u00a0}", "{\"a\u2028\":\"\u2028\"}",
	`{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[]}`, `{"a":[[],{}]}`, `{'a':1}`, `{a:1}`, `{"a":1/*x*/}`, `{"a":1}//x`,
}

func TestJSON(t *testing.T) {
	for _, text := range trickyTexts {
		sameAsSlow(t, []byte(text))
	}
	for depth := depthMax - 2; depth < depthMax+2; depth++ {
		sameAsSlow(t, []byte(`{"a":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+`}`))
		sameAsSlow(t, []byte(strings.Repeat(`{"a":`, depth)+`1`+strings.Repeat("}", depth)))
	}
	var file conformance.Tokens
	load(t, "tokens.json", &file)
	for _, c := range file.Cases {
		for _, part := range strings.Split(c.Token, ".") {
			if text, ok := decode(part); ok {
				sameAsSlow(t, text)
			}
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, text := range trickyTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameAsSlow(t, text) })
}
