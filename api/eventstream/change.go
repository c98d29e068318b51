package eventstream

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/scim"
	"github.com/authfi/authfi/directory"
)

// change is what the log says of an object before and after an event. A long one says
// only the names of its fields.
type change struct {
	before, after map[string]json.RawMessage
	summary       bool
}

func changeOf(e *directory.Event) (c change) {
	c.before, c.summary = objectOf(e.Before)
	after, summary := objectOf(e.After)
	c.after, c.summary = after, c.summary || summary
	return c
}

// objectOf reads one side. Of a summary it makes an object whose values are null.
func objectOf(text string) (object map[string]json.RawMessage, summary bool) {
	if text == "" || json.Unmarshal([]byte(text), &object) != nil {
		return nil, false
	}
	var names []string
	if json.Unmarshal(object["fields"], &names) != nil || object["sha256"] == nil {
		return object, false
	}
	object = map[string]json.RawMessage{}
	for _, name := range names {
		object[name] = nil
	}
	return object, true
}

// fields are the names of those that are on either side.
func (c *change) fields() []string {
	all := maps.Clone(c.before)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	maps.Copy(all, c.after)
	return slices.Sorted(maps.Keys(all))
}

func (c *change) has(field string) bool {
	_, before := c.before[field]
	_, after := c.after[field]
	return before || after
}

// text is the value of a text field after the event, or the one that it had.
func (c *change) text(field string) string {
	for _, side := range []map[string]json.RawMessage{c.after, c.before} {
		var s string
		if json.Unmarshal(side[field], &s) == nil {
			return s
		}
	}
	return ""
}

// userAttribute names the attribute of SCIM behind a field of a user. What is not here
// does not show in SCIM.
var userAttribute = map[string]string{
	"user_name": "userName", "external_id": "externalId", "email": "emails", "display_name": "displayName",
	"given_name": "name.givenName", "family_name": "name.familyName", "active": "active",
}

// userAttributes are the attributes that have changed. When the log does not say
// which, they are all that the resource has: to read one too many does no harm.
func (c *change) userAttributes(resource map[string]any, schema *directory.Schema) (names []string) {
	names = c.declared(schema)
	for _, field := range c.fields() {
		if name, ok := userAttribute[field]; ok {
			names = append(names, name)
		}
	}
	if !c.has("attributes") {
		return sorted(names)
	}
	if c.summary {
		for name := range resource {
			if name != "schemas" && name != "id" && name != "meta" {
				names = append(names, name)
			}
		}
		return sorted(names)
	}
	before, _ := objectOf(string(c.before["attributes"]))
	after, _ := objectOf(string(c.after["attributes"]))
	return sorted(append(names, differences(before, after, "")...))
}

// declared are the attributes of the organization's own extensions that have changed.
func (c *change) declared(schema *directory.Schema) (names []string) {
	if !c.has("custom") {
		return nil
	}
	before, _ := objectOf(string(c.before["custom"]))
	after, _ := objectOf(string(c.after["custom"]))
	changed := differences(before, after, ":") // whole, whatever their names are
	for i := range schema.Attributes {
		if a := &schema.Attributes[i]; a.URN != "" && (c.summary || slices.Contains(changed, ":"+a.Name)) {
			names = append(names, a.URN+":"+a.Name)
		}
	}
	return names
}

// differences are the members that two objects do not share, below prefix. A name and
// an extension are told by their parts.
func differences(before, after map[string]json.RawMessage, prefix string) (names []string) {
	whole := change{before: before, after: after}
	for _, name := range whole.fields() {
		if bytes.Equal(before[name], after[name]) {
			continue
		}
		separator := ""
		switch {
		case prefix != "": // parts of parts are not told
		case name == "name":
			separator = "."
		case strings.HasPrefix(name, "urn:"):
			separator = ":"
		}
		if separator == "" {
			names = append(names, prefix+name)
			continue
		}
		old, _ := objectOf(string(before[name]))
		is, _ := objectOf(string(after[name]))
		names = append(names, differences(old, is, name+separator)...)
	}
	return names
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

func without(names []string, one string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return name == one })
}

// groupAttributes are those of a group that have changed.
func (c *change) groupAttributes() (names []string) {
	for field, name := range map[string]string{
		"name": "displayName", "external_id": "externalId", "members": "members", "groups": "members",
	} {
		if c.has(field) {
			names = append(names, name)
		}
	}
	return sorted(names)
}

// newGroup is the group that has been made. Its members follow in an event of their
// own, also when they came with it.
func (c *change) newGroup(id directory.GroupID) map[string]any {
	if c.summary {
		return nil
	}
	data := map[string]any{"schemas": []string{scim.GroupSchema}, "id": id.String(), "displayName": c.text("name")}
	if external := c.text("external_id"); external != "" {
		data["externalId"] = external
	}
	return data
}

// groupPatch is the change as the message of RFC 7644, section 3.5.2; nil when the log
// does not list what joined and left.
func (c *change) groupPatch() map[string]any {
	if c.summary {
		return nil
	}
	var operations []any
	if c.has("name") {
		operations = append(operations, map[string]any{"op": "replace", "path": "displayName", "value": c.text("name")})
	}
	if _, is := c.after["external_id"]; is {
		operations = append(operations, map[string]any{"op": "replace", "path": "externalId", "value": c.text("external_id")})
	} else if c.has("external_id") {
		operations = append(operations, map[string]any{"op": "remove", "path": "externalId"})
	}
	for _, of := range []struct{ field, kind string }{{"members", "User"}, {"groups", "Group"}} {
		var joined, left []string
		if !list(c.after[of.field], &joined) || !list(c.before[of.field], &left) {
			return nil
		}
		for _, id := range left {
			operations = append(operations, map[string]any{"op": "remove", "path": `members[value eq "` + id + `"]`})
		}
		var members []any
		for _, id := range joined {
			members = append(members, map[string]any{"value": id, "type": of.kind})
		}
		if len(members) > 0 {
			operations = append(operations, map[string]any{"op": "add", "path": "members", "value": members})
		}
	}
	return map[string]any{"schemas": []string{scim.PatchSchema}, "Operations": operations}
}

// list reads a list of ids; one that is too long is there as a count.
func list(value json.RawMessage, into *[]string) bool {
	return value == nil || json.Unmarshal(value, into) == nil
}
