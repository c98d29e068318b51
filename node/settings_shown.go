package node

import (
	"encoding/json"
	"slices"
	"strings"
)

// shownSettings are the keys whose values a support bundle shows: names, addresses,
// limits and the names of files. A key of any other name is there without its value, so
// that one that comes to hold a secret is hidden until somebody puts it here. * stands
// for the names of a map.
var shownSettings = []string{
	"node_id", "api", "peer", "issuer", "drain",
	"enforce.mode", "enforce.listen", "enforce.cgroup", "enforce.pin_dir", "enforce.upstreams.*",
	"enforce.services.*.upstream", "enforce.services.*.cert_file", "enforce.services.*.key_file", "enforce.services.*.h2c",
	"enforce.services.*.backend.http2", "enforce.services.*.backend.tls", "enforce.services.*.backend.ca_file",
	"enforce.services.*.backend.server_name", "enforce.services.*.backend.send_proxy", "enforce.services.*.proxy_from",
	"enforce.services.*.limits.*",
	"issuers.hosts", "issuers.ca_file",
	"certificate.cert_file", "certificate.key_file",
	"certificate.acme.domains", "certificate.acme.directory", "certificate.acme.ca_file", "certificate.acme.terms_agreed",
	"certificate.acme.account_key_id", "certificate.acme.account_key_file", "certificate.acme.http",
	"push.private", "push.ca_file",
	"drain", "log_level", "log_format",
	"development_sign_in",
}

// withheldSetting stands for a value that is not shown.
const withheldSetting = "[not shown]"

// shown is the configuration as others may see it.
func (c Config) shown() (any, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	withhold(all, nil)
	return all, nil
}

func withhold(section map[string]any, at []string) {
	for key, value := range section {
		here := append(slices.Clone(at), key)
		switch below := value.(type) {
		case map[string]any:
			withhold(below, here)
		default:
			if !isShown(here) {
				section[key] = withheldSetting
			}
		}
	}
}

func isShown(key []string) bool {
	return slices.ContainsFunc(shownSettings, func(pattern string) bool {
		parts := strings.Split(pattern, ".")
		return len(parts) == len(key) && matchesKey(parts, key)
	})
}

func matchesKey(pattern, key []string) bool {
	for i, part := range pattern {
		if part != "*" && part != key[i] {
			return false
		}
	}
	return true
}
