package access_test

import (
	"net/http"
	"testing"

	"github.com/authfi/authfi/api/access"
)

func TestBearer(t *testing.T) {
	for _, c := range []struct {
		what   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"empty", []string{""}, ""},
		{"plain", []string{"Bearer abc"}, "abc"},
		{"scheme in any case", []string{"bEARER abc"}, "abc"},
		{"spaces around", []string{"Bearer   abc "}, "abc"},
		{"no token", []string{"Bearer"}, ""},
		{"nothing behind the space", []string{"Bearer "}, ""},
		{"the token alone", []string{"abc"}, ""},
		{"another scheme", []string{"Basic abc"}, ""},
		{"a scheme that begins alike", []string{"Bearers abc"}, ""},
		{"two of them", []string{"Bearer abc", "Bearer abc"}, ""},
	} {
		if got := access.Bearer(http.Header{"Authorization": c.values}); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}
