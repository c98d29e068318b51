package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// brokenBody stands for what is not JSON, and is not JSON.
const brokenBody = `{"redacted`

// depthMax is above what any SCIM body nests; the server refuses such bodies, too.
const depthMax = 64

// Body is a body in the order in which it came. Cost and size are those of its
// bytes.
func (r *Redactor) Body(body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return ""
	}
	made, ok := r.document(body)
	if !ok {
		return brokenBody
	}
	return made
}

func (r *Redactor) document(body []byte) (string, bool) {
	if !utf8.Valid(body) {
		return "", false
	}
	w := writer{r: r, in: json.NewDecoder(bytes.NewReader(body))}
	w.in.UseNumber()
	if err := w.value("", 0); err != nil {
		return "", false
	}
	if _, err := w.in.Token(); !errors.Is(err, io.EOF) {
		return "", false
	}
	return w.out.String(), true
}

// writer copies one document from token to token.
type writer struct {
	r   *Redactor
	in  *json.Decoder
	out bytes.Buffer
}

var errDeep = errors.New("nested too deep")

// value copies the next value, which is that of a key or stands in a list that is.
func (w *writer) value(key string, depth int) error {
	token, err := w.in.Token()
	if err != nil {
		return err
	}
	if depth > depthMax {
		return errDeep
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return w.object(key, depth+1)
		}
		return w.list(key, depth+1)
	case string:
		w.text(w.r.valueOf(key, v))
	case json.Number:
		w.out.WriteString(w.r.numberOf(key, v.String()))
	case bool:
		if v {
			w.out.WriteString("true")
		} else {
			w.out.WriteString("false")
		}
	default:
		w.out.WriteString("null")
	}
	return nil
}

// object copies the members of an object. What stands below a secret is one.
func (w *writer) object(above string, depth int) error {
	w.out.WriteByte('{')
	for first := true; w.in.More(); first = false {
		token, err := w.in.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // the decoder takes nothing else here
		if !first {
			w.out.WriteByte(',')
		}
		w.text(w.r.keyOf(key))
		w.out.WriteByte(':')
		below := strings.ToLower(key)
		if isSecret(above) {
			below = above
		}
		if err := w.value(below, depth); err != nil {
			return err
		}
	}
	return w.end('}')
}

func (w *writer) list(key string, depth int) error {
	w.out.WriteByte('[')
	for first := true; w.in.More(); first = false {
		if !first {
			w.out.WriteByte(',')
		}
		if err := w.value(key, depth); err != nil {
			return err
		}
	}
	return w.end(']')
}

func (w *writer) end(delim byte) error {
	w.out.WriteByte(delim)
	_, err := w.in.Token()
	return err
}

func (w *writer) text(s string) {
	b, err := json.Marshal(s)
	if err != nil {
		panic("redact: text that is not JSON: " + err.Error())
	}
	w.out.Write(b)
}

// isSecret is true of a key, in lower case, whose value is not shown in any form:
// secrets, and texts for people, which may quote anything.
func isSecret(key string) bool {
	return key == "detail" || strings.Contains(key, "password") || strings.Contains(key, "secret") || strings.Contains(key, "token")
}

// valueOf is a text by the key that it is the value of.
func (r *Redactor) valueOf(key, s string) string {
	switch {
	case isSecret(key):
		return fixed
	case key == "filter":
		return r.filter(s)
	case key == "path" && strings.HasPrefix(s, "/"): // of an operation of a bulk request
		return r.Path(s)
	case key == "path":
		return r.path(s)
	case key == "schemas" && isURN(s):
		return s
	case key == "sortby" || key == "attributes" || key == "excludedattributes":
		return r.path(s)
	case key == "status" && isStatus(s):
		return s
	}
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") { // Entra sends roles as JSON in a text
		if made, ok := r.document([]byte(s)); ok {
			return made
		}
	}
	return r.text(s)
}

func isStatus(s string) bool { return len(s) == 3 && strings.Trim(s, "0123456789") == "" }

// counts are the keys whose numbers are those of a list or a request.
var counts = setOf("totalresults", "itemsperpage", "startindex", "count", "failonerrors")

func (r *Redactor) numberOf(key, text string) string {
	if counts[key] && len(text) <= countDigits {
		return text
	}
	return r.number(text)
}

// keyOf is the name of an attribute, the path of one, or no name.
func (r *Redactor) keyOf(key string) string {
	if isName(key) {
		return key
	}
	if made := r.path(key); made != brokenPath {
		return made
	}
	return r.word(key)
}
