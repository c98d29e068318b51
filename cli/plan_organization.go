package cli

import (
	"slices"

	"github.com/authfi/authfi/archive"
)

// organization raises the quota first, so that users fit, and answers with the
// change of the settings, which comes last.
func (p *plan) organization(file *archive.File) (settings []change) {
	if file.Organization == nil {
		return nil
	}
	c := count{Kind: "organization"}
	line, old, new := []int{file.Organization.Line}, p.now.file.Organization, file.Organization
	fields := map[string]any{}
	if old.Name != new.Name {
		fields["name"] = new.Name
	}
	if !slices.Equal(old.Domains, new.Domains) {
		fields["domains"] = append([]string{}, new.Domains...)
	}
	if !same(old.Branding, new.Branding) {
		fields["branding"] = orEmpty(new.Branding)
	}
	if !same(old.SignIn, new.SignIn) {
		fields["sign_in"] = orEmpty(new.SignIn)
	}
	limits := new.UserQuota != 0 && new.UserQuota != old.UserQuota
	c.tally(true, limits || len(fields) > 0)
	p.counts = append(p.counts, c)
	if limits {
		p.add("quota", []change{{
			procedure: "OrganizationService.SetOrganizationLimits", lines: line, counted: len(fields) > 0, what: "set the quota of users",
			fields: func() map[string]any { return map[string]any{"id": p.now.id, "user_quota": new.UserQuota} },
		}})
	}
	if len(fields) == 0 {
		return nil
	}
	fields["id"] = p.now.id
	return []change{{
		procedure: "OrganizationService.UpdateOrganization", lines: line, what: "change the organization",
		fields: func() map[string]any { return fields },
	}}
}

func same[T comparable](a, b *T) bool { return orEmpty(a) == orEmpty(b) }

func orEmpty[T any](v *T) (empty T) {
	if v == nil {
		return empty
	}
	return *v
}

// schema sets all definitions as one change; those that the file does not have
// stay.
func (p *plan) schema(file *archive.File) {
	c := count{Kind: "attributes"}
	old := index(p.now.file.Attributes, func(a *archive.Attribute) string { return a.Name })
	var lines []int
	for _, a := range file.Attributes {
		held := old[a.Name]
		changed := held == nil || held.Type != a.Type || held.Several != a.Several || held.Description != a.Description || held.URN != a.URN || !slices.Equal(held.Values, a.Values)
		c.tally(held != nil, changed)
		if changed {
			lines = append(lines, a.Line)
		}
		old[a.Name] = a
	}
	p.counts = append(p.counts, c)
	if len(lines) == 0 {
		return
	}
	all := []*archive.Attribute{}
	for _, d := range archive.Schema(p.now.file.Attributes, file.Attributes).Attributes {
		all = append(all, old[d.Name])
	}
	p.add("attributes", []change{{
		procedure: "OrganizationService.SetSchema", lines: lines, what: "set the schema of attributes",
		fields: func() map[string]any { return map[string]any{"id": p.now.id, "attributes": all} },
	}})
}
