package node_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/authfi/authfi/directory"
)

// Class G: texts that are almost a token.
var textAttacks = map[string]attack{
	"prefix": func(s *site, i int) {
		s.spoil(i, func(text string) (all []string) {
			for n := range text {
				all = append(all, text[:n])
			}
			return all
		})
	},
	"suffix": func(s *site, i int) {
		s.spoil(i, func(text string) (all []string) {
			for n := 1; n < len(text); n++ {
				all = append(all, text[n:])
			}
			for _, more := range []string{"A", "=", ".", " ", "\n", "\x00", text} {
				all = append(all, text+more, more+text)
			}
			return all
		})
	},
	"bit flip": func(s *site, i int) {
		s.spoil(i, func(text string) (all []string) {
			for n := range text {
				for bit := range 8 {
					// Everywhere one bit; all of them where base64 has some to spare.
					if bit == n%8 || n >= len(text)-2 || text[n+1] == '.' || text[n] == '.' {
						b := []byte(text)
						b[n] ^= 1 << bit
						all = append(all, string(b))
					}
				}
			}
			return all
		})
	},
}

func TestAttacksOnTexts(t *testing.T) { withstand(t, "G") }

// spoilers are how many texts are tried at a time.
const spoilers = 8

// secretText is one that somebody proves something with, and a way to find out.
type secretText struct {
	what, text string
	good       func(text string) bool
}

// spoil tries all that a way to spoil makes of each kind of token; and then the token
// itself, which must still be good.
func (s *site) spoil(i int, spoilt func(string) []string) {
	s.t.Helper()
	for _, one := range s.secrets(i) {
		all := make(chan string)
		var trying sync.WaitGroup
		for range spoilers {
			trying.Go(func() {
				for text := range all {
					if text != one.text && one.good(text) {
						s.t.Errorf("%s: %q is as good as %q", one.what, text, one.text)
					}
				}
			})
		}
		for _, text := range spoilt(one.text) {
			all <- text
		}
		close(all)
		if trying.Wait(); !one.good(one.text) {
			s.t.Errorf("%s: it is no good itself", one.what)
		}
	}
}

// secrets are those that a site has: tokens of both forms, a client's secret and two
// kinds of code.
func (s *site) secrets(i int) []secretText {
	s.t.Helper()
	refresh, access := s.begin(i, directory.GrantRefreshToken)
	machine, _ := s.begin(i, directory.GrantClientCredentials)
	code, _ := s.begin(i, directory.GrantAuthorizationCode)
	device, _ := s.begin(i, directory.GrantDevice)
	active := func(text string) bool {
		_, said, err := s.try(i, "introspect", url.Values{"token": {text}})
		if err != nil {
			s.t.Error(err)
		}
		return said["active"] == true
	}
	with := func(fields url.Values, name string) secretText {
		return secretText{fmt.Sprint(fields.Get("grant_type"), " ", name), fields.Get(name), func(text string) bool {
			_, said, err := s.try(i, "token", altered(fields, name, text))
			if err != nil {
				s.t.Error(err)
			}
			return said["access_token"] != nil
		}}
	}
	return []secretText{
		{"access token", access, active}, {"refresh token", refresh.Get("refresh_token"), active},
		with(machine, "client_secret"), with(code, "code"), with(device, "device_code"),
	}
}
