package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// The isolation proof. Two organizations hold the same names. Every procedure is
// asked, over REST and over Connect, with an id of the neighbour in every field that
// holds one, and again with an id that nobody has: both answers must be the same
// bytes. The neighbour must not notice, and the same request with an id of the
// caller's own must be answered otherwise, or the probe would prove nothing.

// secret stands in everything of the neighbour that is not a name of both.
const secret = "only-the-neighbour-has-this"

// twin is one organization with an object of every kind.
type twin struct {
	s     *server // as operator
	org   string
	ids   map[string]string // by kind
	owner *server           // an owner's session
	key   *server           // an owner's API key
	made  int
}

// prefixes of ids by kind of object.
var prefixes = map[string]string{
	"org": "org-", "user": "usr-", "group": "grp-", "role": "rol-", "session": "ses-", "service": "svc-",
	"connection": "con-", "api_key": "apk-", "client": "cli-", "operator": "opr-", "event_stream": "evs-",
}

// everything is what an owner holds.
var everything = []directory.Permission{
	directory.ManageOrganization, directory.ManageUsers, directory.ManageGroups, directory.ManageRoles,
	directory.ManageSettings, directory.ManageSessions, directory.ReadDirectory, directory.ReadAuditLogs,
}

func newTwin(s *server, slug, note string) *twin {
	s.t.Helper()
	w := &twin{s: s, ids: map[string]string{}}
	w.org = s.ok("POST", "/api/v1/organizations", `{"slug":"`+slug+`","name":"Clinic"}`).text(s.t, "id")
	w.ids["org"] = w.org
	boss := w.fresh("user", note)
	permissions, err := json.Marshal(everything)
	must(s.t, err)
	role := s.ok("POST", "/api/v1/roles", `{"org_id":"`+w.org+`","name":"boss","description":"`+note+`","permissions":`+string(permissions)+`}`).text(s.t, "id")
	s.ok("POST", "/api/v1/users/"+boss+"/roles", `{"role_id":"`+role+`"}`)
	w.enter(boss)
	key := s.ok("POST", "/api/v1/api-keys", `{"org_id":"`+w.org+`","name":"boss","user_id":"`+boss+`","permissions":`+string(permissions)+`}`)
	w.key = s.as(key.text(s.t, "key"))
	for _, kind := range []string{"user", "group", "role", "session", "service", "connection", "event_stream", "api_key", "client"} {
		w.ids[kind] = w.fresh(kind, note)
	}
	inner := w.fresh("group", note)
	s.ok("POST", "/api/v1/groups/"+w.ids["group"]+"/groups", `{"group_id":"`+inner+`"}`)
	s.ok("POST", "/api/v1/groups/"+inner+"/members", `{"user_id":"`+w.ids["user"]+`"}`)
	s.ok("POST", "/api/v1/groups/"+w.ids["group"]+"/roles", `{"role_id":"`+w.ids["role"]+`"}`)
	return w
}

// enter lets the owner sign in.
func (w *twin) enter(boss string) {
	w.s.t.Helper()
	session := w.s.ok("POST", "/api/v1/sessions", `{"org_id":"`+w.org+`","user_id":"`+boss+`","amr":["pwd","otp"]}`)
	w.owner = w.s.as(session.text(w.s.t, "access_token"))
}

// fresh makes one more object of a kind. Both twins give the same names in the same
// order.
func (w *twin) fresh(kind, note string) string {
	w.s.t.Helper()
	w.made++
	name := fmt.Sprintf("name-%d", w.made)
	post := func(path, format string, args ...any) object {
		return w.s.ok("POST", path, fmt.Sprintf(format, args...))
	}
	switch kind {
	case "user":
		return post("/api/v1/users", `{"org_id":%q,"email":"%s@example.org","title":%q}`, w.org, name, note).text(w.s.t, "id")
	case "group":
		return post("/api/v1/groups", `{"org_id":%q,"name":%q,"description":%q}`, w.org, name, note).text(w.s.t, "id")
	case "role":
		return post("/api/v1/roles", `{"org_id":%q,"name":%q,"description":%q,"permissions":["read:patients"]}`, w.org, name, note).text(w.s.t, "id")
	case "session":
		return post("/api/v1/sessions", `{"org_id":%q,"user_id":%q,"amr":["pwd","otp"]}`, w.org, w.ids["user"]).text(w.s.t, "session_id")
	case "service":
		return post("/api/v1/services", `{"org_id":%q,"name":%q,"listen":["127.0.0.1:%d"]}`, w.org, name, 20_000+w.made).text(w.s.t, "id")
	case "connection":
		return post("/api/v1/organizations/"+w.org+"/scim-connections", `{"provider":"entra"}`).text(w.s.t, "id")
	case "event_stream":
		made := post("/api/v1/organizations/"+w.org+"/event-streams", `{"name":%q,"audience":%q,"delivery":"poll"}`, name, note)
		return made["event_stream"].(map[string]any)["id"].(string)
	case "client":
		made := post("/api/v1/organizations/"+w.org+"/clients", `{"name":%q,"grant_types":["authorization_code"],"redirect_uris":["https://app.example/%s"],"permissions":["read:patients"]}`, name, name)
		return made["client"].(map[string]any)["id"].(string)
	case "api_key":
		made := post("/api/v1/api-keys", `{"org_id":%q,"name":%q,"user_id":%q,"permissions":["read:directory"]}`, w.org, name, w.boss())
		return made["api_key"].(map[string]any)["id"].(string)
	}
	w.s.t.Fatalf("nobody makes a %s", kind)
	return ""
}

