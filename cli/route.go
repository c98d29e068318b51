package cli

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// apiPackage names the services that the table of commands covers.
const apiPackage = protoreflect.FullName("authfi.v1")

// bareList marks messages that REST writes as a list; naming it here also links
// the descriptors of the API into the program.
var bareList = authfiv1.E_BareList

// methodOf finds a procedure by "Service.Method".
func methodOf(name string) protoreflect.MethodDescriptor {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(apiPackage + "." + protoreflect.FullName(name))
	method, ok := found.(protoreflect.MethodDescriptor)
	if err != nil || !ok {
		panic("cli: the table names " + name + ", which is no procedure of the API")
	}
	return method
}

// route is the HTTP rule of a procedure.
type route struct {
	verb, path, body string
}

func routeOf(method protoreflect.MethodDescriptor) (route, bool) {
	rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return route{}, false
	}
	r := route{body: rule.GetBody()}
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.verb, r.path = http.MethodGet, pattern.Get
	case *annotations.HttpRule_Post:
		r.verb, r.path = http.MethodPost, pattern.Post
	case *annotations.HttpRule_Put:
		r.verb, r.path = http.MethodPut, pattern.Put
	case *annotations.HttpRule_Patch:
		r.verb, r.path = http.MethodPatch, pattern.Patch
	case *annotations.HttpRule_Delete:
		r.verb, r.path = http.MethodDelete, pattern.Delete
	}
	return r, r.path != ""
}

// request distributes the fields over path, query and body as the rule says.
func (r route) request(fields map[string]any) (request, error) {
	rest := maps.Clone(fields)
	path := r.path
	for name, value := range fields {
		hole := "{" + name + "}"
		if !strings.Contains(path, hole) {
			continue
		}
		path = strings.ReplaceAll(path, hole, url.PathEscape(fmt.Sprint(value)))
		delete(rest, name)
	}
	if _, after, missing := strings.Cut(path, "{"); missing {
		name, _, _ := strings.Cut(after, "}")
		if name == orgField {
			return request{}, errOrgMissing
		}
		return request{}, usage("%s is missing", name)
	}
	out := request{method: r.verb, path: path}
	switch r.body {
	case "*":
		out.body = rest
		return out, nil
	case "":
	default:
		out.body = rest[r.body]
		delete(rest, r.body)
	}
	if query := queryOf(rest); query != "" {
		out.path += "?" + query
	}
	return out, nil
}

func queryOf(fields map[string]any) string {
	query := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if list, ok := fields[name].([]string); ok {
			query[name] = list
			continue
		}
		query.Set(name, fmt.Sprint(fields[name]))
	}
	return query.Encode()
}
