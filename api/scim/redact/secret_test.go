package redact

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestMayHoldSecret tries every name of a secret in every disguise that JSON and a
// query have for a letter.
func TestMayHoldSecret(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	disguise := func(name, escape string) string {
		var made strings.Builder
		for _, c := range name {
			switch random.IntN(4) {
			case 0:
				made.WriteString(strings.ToUpper(string(c)))
			case 1:
				fmt.Fprintf(&made, escape, c)
			case 2:
				if c == 'k' {
					c = 'K'
				}
				fallthrough
			default:
				made.WriteRune(c)
			}
		}
		return made.String()
	}
	for range 10_000 {
		name := []string{"password", "clientSecret", "accessToken", "x-token-y"}[random.IntN(4)]
		body := `{"a":[{"` + disguise(name, `\u%04x`) + `":"x"}]}`
		if !MayHoldSecret(body) || !MayHoldSecret([]byte(body)) {
			t.Fatalf("%s: nothing was found", body)
		}
		var document struct{ A []map[string]any }
		if err := json.Unmarshal([]byte(body), &document); err != nil {
			t.Fatal(err)
		}
		for key := range document.A[0] {
			if !isSecret(strings.ToLower(key)) {
				t.Fatalf("%s has no secret, so the test tries nothing", body)
			}
		}
		if query := "filter=" + disguise(name, "%%%02x") + "+eq+1"; !MayHoldSecret(query) {
			t.Fatalf("%s: nothing was found", query)
		}
	}
	for _, text := range []string{
		``, `{"userName":"ada","emails":[{"value":"a@b"}]}`, `filter=userName+eq+%22ada%22&count=1`, `passwor`, `stop`, `\n`, `%`, `\`,
	} {
		if MayHoldSecret(text) {
			t.Errorf("%q was taken for a secret", text)
		}
	}
}