func (w *twin) boss() string {
	w.s.t.Helper()
	found := w.s.ok("GET", "/api/v1/users?org_id="+w.org+"&limit=1", "")
	return found["users"].([]any)[0].(map[string]any)["id"].(string)
}

// kindOf says of which kind an id-valued field is; empty: it holds no id.
func kindOf(field protoreflect.FieldDescriptor) string {
	if field.Kind() != protoreflect.StringKind {
		return ""
	}
	name, message := string(field.Name()), string(field.Parent().Name())
	switch name {
	case "manager_id", "owner_id", "account_id", "actor", "object":
		return "user"
	case "id":
		return kindOfMessage(message)
	}
	for _, suffix := range []string{"_id", "_ids"} {
		if kind, ok := strings.CutSuffix(name, suffix); ok && prefixes[kind] != "" {
			return kind
		}
	}
	return ""
}

// kindOfMessage is the kind of the field id of a request.
func kindOfMessage(message string) string {
	for _, row := range []struct{ part, kind string }{
		{"EventStream", "event_stream"},
		{"ListUserGroups", "user"}, {"Group", "group"}, {"Role", "role"}, {"Organization", "org"}, {"Domain", "org"}, {"Schema", "org"},
		{"User", "user"}, {"Session", "session"}, {"Policies", "service"}, {"Service", "service"}, {"Connection", "connection"},
		{"ApiKey", "api_key"}, {"Client", "client"}, {"Operator", "operator"},
	} {
		if strings.Contains(message, row.part) {
			return row.kind
		}
	}
	return ""
}

// instanceOnly are procedures whose ids belong to no organization: nobody but an
// operator may ask them anything.
var instanceOnly = map[string]bool{"OperatorService.DeleteOperator": true, "EnforcementService.ListRefusals": true}

// free are what the other fields hold, so that a request is well formed.
var free = map[string]any{
	"limit": 2, "slug": "some-slug", "name": "some name", "email": "some@example.org", "user_name": "some.user",
	"grant_types": []any{"client_credentials"}, "permission": "read:patients", "permissions": []any{"read:patients"}, "provider": "entra", "audience": "https://receiver.example", "delivery": "poll", "amr": []any{"pwd", "otp"},
	"domain": "clinic.example", "count": 5000, "days": 30, "listen": []any{"127.0.0.1:29999"}, "description": "text",
	"status": "active", "from": 1, "user_quota": 5000,
}

// build makes a request in which every id is what pick says.
func build(m protoreflect.MessageDescriptor, pick func(kind string) string, depth int) map[string]any {
	body := map[string]any{}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		name := string(field.Name())
		if kind := kindOf(field); kind != "" {
			if skipped(m, name) {
				continue
			}
			body[name] = listed(field, pick(kind))
			continue
		}
		if value, ok := free[name]; ok && (field.Message() == nil) && !skipped(m, name) {
			if _, isList := value.([]any); isList == field.IsList() {
				body[name] = value
			}
			continue
		}
		if field.Message() != nil && depth > 0 && (name == "checks") {
			body[name] = []any{build(field.Message(), pick, 0)}
		}
	}
	return body
}

// skipped leaves out fields that exclude others or that would change what a
// request is about.
func skipped(m protoreflect.MessageDescriptor, name string) bool {
	switch string(m.Name()) + "." + name {
	case "CheckRequest.user_id", "CheckRequest.permission", "CheckRequest.permissions", // asked in checks
		"AddGroupMembersRequest.user_ids",
		"ListAuditLogRequest.status", "ListSyncLogRequest.status", // would find nothing
		"ListUsersRequest.user_name":
		return true
	}
	return false
}

