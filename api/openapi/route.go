package openapi

import (
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/authfi/authfi/proto"
	"google.golang.org/genproto/googleapis/api/annotations"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// route is one HTTP rule of a procedure.
type route struct{ verb, path, body string }

// routes are all of them, the additional ones last.
func routes(method protoreflect.MethodDescriptor) []route {
	rule, ok := protobuf.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return nil
	}
	all := []route{routeOf(rule)}
	for _, further := range rule.GetAdditionalBindings() {
		all = append(all, routeOf(further))
	}
	return all
}

func routeOf(rule *annotations.HttpRule) route {
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
	return r
}

var hole = regexp.MustCompile(`\{(\w+)\}`)

// operation describes one route; n counts the routes of a procedure.
func (s *schemas) operation(method protoreflect.MethodDescriptor, r route, n int) object {
	service := string(method.Parent().Name())
	name := service + "." + string(method.Name())
	id := strings.TrimSuffix(service, "Service") + "_" + string(method.Name())
	if n > 0 {
		id += "_" + strconv.Itoa(n)
	}
	input := method.Input()
	inPath := map[string]bool{}
	var parameters []any
	for _, m := range hole.FindAllStringSubmatch(r.path, -1) {
		inPath[m[1]] = true
		field := input.Fields().ByName(protoreflect.Name(m[1]))
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": s.parameter(field)})
	}
	o := object{
		"operationId": id, "tags": []any{strings.TrimSuffix(service, "Service")},
		"summary":   firstSentence(proto.Comments()[name], string(method.Name())),
		"responses": s.responses(method, writes(method)),
	}
	if said := proto.Comments()[name]; said != "" {
		o["description"] = said
	}
	if name == "SessionService.RefreshSession" {
		o["security"] = []any{object{}} // the refresh token is the credential
	}
	if r.body != "*" { // what neither the path nor the body holds is in the query
		elsewhere := maps.Clone(inPath)
		elsewhere[r.body] = true
		parameters = append(parameters, s.query(input, elsewhere)...)
	}
	if r.body != "" {
		// Where the path says everything, a body may say nothing.
		o["requestBody"] = object{"required": input.Fields().Len() > len(inPath), "content": object{"application/json": object{"schema": s.body(input, r, inPath)}}}
	}
	parameters = append(parameters, headersOf(name, writes(method))...)
	o["parameters"] = parameters
	return o
}

// writes reports whether a procedure changes anything.
func writes(method protoreflect.MethodDescriptor) bool {
	options, ok := method.Options().(*descriptorpb.MethodOptions)
	return !ok || options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func headersOf(name string, writes bool) []any {
	all := []any{reference("parameters", "AtLeastIndex")}
	if writes {
		all = append(all, reference("parameters", "IdempotencyKey"))
	}
	if conditional[name] {
		all = append(all, reference("parameters", "IfMatch"))
	}
	return all
}

// conditional are the procedures that look at If-Match. What is not here makes its
// change whatever the header says, so it must not be promised.
var conditional = map[string]bool{
	"ClientService.UpdateClient":                true,
	"ConnectionService.SetConnectionMappings":   true,
	"ConnectionService.UpdateConnection":        true,
	"EventStreamService.UpdateEventStream":      true,
	"GroupService.AddGroupMembers":              true,
	"GroupService.DeleteGroup":                  true,
	"GroupService.UpdateGroup":                  true,
	"GroupService.RemoveGroupMember":            true,
	"OrganizationService.SetOrganizationLimits": true,
	"OrganizationService.SetSchema":             true,
	"OrganizationService.UpdateOrganization":    true,
	"PolicyService.SetDryRun":                   true,
	"RoleService.DeleteRole":                    true,
	"RoleService.UpdateRole":                    true,
	"ServiceService.SetPolicies":                true,
	"UserService.DeleteUser":                    true,
	"UserService.UpdateUser":                    true,
}

func (s *schemas) query(input protoreflect.MessageDescriptor, inPath map[string]bool) (all []any) {
	for i := range input.Fields().Len() {
		field := input.Fields().Get(i)
		if inPath[string(field.Name())] {
			continue
		}
		schema := s.parameter(field)
		parameter := object{"name": string(field.Name()), "in": "query", "schema": schema}
		if said, ok := schema["description"]; ok {
			parameter["description"] = said
			delete(schema, "description")
		}
		all = append(all, parameter)
	}
	return all
}

// body is the schema of a request's body: the message without what the path holds,
// or one field of it, alone or by its name.
func (s *schemas) body(input protoreflect.MessageDescriptor, r route, inPath map[string]bool) object {
	if r.body != "*" {
		field := input.Fields().ByName(protoreflect.Name(r.body))
		return object{"anyOf": []any{s.field(field, request), object{
			"type": "object", "additionalProperties": false, "required": []any{r.body},
			"properties": object{r.body: s.field(field, request)},
		}}}
	}
	if len(inPath) == 0 {
		return s.message(input, request)
	}
	schema := s.properties(input, request)
	for name := range inPath {
		delete(schema["properties"].(object), name)
	}
	return schema
}

// statuses are those of failures, of reads and besides of writes.
var statuses = struct{ read, write []int }{
	read:  []int{400, 401, 403, 404, 412, 415, 429, 500, 503, 504},
	write: []int{409, 413},
}

func (s *schemas) responses(method protoreflect.MethodDescriptor, writes bool) object {
	headers := object{"X-Authfi-Index": reference("headers", "Index"), "X-Request-Id": reference("headers", "RequestId")}
	if method.Output().Fields().ByName("version") != nil {
		headers["ETag"] = reference("headers", "ETag")
	}
	all := object{"200": object{
		"description": "The answer.", "headers": headers,
		"content": object{"application/json": object{"schema": s.message(method.Output(), answer)}},
	}}
	failures := statuses.read
	if writes || routes(method)[0].body != "" {
		failures = append(failures[:len(failures):len(failures)], statuses.write...)
	}
	for _, status := range failures {
		all[strconv.Itoa(status)] = reference("responses", "Problem")
	}
	return all
}

// firstSentence of a comment, without the name that Go's style puts first.
func firstSentence(said, name string) string {
	sentence, _, _ := strings.Cut(said, ". ")
	sentence = strings.TrimSuffix(strings.TrimPrefix(sentence, name+" "), ".")
	if sentence == "" {
		return name
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}
