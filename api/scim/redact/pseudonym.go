package redact

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
	"unicode"

	"github.com/authfi/authfi/directory"
)

// Redactor makes the pseudonyms of one key. Zero has no key and is not to be used.
type Redactor struct{ key [32]byte }

// New takes the key: conversations that are redacted with the same one fit together,
// and those of different ones cannot be compared.
func New(key [32]byte) *Redactor { return &Redactor{key} }

// fixed stands for what is not shown in any form.
const fixed = "redacted"

// keyed is the SHA-256 of key and text. Nothing but parts of it leaves this
// package, so that it cannot be extended.
func (r *Redactor) keyed(text string) [32]byte {
	return sha256.Sum256(append(r.key[:len(r.key):len(r.key)], text...))
}

// wordLetters is the length of a word: 80 bits, so that two of a log are never
// taken for one another.
const wordLetters = 16

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// word has the same letters for texts that differ in case only, as names compare,
// and those letters in the same case for equal texts only.
func (r *Redactor) word(text string) string {
	folded := directory.Fold(text)
	sum := r.keyed(folded)
	word := []byte(letters.EncodeToString(sum[:10]))
	if text == folded {
		return string(word)
	}
	sum = r.keyed("case " + text)
	upper := binary.BigEndian.Uint16(sum[:])
	for i := range wordLetters {
		if upper>>i&1 == 1 && word[i] >= 'a' {
			word[i] -= 'a' - 'A'
		}
	}
	return string(word)
}

// text is what a value is shown as.
func (r *Redactor) text(s string) string {
	switch {
	case strings.TrimSpace(s) == "", kept[strings.ToLower(s)], isSchema(s):
		return s
	case isGUID(s):
		return r.guid(s)
	case isID(s):
		return r.id(s)
	case strings.Contains(s, "://"):
		return r.address(s)
	}
	if made, ok := r.bulkReference(s); ok {
		return made
	}
	if made, ok := r.moment(s); ok {
		return made
	}
	return r.shaped(s)
}

// shaped is a word with what the server could refuse the text for: its length, if
// it is longer than the word, and a control character.
func (r *Redactor) shaped(s string) string {
	made := ""
	if local, domain, ok := strings.Cut(s, "@"); ok && local != "" && domain != "" {
		made = r.word(local) + "@" + r.word(domain) + ".example"
	} else {
		made = r.word(s)
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		made += s[i : i+1]
	}
	if len(s) > longText {
		made += strings.Repeat("x", max(len(s)-len(made), 0))
	}
	return made
}

// longText is the length in bytes from which it is kept: shorter than the shortest
// limit of a text, and longer than what tells one name from another.
const longText = 64

// kept are the words that say nothing of anybody, in lower case.
var kept = setOf(
	// operations, methods, orders
	"add", "replace", "remove", "get", "post", "put", "patch", "delete", "ascending", "descending",
	// booleans as text
	"true", "false",
	// types
	"work", "home", "other", "mobile", "fax", "pager", "photo", "thumbnail", "direct", "indirect", "user", "group",
	// scimType
	"invalidfilter", "toomany", "uniqueness", "mutability", "invalidsyntax", "invalidpath", "notarget", "invalidvalue",
	"invalidvers", "sensitive", "invalidcursor", "expiredcursor", "invalidcount",
)

func setOf(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// isSchema is true of the names of the standard's schemas and messages.
func isSchema(s string) bool {
	return strings.HasPrefix(s, "urn:ietf:params:scim:") && isURN(s)
}

// urnMax bounds the name of a schema.
const urnMax = 200

func isURN(s string) bool {
	return len(s) <= urnMax && len(s) > 4 && strings.EqualFold(s[:4], "urn:") && !strings.ContainsFunc(s, func(c rune) bool {
		return !isLetter(c) && !isDigit(c) && !strings.ContainsRune(":._-", c)
	})
}

func isLetter(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c rune) bool  { return c >= '0' && c <= '9' }
func isHex(c rune) bool    { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

const guidLength = 36

// IsGUID tells whether a text is a GUID, as a provider's test query has one.
func IsGUID(s string) bool { return isGUID(s) }

func isGUID(s string) bool {
	if len(s) != guidLength {
		return false
	}
	for i, c := range s {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash && c != '-' || !dash && !isHex(c) {
			return false
		}
	}
	return true
}

// guid is in upper case where anything of the original is.
func (r *Redactor) guid(s string) string {
	sum := r.keyed(directory.Fold(s))
	h := hex.EncodeToString(sum[:16])
	made := h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	if s != strings.ToLower(s) {
		return strings.ToUpper(made)
	}
	return made
}

// isID is true of the form that this server's ids of resources have.
func isID(s string) bool {
	return len(s) == 36 && (s[:4] == "usr-" || s[:4] == "grp-") &&
		!strings.ContainsFunc(s[4:], func(c rune) bool { return !isHex(c) || c >= 'A' && c <= 'F' })
}

func (r *Redactor) id(s string) string {
	sum := r.keyed(s)
	return s[:4] + hex.EncodeToString(sum[:16])
}

// host stands for every host: the name of one can be that of an organization.
const host = "https://redacted.example"

// address keeps of a URL where in the service it leads to.
func (r *Redactor) address(s string) string {
	for _, kind := range []string{"/Users/", "/Groups/"} {
		if i := strings.LastIndex(s, kind); i >= 0 {
			return host + r.Path(s[i:])
		}
	}
	if strings.HasPrefix(s, "http://schemas.microsoft.com/") && isURN("urn:"+strings.ReplaceAll(s[7:], "/", ".")) {
		return s // a schema of Entra's
	}
	return host + "/" + r.word(s)
}

const bulkPrefix = "bulkId:"

func (r *Redactor) bulkReference(s string) (string, bool) {
	name, ok := strings.CutPrefix(s, bulkPrefix)
	if !ok || name == "" {
		return "", false
	}
	return bulkPrefix + r.text(name), true
}

// centuries is the time from which the moments are taken, in seconds.
const centuries = 60 * 365 * 24 * 60 * 60

// moment keeps that a text is a moment.
func (r *Redactor) moment(s string) (string, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' {
		return "", false
	}
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return "", false
	}
	sum := r.keyed(s)
	return time.Unix(int64(binary.BigEndian.Uint64(sum[:])%centuries), 0).UTC().Format(time.RFC3339), true
}

// number keeps that a number is one, and whether it is whole.
func (r *Redactor) number(text string) string {
	sum := r.keyed(text)
	made := []byte("0000000")
	for i, n := len(made)-1, binary.BigEndian.Uint32(sum[:])%9_000_000+1_000_000; i >= 0; i, n = i-1, n/10 {
		made[i] += byte(n % 10)
	}
	if strings.ContainsAny(text, ".eE") {
		return string(made) + ".5"
	}
	return string(made)
}