func listed(field protoreflect.FieldDescriptor, id string) any {
	if field.IsList() {
		return []any{id}
	}
	return id
}

// places are the ways to every id in a body, as the names to follow.
func places(m protoreflect.MessageDescriptor, body map[string]any) (all [][]string) {
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		name := string(field.Name())
		value, ok := body[name]
		if !ok {
			continue
		}
		if kindOf(field) != "" {
			all = append(all, []string{name})
			continue
		}
		if field.Message() == nil {
			continue
		}
		inner, isMap := value.(map[string]any)
		if list, isList := value.([]any); isList {
			inner, isMap = list[0].(map[string]any)
		}
		if isMap {
			for _, place := range places(field.Message(), inner) {
				all = append(all, append([]string{name}, place...))
			}
		}
	}
	return all
}

// at finds the field that a place leads to.
func at(m protoreflect.MessageDescriptor, body map[string]any, place []string) (map[string]any, protoreflect.FieldDescriptor) {
	field := m.Fields().ByName(protoreflect.Name(place[0]))
	if len(place) == 1 {
		return body, field
	}
	inner := body[place[0]]
	if list, ok := inner.([]any); ok {
		inner = list[0]
	}
	return at(field.Message(), inner.(map[string]any), place[1:])
}

// exchange is what was answered, without what differs between any two answers.
type exchange struct {
	status int
	header string
	body   string
}

var (
	numbers = regexp.MustCompile(`"(index|version)":[0-9]+`)
	moments = regexp.MustCompile(`"[0-9-]+T[0-9:.]+Z"`)
)

// ask sends one request as a caller and masks an id that is echoed.
func ask(s *server, method, path string, body []byte, id string) exchange {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, bytes.NewReader(body))
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(s.t, err)
	if strings.Contains(string(raw), secret) {
		s.t.Errorf("%s %s: the answer tells of the neighbour: %s", method, path, raw)
	}
	for _, name := range []string{"Date", "X-Authfi-Index", "X-Request-Id", "Content-Length"} {
		res.Header.Del(name)
	}
	var header strings.Builder
	must(s.t, res.Header.Write(&header))
	text := strings.ReplaceAll(string(raw), id, "ID")
	text = moments.ReplaceAllString(numbers.ReplaceAllString(text, `"$1":N`), `"T"`)
	return exchange{res.StatusCode, header.String(), text}
}

// forms are the requests that carry a body: Connect, and REST by its first rule.
func forms(method protoreflect.MethodDescriptor, body map[string]any) (all []func(s *server, id string) exchange) {
	text := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return b
	}
	procedure := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	all = append(all, func(s *server, id string) exchange { return ask(s, "POST", procedure, text(body), id) })
	rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return all
	}
	verb, path := verbAndPath(rule)
	rest := maps.Clone(body)
	for name, value := range body {
		if hole := "{" + name + "}"; strings.Contains(path, hole) {
			path = strings.ReplaceAll(path, hole, url.PathEscape(fmt.Sprint(value)))
			delete(rest, name)
		}
	}
	var sent []byte
	switch rule.GetBody() {
	case "*":
		sent = text(rest)
	case "":
		query := url.Values{}
		for name, value := range rest {
			query.Set(name, fmt.Sprint(value))
		}
		path += "?" + query.Encode()
	default:
		sent = []byte(`[]`)
	}
	return append(all, func(s *server, id string) exchange { return ask(s, verb, path, sent, id) })
}

func verbAndPath(rule *annotations.HttpRule) (verb, path string) {
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return "GET", pattern.Get
	case *annotations.HttpRule_Post:
		return "POST", pattern.Post
	case *annotations.HttpRule_Put:
		return "PUT", pattern.Put
	case *annotations.HttpRule_Patch:
		return "PATCH", pattern.Patch
	case *annotations.HttpRule_Delete:
		return "DELETE", pattern.Delete
	}
	return "", ""
}

// unary are the procedures of the API by "Service.Method".
func unary() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFilesByPackage(authfiv1.File_authfi_v1_user_proto.Package(), func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for k := range service.Methods().Len() {
				if m := service.Methods().Get(k); !m.IsStreamingServer() {
					all[string(service.Name())+"."+string(m.Name())] = m
				}
			}
		}
		return true
	})
	return all
}

