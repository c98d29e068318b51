package acme

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSettingsCheck(t *testing.T) {
	good := Settings{Domains: []string{"id.example", "xn--bcher-kva.example"}, Directory: "https://acme.example/directory", TermsAgreed: true}
	with := func(change func(*Settings)) Settings {
		s := good
		change(&s)
		return s
	}
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("n%d.example", i))
		}
		return all
	}
	for wrong, s := range map[string]Settings{
		"":               good,
		"domains":        with(func(s *Settings) { s.Domains = nil }),
		"domains[0]":     with(func(s *Settings) { s.Domains = []string{"*.example"} }),
		"domains[1]":     with(func(s *Settings) { s.Domains = []string{"id.example", "10.0.0.1"} }),
		"domains[2]":     with(func(s *Settings) { s.Domains = []string{"a.example", "b.example", "a.example"} }),
		"domains[3]":     with(func(s *Settings) { s.Domains = append(names(3), "ID.example") }),
		"domains[4]":     with(func(s *Settings) { s.Domains = append(names(4), strings.Repeat("a.", 127)+"b") }),
		"domains[25]":    with(func(s *Settings) { s.Domains = names(domainsMax + 1) }),
		"directory":      with(func(s *Settings) { s.Directory = "http://acme.example/directory" }),
		"terms_agreed":   with(func(s *Settings) { s.TermsAgreed = false }),
		"email":          with(func(s *Settings) { s.Email = "Ops <ops@id.example>" }),
		"account_key_id": with(func(s *Settings) { s.AccountKeyFile = "/etc/authfi/acme.key" }),
		"http":           with(func(s *Settings) { s.HTTP = "80" }),
	} {
		var mistake *Mistake
		err := s.Check()
		if errors.As(err, &mistake); err != nil && mistake == nil || wrong == "" && err != nil || wrong != "" && (mistake == nil || mistake.Key != wrong) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	full := with(func(s *Settings) {
		s.Domains, s.Email, s.HTTP = append(names(domainsMax-1), strings.Repeat("a.", 126)+"b"), "ops@id.example", ":80"
	})
	for _, s := range []Settings{{}, full} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
