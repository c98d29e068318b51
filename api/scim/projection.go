package scim

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/scim/patch"
)

// projection is what a client wants to see of a resource (RFC 7644 section
// 3.9). Names are lower case; one of the lists is empty.
type projection struct {
	include, exclude []string
}

// parameters are those of a query that mean something here. Each may be given once: of
// two values neither is more likely to be meant. Others are ignored, for providers
// have some of their own.
var parameters = []string{"attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count", "cursor"}

func parseQuery(raw string) (url.Values, error) {
	// A semicolon separates nothing (RFC 3986 section 3.4), and some clients leave one
	// in a filter as it is.
	q, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
	if err != nil {
		return nil, &patch.Error{ScimType: patch.InvalidValue, Detail: "malformed query"}
	}
	for _, name := range parameters {
		if len(q[name]) > 1 {
			return nil, &patch.Error{ScimType: patch.InvalidValue, Detail: name + " is given more than once"}
		}
	}
	return q, nil
}

func parseProjection(raw string) (projection, error) {
	q, err := parseQuery(raw)
	if err != nil {
		return projection{}, err
	}
	return newProjection(q.Get("attributes"), q.Get("excludedAttributes"))
}

// newProjection reads two lists of names, separated by commas.
func newProjection(attributes, excluded string) (projection, error) {
	p := projection{include: names(attributes), exclude: names(excluded)}
	if len(p.include) > 0 && len(p.exclude) > 0 {
		return p, &patch.Error{ScimType: patch.InvalidValue, Detail: "send attributes or excludedAttributes, not both"}
	}
	return p, nil
}

func names(list string) (out []string) {
	for name := range strings.SplitSeq(strings.ToLower(list), ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, coreName(name))
		}
	}
	return out
}

// coreName drops the prefix of a core schema from a lower-case name.
func coreName(name string) string {
	for _, urn := range []string{patch.UserURN, patch.GroupURN} {
		if rest, ok := strings.CutPrefix(name, strings.ToLower(urn)+":"); ok {
			return rest
		}
	}
	return name
}

// wants tells whether an attribute can be in the answer, so that what is
// costly is not even read.
func (p projection) wants(attr string) bool {
	if len(p.include) == 0 {
		for _, name := range p.exclude {
			if name == attr {
				return false
			}
		}
		return true
	}
	for _, name := range p.include {
		if first, _, _ := strings.Cut(name, "."); first == attr {
			return true
		}
	}
	return false
}

// apply gives the part of the resource that the client wants. The resource is
// only read.
func (p projection) apply(resource map[string]any) map[string]any {
	switch {
	case len(p.include) > 0:
		out := map[string]any{"id": resource["id"], "schemas": resource["schemas"]}
		for _, name := range p.include {
			include(out, resource, steps(name, resource))
		}
		return out
	case len(p.exclude) > 0:
		out := maps.Clone(resource)
		for _, name := range p.exclude {
			if path := steps(name, resource); path[0] != "id" && path[0] != "schemas" {
				exclude(out, path)
			}
		}
		return out
	}
	return resource
}

// steps splits a name into attribute and sub-attribute; an extension's URN is
// the first step and has dots of its own.
func steps(name string, resource map[string]any) []string {
	for key := range resource {
		urn := strings.ToLower(key)
		if name == urn {
			return []string{urn}
		}
		if rest, ok := strings.CutPrefix(name, urn+":"); ok {
			return append([]string{urn}, strings.Split(rest, ".")...)
		}
	}
	return strings.Split(name, ".")
}

func include(out, in map[string]any, path []string) {
	for key, value := range in {
		if strings.ToLower(key) != path[0] {
			continue
		}
		if len(path) == 1 {
			out[key] = value
			continue
		}
		if part := includeSub(out[key], value, path[1:]); !isEmpty(part) {
			out[key] = part
		}
	}
}

// includeSub adds the sub-attribute to what has been chosen before it.
func includeSub(chosen, value any, path []string) any {
	switch v := value.(type) {
	case map[string]any:
		out, ok := chosen.(map[string]any)
		if !ok {
			out = map[string]any{}
		}
		out = maps.Clone(out)
		include(out, v, path)
		return out
	case []any:
		before, _ := chosen.([]any)
		out := make([]any, len(v))
		for i, element := range v {
			var old any
			if i < len(before) {
				old = before[i]
			}
			out[i] = includeSub(old, element, path)
		}
		return out
	}
	return value
}

func exclude(out map[string]any, path []string) {
	for key, value := range out {
		if strings.ToLower(key) != path[0] {
			continue
		}
		if len(path) == 1 {
			delete(out, key)
			continue
		}
		if out[key] = excludeSub(value, path[1:]); isEmpty(out[key]) {
			delete(out, key)
		}
	}
}

func excludeSub(value any, path []string) any {
	switch v := value.(type) {
	case map[string]any:
		out := maps.Clone(v)
		exclude(out, path)
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = excludeSub(element, path)
		}
		return out
	}
	return value
}

// isEmpty tells of what is unassigned: an object without a part, and a list of such.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return !slices.ContainsFunc(v, func(element any) bool { return !isEmpty(element) })
	}
	return false
}
