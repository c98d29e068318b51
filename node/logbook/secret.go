package logbook

import (
	"regexp"
	"strings"
)

// removed stands where something was taken out.
const removed = "[removed]"

// named is what people call credentials.
const named = `(?:[a-z]+[_-])*(?:token|secret|password|passwd|assertion|signature|authorization|access[_-]?key|credential)`

// shapes are what credentials and persons look like in a text. Each is replaced; a
// group that is kept says what was there.
var shapes = []struct {
	shape   *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?`), removed},
	// The opaque credentials of api/access, which name themselves.
	{regexp.MustCompile(`\b(af[a-z]_)[A-Za-z0-9_-]{16,}`), "${1}" + removed},
	// JSON begins with {", which is eyJ in base64: tokens, proofs, whole or in part.
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}(\.[A-Za-z0-9_-]*)*`), removed},
	{regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`), removed},
	{regexp.MustCompile(`\bv1\.[A-Z2-7]{20,}\.[A-Z2-7]+\.[A-Z2-7]+`), removed}, // a join token
	{regexp.MustCompile(`\b(AKIA|ASIA)[A-Z0-9]{16}\b`), removed},               // of S3
	// How RFC 9110 writes credentials, and how people write them.
	{regexp.MustCompile(`(?i)\b(bearer|basic|dpop|negotiate)\s+[A-Za-z0-9._~+/=-]{6,}`), "${1} " + removed},
	{regexp.MustCompile(`(?i)(` + named + `)(=["']?|["']\s*[:=]\s*["']?)[^\s&"',;}]+`), "${1}${2}" + removed},
	// Behind a colon alone may be the rest of a sentence, whose words are shorter.
	{regexp.MustCompile(`(?i)(` + named + `)(:\s*)[^\s&"',;}]{16,}`), "${1}${2}" + removed},
	{regexp.MustCompile(`://[^/\s"'@]+@`), "://" + removed + "@"},
	// A person's address, as it is and as an URL has it.
	{regexp.MustCompile(`(?i)[a-z0-9._%+'-]+(@|%40)[a-z0-9-]+(\.[a-z0-9-]+)*`), removed},
}

// hidden are the parts of names of attributes whose values nobody is to see.
var hidden = []string{"token", "secret", "password", "authorization", "cookie", "credential", "private", "assertion", "email", "user_name"}

// Clean takes out of a text what looks like a credential or a person's address.
func Clean(text string) string {
	for _, s := range shapes {
		text = s.shape.ReplaceAllString(text, s.instead)
	}
	return text
}

// Hides is whether the value of an attribute, or of a field, of that name is never
// shown.
func Hides(name string) bool {
	name = strings.ToLower(name)
	for _, part := range hidden {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
