package authfi

import (
	"fmt"
	"strings"
)

// permissionMax is the longest permission that a directory holds, in bytes.
const permissionMax = 128

// anyNoun makes verb:* of a verb: the one wildcard that there is.
const anyNoun = "*"

// Permissions are what a user holds, as the token lists them.
type Permissions map[string]struct{}

// Allow reports whether p is held: by name, or by the wildcard of its verb. A
// wildcard is granted by itself alone, and what is no permission by nothing.
func (held Permissions) Allow(p string) bool {
	verb, noun, ok := splitPermission(p)
	if !ok {
		return false
	}
	if _, ok := held[p]; ok {
		return true
	}
	if noun == anyNoun {
		return false
	}
	_, ok = held[verb+":"+anyNoun]
	return ok
}

// missing are those of wanted that are not held, in their order.
func (held Permissions) missing(wanted []string) []string {
	var lacking []string
	for _, p := range wanted {
		if !held.Allow(p) {
			lacking = append(lacking, p)
		}
	}
	return lacking
}

func splitPermission(p string) (verb, noun string, ok bool) {
	verb, noun, ok = strings.Cut(p, ":")
	return verb, noun, ok && len(p) <= permissionMax && isWord(verb) && (noun == anyNoun || isWord(noun))
}

func isWord(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return s != ""
}

// mustBePermissions stops a program that asks for what nobody can hold: a
// misspelt permission would refuse everybody, and none would let everybody in.
func mustBePermissions(wanted []string) {
	if len(wanted) == 0 {
		panic("authfi: Require needs a permission; Authenticated needs none")
	}
	for _, p := range wanted {
		if _, _, ok := splitPermission(p); !ok {
			panic(fmt.Sprintf("authfi: %q is not of the form verb:noun in lower case", p))
		}
	}
}
