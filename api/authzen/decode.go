package authzen

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/authfi/authfi/directory"
)

// Bounds of a request.
const (
	bodyMax  = 1 << 20 // 1,000 evaluations of a KiB
	depthMax = 32      // of nested values; properties and context are not looked at
)

// object is a JSON object whose names are taken as they are written: what differs
// in case is another name.
type object map[string]json.RawMessage

// readBody wants one JSON object in the manner of I-JSON (RFC 7493): two parsers
// must not be able to read two things out of it.
func readBody(w http.ResponseWriter, r *http.Request) (object, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, directory.Invalid("Content-Type", "must be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, directory.Invalid("", "the body is larger than %d bytes", bodyMax)
	case err != nil:
		return nil, directory.Invalid("", "the body could not be read")
	case !utf8.Valid(body):
		return nil, directory.Invalid("", "the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := unique(decoder, depthMax); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errSyntax()
	}
	return objectOf("", body)
}

func errSyntax() error { return directory.Invalid("", "the body is not one JSON object") }

// unique reads one value and refuses names that come twice in an object, and
// nesting beyond the depth.
func unique(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return errSyntax()
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == 0 {
		return directory.Invalid("", "values are nested more than %d deep", depthMax)
	}
	seen := map[string]bool{}
	for decoder.More() {
		if open == '{' {
			name, err := decoder.Token()
			if err != nil {
				return errSyntax()
			}
			text, _ := name.(string) // the decoder lets nothing else through
			if seen[text] {
				return directory.Invalid("", "%.64q is there twice", text)
			}
			seen[text] = true
		}
		if err := unique(decoder, depth-1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errSyntax()
	}
	return nil
}

// objectOf reads a value that must be an object; field names it.
func objectOf(field string, raw json.RawMessage) (object, error) {
	var o object
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(raw, &o) != nil {
		if field == "" {
			return nil, errSyntax()
		}
		return nil, directory.Invalid(field, "must be an object")
	}
	return o, nil
}

// optional reads an object that may be absent.
func (o object) optional(field string) (object, error) {
	raw, ok := o[field]
	if !ok {
		return nil, nil
	}
	return objectOf(field, raw)
}

// text reads a string that must be there.
func (o object) text(entity, name string) (string, error) {
	field := entity + "." + name
	raw, ok := o[name]
	if !ok {
		return "", directory.Invalid(field, "is required")
	}
	var text *string
	if json.Unmarshal(raw, &text) != nil || text == nil {
		return "", directory.Invalid(field, "must be a string")
	}
	if *text == "" {
		return "", directory.Invalid(field, "must not be empty")
	}
	return *text, nil
}

// entity reads a subject, a resource or an action: the texts that it must have,
// in the order in which they are named.
func (o object) entity(field string, names ...string) ([]string, error) {
	raw, ok := o[field]
	if !ok {
		return nil, directory.Invalid(field, "is required")
	}
	e, err := objectOf(field, raw)
	if err != nil {
		return nil, err
	}
	if properties, ok := e["properties"]; ok {
		if _, err := objectOf(field+".properties", properties); err != nil {
			return nil, err
		}
	}
	texts := make([]string, len(names))
	for i, name := range names {
		if texts[i], err = e.text(field, name); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// permission is what an action on a type of resource is called here. A name that
// no permission can have is nobody's: ok is false, and that is no mistake.
func permission(action, resourceType string) (p directory.Permission, ok bool) {
	p = directory.Permission(action + ":" + resourceType)
	return p, p.Check() == nil
}
