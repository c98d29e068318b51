package login

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// nestingMax bounds a token's JSON; what a node mints has lists of strings.
const nestingMax = 16

var errSpelling = errors.New("token is not spelt as RFC 7515 and RFC 8725 want it")

// checkSpelling demands that a token can be read in one way only, before a library
// reads it: each part in the one base64url that its bytes have, each JSON text an
// object with every name once and nothing behind it, and a header that names type,
// algorithm and key and nothing that would say how to find another.
func checkSpelling(token string) error { return checkParts(token, "typ", "alg", "kid") }

// checkParts is checkSpelling for a header of these names and no other.
func checkParts(token string, names ...string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errSpelling
	}
	var texts [3][]byte
	for i, part := range parts {
		var err error
		// The decoder reads over line ends.
		if texts[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return errSpelling
		}
	}
	header, err := readMembers(texts[0])
	if err != nil {
		return err
	}
	for name := range header {
		if !slices.Contains(names, name) {
			return errSpelling
		}
	}
	claims, err := readMembers(texts[1])
	if err != nil {
		return err
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if value, there := claims[name]; there {
			if _, number := value.(json.Number); !number {
				return errSpelling // a library takes text, too
			}
		}
	}
	return nil
}

// readMembers reads one object of JSON.
func readMembers(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errSpelling
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := readOnce(decoder, nestingMax)
	if err != nil {
		return nil, err
	}
	members, ok := value.(map[string]any)
	if _, err := decoder.Token(); !ok || !errors.Is(err, io.EOF) {
		return nil, errSpelling
	}
	return members, nil
}

// readOnce reads a value and refuses an object that has a name twice.
func readOnce(decoder *json.Decoder, nesting int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return token, nil
	}
	if nesting == 0 {
		return nil, errSpelling
	}
	members := map[string]any{}
	for decoder.More() {
		name := ""
		if delim == '{' {
			text, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			name = text.(string)
			if _, twice := members[name]; twice {
				return nil, errSpelling
			}
		}
		if members[name], err = readOnce(decoder, nesting-1); err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil || delim == '{' {
		return members, err
	}
	return nil, nil // nobody reads a list here
}
