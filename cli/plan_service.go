package cli

import (
	"encoding/json"
	"slices"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

// services makes what is missing and sets the policies that differ. Where a
// service listens cannot be changed, so a difference is a finding.
func (p *plan) services(file *archive.File) {
	c := count{Kind: "services"}
	old := index(p.now.file.Services, func(s *archive.Service) string { return s.Name })
	var made, policies []change
	for _, s := range file.Services {
		held := old[directory.Fold(s.Name)]
		if held != nil && (!slices.Equal(held.Listen, s.Listen) || held.Upstream != s.Upstream) {
			p.found.Add(s.Line, "service %q is there with other addresses; delete it first", s.Name)
			continue
		}
		same := held != nil && samePolicies(held.Policies, s.Policies) && held.FoldCase == s.FoldCase && held.FoldSlash == s.FoldSlash
		c.tally(held != nil, !same)
		if held == nil {
			made = append(made, change{procedure: "ServiceService.CreateService", lines: []int{s.Line}, what: "create service " + s.Name,
				fields: func() map[string]any {
					return map[string]any{orgField: p.now.id, "name": s.Name, "listen": s.Listen, "upstream": s.Upstream}
				},
				done: p.named(p.now.services, s.Name)})
		}
		if !same && (held != nil || len(s.Policies) > 0 || s.FoldCase || s.FoldSlash) {
			policies = append(policies, change{procedure: "ServiceService.SetPolicies", lines: []int{s.Line}, counted: held == nil,
				what: "set the policies of service " + s.Name,
				fields: func() map[string]any {
					return map[string]any{
						"id": p.id(p.now.services, s.Name), "policies": append([]archive.Policy{}, s.Policies...),
						"fold_case": s.FoldCase, "fold_slash": s.FoldSlash,
					}
				}})
		}
	}
	p.counts = append(p.counts, c)
	p.add("services", made)
	p.add("policies", policies)
}

// samePolicies: an absent list and an empty one are alike.
func samePolicies(a, b []archive.Policy) bool {
	return slices.EqualFunc(a, b, func(x, y archive.Policy) bool {
		left, errLeft := json.Marshal(x)
		right, errRight := json.Marshal(y)
		return errLeft == nil && errRight == nil && slices.Equal(left, right)
	})
}
