package directory

import (
	"strings"
	"testing"
)

func TestTrustCheck(t *testing.T) {
	const issuer = "https://sts.windows.net/8adf8e6e-67b2-4cf2-a259-e3dc5476c621/"
	for name, trust := range map[string]Trust{
		"nobody":           {},
		"Entra":            {Issuer: issuer, Audience: "a"},
		"one application":  {Issuer: issuer, Audience: "a", Application: "b"},
		"a port":           {Issuer: "https://127.0.0.1:8443/tenant", Audience: "a"},
		"the longest text": {Issuer: issuer, Audience: strings.Repeat("a", TrustTextMax)},
	} {
		if err := trust.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, trust := range map[string]Trust{
		"no issuer":          {Audience: "a"},
		"application alone":  {Application: "a"},
		"no audience":        {Issuer: issuer},
		"not secure":         {Issuer: "http://sts.windows.net/", Audience: "a"},
		"no host":            {Issuer: "https:///tenant", Audience: "a"},
		"a user":             {Issuer: "https://sts.windows.net@evil.example/", Audience: "a"},
		"a query":            {Issuer: issuer + "?a", Audience: "a"},
		"a fragment":         {Issuer: issuer + "#a", Audience: "a"},
		"a way up":           {Issuer: issuer + "../x", Audience: "a"},
		"upper case":         {Issuer: "https://STS.windows.net/", Audience: "a"},
		"an escape":          {Issuer: issuer + "%2e", Audience: "a"},
		"too long":           {Issuer: issuer, Audience: strings.Repeat("a", TrustTextMax+1)},
		"too long an issuer": {Issuer: "https://a/" + strings.Repeat("a", TrustTextMax-9), Audience: "a"},
	} {
		if err := trust.Check(); KindOf(err) != KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