// bodies are the requests to try of a procedure: one, or of a procedure that takes
// operations one for each kind of operation.
func bodies(m protoreflect.MessageDescriptor, pick func(string) string) (all []map[string]any) {
	body := build(m, pick, 1)
	list := m.Fields().ByName("operations")
	if list == nil {
		list = m.Fields().ByName("changes")
	}
	if list == nil {
		return []map[string]any{body}
	}
	cases := list.Message().Fields()
	for i := range cases.Len() {
		one := maps.Clone(body)
		one[string(list.Name())] = []any{map[string]any{string(cases.Get(i).Name()): build(cases.Get(i).Message(), pick, 1)}}
		all = append(all, one)
	}
	return all
}

func TestNeighbourIsUnknown(t *testing.T) {
	s := newServer(t)
	own, other := newTwin(s, "clinic-one", "note"), newTwin(s, "clinic-two", secret)
	before := sumOf(t, s, other.org)
	rng := rand.New(rand.NewSource(1))
	probes, differences := 0, 0
	methods := unary()
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		method := methods[name]
		if instanceOnly[name] {
			continue
		}
		tried := 0
		for _, body := range bodies(method.Input(), func(kind string) string { return own.ids[kind] }) {
			for _, place := range places(method.Input(), body) {
				holder, field := at(method.Input(), body, place)
				kind := kindOf(field)
				kept := holder[string(field.Name())]
				for _, caller := range []*server{own.owner, own.key} {
					var answers [2][]exchange
					for i, id := range []string{other.ids[kind], unknownID(rng, kind)} {
						holder[string(field.Name())] = listed(field, id)
						for _, form := range forms(method, body) {
							answers[i] = append(answers[i], form(caller, id))
						}
					}
					for k := range answers[0] {
						probes++
						if answers[0][k] != answers[1][k] {
							differences++
							t.Errorf("%s, %s: of the neighbour %+v, of nobody %+v", name, strings.Join(place, "."), answers[0][k], answers[1][k])
						}
					}
				}
				holder[string(field.Name())] = kept
				tried++
			}
		}
		if tried == 0 && hasID(method.Input()) {
			t.Errorf("%s takes an id and was not tried", name)
		}
	}
	if after := sumOf(t, s, other.org); after != before {
		t.Errorf("the neighbour's state has moved from %s to %s", before, after)
	}
	t.Logf("%d procedures, %d probes, %d differences", len(methods), probes, differences)
	if probes < 300 {
		t.Errorf("only %d probes", probes)
	}
}

// hasID reports whether a request has an id anywhere.
func hasID(m protoreflect.MessageDescriptor) bool {
	for i := range m.Fields().Len() {
		if kindOf(m.Fields().Get(i)) != "" {
			return true
		}
	}
	return false
}

func unknownID(rng *rand.Rand, kind string) string {
	return fmt.Sprintf("%s%016x%016x", prefixes[kind], rng.Uint64(), rng.Uint64())
}

// sumOf is the digest of an organization's rows.
func sumOf(t *testing.T, s *server, org string) string {
	t.Helper()
	id, err := directory.ParseOrgID(org)
	must(t, err)
	view, ok := s.log.machine.Root().Org(id)
	if !ok {
		t.Fatal("the neighbour is gone")
	}
	return fmt.Sprintf("%x", view.Sum())
}

// operatorOnly are procedures that an organization's owner is refused, whatever the
// id: their probes prove that the refusal is one, and no more.
var operatorOnly = map[string]bool{
	"OrganizationService.SetOrganizationLimits": true, "OrganizationService.DeleteOrganization": true,
}

// TestProbesReachTheirHandlers is the control of the proof: the same requests with
// the caller's own ids are answered otherwise than those with unknown ids.
func TestProbesReachTheirHandlers(t *testing.T) {
	s := newServer(t)
	own := newTwin(s, "clinic-one", "note")
	rng := rand.New(rand.NewSource(2))
	methods := unary()
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		method := methods[name]
		if instanceOnly[name] || operatorOnly[name] || !hasID(method.Input()) {
			continue
		}
		pick := func(kind string) string {
			if kind == "org" {
				return own.org
			}
			return own.fresh(kind, "note")
		}
		for _, body := range bodies(method.Input(), pick) {
			asked := forms(method, body)[0](own.owner, "none")
			for _, place := range places(method.Input(), body) {
				holder, field := at(method.Input(), body, place)
				holder[string(field.Name())] = listed(field, unknownID(rng, kindOf(field)))
			}
			if name == "SessionService.EndOrganizationSessions" {
				own.enter(own.boss()) // theirs was among them
			}
			if unknown := forms(method, body)[0](own.owner, "none"); unknown == asked {
				t.Errorf("%s %v: an own object is answered like an unknown one: %+v", name, body, asked)
			}
		}
	}
}
