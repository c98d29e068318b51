package scim_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type scenario struct {
	Name  string
	Steps []struct {
		Method, Path string
		Headers      map[string]string
		Body         json.RawMessage
		RawBody      *string
		Capture      map[string][]any
		Expect       struct {
			Status  any
			Headers map[string]string
			JSON    []map[string]any
		}
	}
}

// later lists scenarios that are not served yet, with the reason. A scenario
// that passes must leave the list.
var later = map[string]string{}

func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), ".json")
		t.Run(name, func(t *testing.T) {
			fault := newWorld(t).organization("corpus").converse(t, file)
			reason, waits := later[name]
			switch {
			case waits && fault == "":
				t.Errorf("passes, but is listed as later: %s", reason)
			case !waits && fault != "":
				t.Error(fault)
			}
		})
	}
}

var placeholder = regexp.MustCompile(`\{\{(\w+)\}\}`)

// converse runs one scenario on an organization that is empty and tells what
// differed.
func (c *client) converse(t *testing.T, file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{"token": c.token}
	fill := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(m string) string {
			if v, ok := known[m[2:len(m)-2]]; ok {
				return v
			}
			return m
		})
	}
	var s scenario
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	for i, step := range s.Steps {
		header := map[string]string{}
		for k, v := range step.Headers {
			header[k] = fill(v)
		}
		body := fill(string(step.Body))
		if step.RawBody != nil {
			body = *step.RawBody
		}
		got := c.send(step.Method, fill(step.Path), body, header)
		at := func(what ...string) string {
			return strings.Join(append([]string{s.Name, strconv.Itoa(i + 1), step.Method, step.Path}, what...), " | ")
		}
		if !statusIn(step.Expect.Status, got.status) {
			return at("status", strconv.Itoa(got.status), string(got.body))
		}
		for name, pattern := range step.Expect.Headers {
			if !regexp.MustCompile(pattern).MatchString(got.header.Get(name)) {
				return at("header", name, got.header.Get(name))
			}
		}
		var doc any
		_ = json.Unmarshal(got.body, &doc) // an empty body is a document without members
		for _, assertion := range step.Expect.JSON {
			raw, _ := json.Marshal(assertion)
			var want map[string]any
			if err := json.Unmarshal([]byte(fill(string(raw))), &want); err != nil {
				t.Fatal(err)
			}
			if !holds(t, want, doc) {
				return at(fill(string(raw)), string(got.body))
			}
		}
		for name, path := range step.Capture {
			v, ok := find(doc, path).(string)
			if !ok {
				return at("cannot capture", name)
			}
			known[name] = v
		}
	}
	return ""
}

func statusIn(want any, got int) bool {
	if list, ok := want.([]any); ok {
		return slices.Contains(list, any(float64(got)))
	}
	return want == float64(got)
}

// missing is what find gives where the path leads nowhere.
type missing struct{}

func find(doc any, path []any) any {
	for i, step := range path {
		switch s := step.(type) {
		case string:
			if s == "*" {
				return findAll(doc, path[i+1:])
			}
			object, _ := doc.(map[string]any)
			v, ok := object[s]
			if !ok {
				return missing{}
			}
			doc = v
		case float64:
			list, _ := doc.([]any)
			if int(s) >= len(list) {
				return missing{}
			}
			doc = list[int(s)]
		case map[string]any:
			list, _ := doc.([]any)
			at := slices.IndexFunc(list, func(e any) bool { return includes(e, s) })
			if at < 0 {
				return missing{}
			}
			doc = list[at]
		}
	}
	return doc
}

func findAll(doc any, rest []any) any {
	out := []any{}
	list, _ := doc.([]any)
	for _, element := range list {
		if v := find(element, rest); v != (any)(missing{}) {
			out = append(out, v)
		}
	}
	return out
}

func includes(element any, want map[string]any) bool {
	object, ok := element.(map[string]any)
	for k, v := range want {
		ok = ok && reflect.DeepEqual(object[k], v)
	}
	return ok
}

func holds(t *testing.T, assertion map[string]any, doc any) bool {
	path, _ := assertion["path"].([]any)
	got := find(doc, path)
	_, absent := got.(missing)
	list, _ := got.([]any)
	text, isText := got.(string)
	empty := absent || got == nil || isText && text == "" || reflect.DeepEqual(got, []any{})
	for operator, want := range assertion {
		ok := true
		switch operator {
		case "path":
		case "equals":
			ok = reflect.DeepEqual(got, want)
		case "notEquals":
			ok = !absent && !reflect.DeepEqual(got, want)
		case "exists":
			ok = !empty
		case "absent":
			ok = absent
		case "unassigned":
			ok = empty || reflect.DeepEqual(got, map[string]any{})
		case "contains", "notContains":
			part, _ := want.(string)
			has := isText && strings.Contains(text, part) ||
				slices.ContainsFunc(list, func(e any) bool { return reflect.DeepEqual(e, want) })
			ok = has == (operator == "contains")
		case "length":
			_, isList := got.([]any)
			ok = isList && float64(len(list)) == want
		case "type":
			ok = typeOf(got) == want
		case "equalsIgnoreCase":
			wanted, _ := want.(string)
			ok = isText && strings.EqualFold(text, wanted)
		case "noNulls":
			ok = noNulls(got)
		default:
			t.Fatalf("unknown operator %s", operator)
		}
		if !ok {
			return false
		}
	}
	return true
}

func typeOf(v any) any {
	switch v := v.(type) {
	case float64:
		if v == float64(int(v)) {
			return "integer"
		}
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	}
	return nil
}

func noNulls(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case map[string]any:
		for _, e := range v {
			if !noNulls(e) {
				return false
			}
		}
	case []any:
		for _, e := range v {
			if !noNulls(e) {
				return false
			}
		}
	}
	return true
}
