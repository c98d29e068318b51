package cli

import (
	"reflect"
	"slices"

	"github.com/authfi/authfi/archive"
)

// connection is one that the organization has, or that the import makes.
type connection struct {
	id     string // once it is there
	record *archive.Connection
}

// connections makes those that are missing and sets what differs. A connection has no
// name that must be there once: a record is that of one which is alike, or else of the
// first with its provider and name.
func (p *plan) connections(file *archive.File) {
	c := count{Kind: "connections"}
	free := slices.Clone(p.now.connections)
	take := func(alike func(*connection) bool) *connection {
		i := slices.IndexFunc(free, alike)
		if i < 0 {
			return nil
		}
		found := free[i]
		free = slices.Delete(free, i, i+1)
		return found
	}
	held := make([]*connection, len(file.Connections))
	for i, r := range file.Connections {
		held[i] = take(func(h *connection) bool { return sameConnection(h.record, r) })
	}
	var made, releases, settings, mappings []change
	for i, r := range file.Connections {
		h := held[i]
		if h == nil {
			h = take(func(h *connection) bool { return h.record.Provider == r.Provider && h.record.Name == r.Name })
		}
		exists := h != nil
		if !exists {
			h = &connection{record: &archive.Connection{Provider: r.Provider}}
			made = append(made, p.makeConnection(r, h))
		}
		c.tally(exists, !sameConnection(h.record, r))
		if exists && h.record.Issuer != "" && !sameTrust(h.record, r) {
			releases = append(releases, p.releaseConnection(r, h))
		}
		if !sameSettings(h.record, r) {
			settings = append(settings, p.setConnection(r, h, !exists))
		}
		if !slices.Equal(h.record.Mappings, r.Mappings) {
			mappings = append(mappings, p.mapConnection(r, h, !exists || !sameSettings(h.record, r)))
		}
	}
	p.counts = append(p.counts, c)
	p.add("connections", made)
	p.add("trusts of connections", releases)
	p.add("settings of connections", settings)
	p.add("mappings of connections", mappings)
}

func sameSettings(a, b *archive.Connection) bool {
	x, y := *a, *b
	x.Place, y.Place, x.Mappings, y.Mappings = archive.Place{}, archive.Place{}, nil, nil
	return reflect.DeepEqual(x, y)
}

func sameTrust(a, b *archive.Connection) bool {
	return a.Issuer == b.Issuer && a.Audience == b.Audience && a.Application == b.Application
}

func sameConnection(a, b *archive.Connection) bool {
	return sameSettings(a, b) && slices.Equal(a.Mappings, b.Mappings)
}

func (p *plan) makeConnection(r *archive.Connection, h *connection) change {
	return change{procedure: "ConnectionService.CreateConnection", lines: []int{r.Line}, what: "create connection " + r.Provider,
		fields: func() map[string]any { return map[string]any{orgField: p.now.id, "provider": r.Provider} },
		done: func(id string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			h.id = id
		}}
}

// releaseConnection ends a trust that the connection will not have: another may be
// about to take it, and no two have one.
func (p *plan) releaseConnection(r *archive.Connection, h *connection) change {
	return change{procedure: "ConnectionService.UpdateConnection", lines: []int{r.Line}, counted: true, what: "end the trust of connection " + r.Provider + " " + r.Name,
		fields: func() map[string]any {
			fields := p.ofConnection(h)
			fields["issuer"], fields["audience"], fields["application"] = "", "", ""
			return fields
		}}
}

// setConnection says all, since what the record leaves out is as in a new connection.
func (p *plan) setConnection(r *archive.Connection, h *connection, counted bool) change {
	return change{procedure: "ConnectionService.UpdateConnection", lines: []int{r.Line}, counted: counted, what: "change connection " + r.Provider + " " + r.Name,
		fields: func() map[string]any {
			fields := p.ofConnection(h)
			for name, value := range map[string]any{
				"name": r.Name, "disabled": r.Disabled, "sees_all": r.SeesAll, "issuer": r.Issuer, "audience": r.Audience, "application": r.Application,
				"replace_missing_value_path": either(r.ReplaceMissingValuePath, "add"), "unknown_members": either(r.UnknownMembers, "skip"),
				"unknown_attributes": either(r.UnknownAttributes, "ignore"), "unique_group_display_name": r.UniqueGroupDisplayName == nil,
			} {
				fields[name] = value
			}
			return fields
		}}
}

func either(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (p *plan) mapConnection(r *archive.Connection, h *connection, counted bool) change {
	return change{procedure: "ConnectionService.SetConnectionMappings", lines: []int{r.Line}, counted: counted, what: "map groups of connection " + r.Provider + " " + r.Name,
		fields: func() map[string]any {
			all := []any{}
			for _, m := range r.Mappings {
				one := map[string]any{"role_id": p.id(p.now.roles, m.Role)}
				if m.GroupName != "" {
					one["group_name"] = m.GroupName
				} else {
					one["group_external_id"] = m.GroupExternalID
				}
				all = append(all, one)
			}
			fields := p.ofConnection(h)
			fields["mappings"] = all
			return fields
		}}
}

func (p *plan) ofConnection(h *connection) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return map[string]any{orgField: p.now.id, "id": h.id}
}
