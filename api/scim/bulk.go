package scim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/api/scim/patch"
)

const (
	bulkRequestURN  = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkResponseURN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"

	// Bounds of a bulk request: what one operation after the other does well within
	// the time of a request, each of them a commit.
	bulkOperations = 100
	bulkMax        = 1 << 20 // bytes
	// bulkIDMax bounds the name of an operation in bytes.
	bulkIDMax = 256
)

// bulkPrefix stands before the name of an operation where the id of what it creates
// belongs (RFC 7644 section 3.7.2).
const bulkPrefix = "bulkId:"

// bulkRequest is the body of POST /Bulk (RFC 7644 section 3.7).
type bulkRequest struct {
	Schemas      []string        `json:"schemas"`
	FailOnErrors int             `json:"failOnErrors"`
	Operations   []bulkOperation `json:"Operations"`
}

type bulkOperation struct {
	Method  string          `json:"method"`
	BulkID  string          `json:"bulkId"`
	Version string          `json:"version"`
	Path    string          `json:"path"`
	Data    json.RawMessage `json:"data"`
}

// bulkResult is the answer to one operation.
type bulkResult struct {
	Method   string          `json:"method"`
	BulkID   string          `json:"bulkId,omitempty"`
	Location string          `json:"location,omitempty"`
	Version  string          `json:"version,omitempty"`
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response,omitempty"` // of a failure
}

// bulkRun does the operations of one request, each by the handler that a request of
// its own would have. An operation waits for those that create what it refers to.
type bulkRun struct {
	*request
	bulkRequest
	creators map[string]int    // by bulkId: the operation that creates it
	ids      map[string]string // by bulkId: what was created
	begun    []bool
	results  []*bulkResult
	partial  []partialResource
	failed   int
}

// partialResource was created without references to what did not exist yet.
type partialResource struct {
	operation int
	id        string
	data      any
}

func bulk(r *request) error {
	body, err := r.body(bulkMax)
	if err != nil {
		return err
	}
	run := &bulkRun{request: r, creators: map[string]int{}, ids: map[string]string{}}
	if err := json.Unmarshal(body, &run.bulkRequest); err != nil {
		return &patch.Error{ScimType: patch.InvalidSyntax, Detail: "the body is not a bulk request: " + readable(err)}
	}
	if err := run.check(); err != nil {
		return err
	}
	if err := r.limit(len(run.Operations)); err != nil {
		return err
	}
	run.begun, run.results = make([]bool, len(run.Operations)), make([]*bulkResult, len(run.Operations))
	for i := range run.Operations {
		if run.over() {
			break
		}
		run.do(i)
		run.complete()
	}
	run.observe()
	results := slices.DeleteFunc(run.results, func(result *bulkResult) bool { return result == nil })
	return r.write(http.StatusOK, map[string]any{"schemas": []string{bulkResponseURN}, "Operations": results})
}

// observe tells the journal of each operation that was done: a provider that sends in
// bulk fails as often as one that sends one by one.
func (b *bulkRun) observe() {
	o, ok := b.w.(*observed)
	if !ok {
		return
	}
	for i, result := range b.results {
		if result == nil {
			continue
		}
		op := &b.Operations[i]
		status, _ := strconv.Atoi(result.Status) // of three digits
		seen := journal.Seen{Method: op.Method, Path: op.Path, Status: status}
		seen.Body.Add(op.Data)
		o.operations = append(o.operations, seen)
	}
}

// check refuses what is wrong with the request as a whole, before any operation.
func (b *bulkRun) check() error {
	switch {
	case !contains(b.Schemas, bulkRequestURN):
		return &patch.Error{ScimType: patch.InvalidSyntax, Detail: "schemas must name " + bulkRequestURN}
	case b.FailOnErrors < 0:
		return &patch.Error{ScimType: patch.InvalidValue, Detail: "failOnErrors must not be negative"}
	case len(b.Operations) > bulkOperations:
		return &failure{
			status: http.StatusRequestEntityTooLarge, scimType: patch.TooMany,
			detail: fmt.Sprintf("%d operations; at most %d are taken", len(b.Operations), bulkOperations),
		}
	}
	for i := range b.Operations {
		op := &b.Operations[i]
		op.Method = strings.ToUpper(op.Method)
		if len(op.BulkID) > bulkIDMax {
			return &patch.Error{ScimType: patch.InvalidValue, Detail: fmt.Sprintf("Operations[%d].bulkId is longer than %d bytes", i, bulkIDMax)}
		}
		if op.Method != http.MethodPost {
			continue
		}
		if op.BulkID == "" {
			return &patch.Error{ScimType: patch.InvalidValue, Detail: fmt.Sprintf("Operations[%d].bulkId is required of a POST", i)}
		}
		if _, taken := b.creators[op.BulkID]; taken {
			return &patch.Error{ScimType: patch.InvalidValue, Detail: fmt.Sprintf("Operations[%d].bulkId %q is that of another operation", i, op.BulkID)}
		}
		b.creators[op.BulkID] = i
	}
	return nil
}

// over tells whether as many operations have failed as the client bears.
func (b *bulkRun) over() bool { return b.FailOnErrors > 0 && b.failed >= b.FailOnErrors }

// do does one operation, after those that create what it refers to. What refers to
// each other in a circle is created without the references that nothing stands for
// yet, and then replaced by the whole (RFC 7644 section 3.7.1).
func (b *bulkRun) do(i int) {
	if b.begun[i] {
		return
	}
	b.begun[i] = true
	op := &b.Operations[i]
	var data any
	if len(op.Data) > 0 {
		d := json.NewDecoder(bytes.NewReader(op.Data))
		d.UseNumber()
		if err := d.Decode(&data); err != nil {
			b.refuse(i, &patch.Error{ScimType: patch.InvalidSyntax, Detail: "data: " + readable(err)})
			return
		}
	}
	for _, name := range referred(data, op.Path) {
		if creator, ok := b.creators[name]; ok && !b.over() {
			b.do(creator)
		}
	}
	if b.over() {
		return
	}
	waits := false
	for _, name := range referred(data, op.Path) {
		if _, made := b.ids[name]; made {
			continue
		}
		creator, ok := b.creators[name]
		if !ok || b.results[creator] != nil || op.Method != http.MethodPost {
			b.refuse(i, &patch.Error{ScimType: patch.InvalidValue, Detail: "no operation of this request has created " + bulkPrefix + name})
			return
		}
		waits = true // it is under way, and waits for this one
	}
	id := b.send(i, op.Method, b.resolvedPath(op.Path), b.resolved(data))
	if id == "" {
		return
	}
	b.ids[op.BulkID] = id
	if waits {
		b.partial = append(b.partial, partialResource{i, id, data})
	}
}

// complete gives what was created in a circle all of its references, now that there
// is something behind each of them. Where there is not, since the creation of another
// has failed, the operation has (RFC 7644 section 3.7.1), and says what it has left.
func (b *bulkRun) complete() {
	for _, p := range b.partial {
		op, created := &b.Operations[p.operation], b.results[p.operation]
		for _, name := range referred(p.data, "") {
			if _, made := b.ids[name]; !made {
				b.refuse(p.operation, &failure{
					status: http.StatusConflict,
					detail: "created, but without its reference to " + bulkPrefix + name + ", which no operation has created",
				})
				b.results[p.operation].Location, b.results[p.operation].Version = created.Location, created.Version
				break
			}
		}
		if b.results[p.operation] != created {
			continue
		}
		b.send(p.operation, http.MethodPut, strings.TrimSuffix(op.Path, "/")+"/"+p.id, b.resolved(p.data))
		if done := b.results[p.operation]; done.Response == nil {
			done.Method, done.Status = created.Method, created.Status
		}
	}
	b.partial = nil
}

// send hands an operation to its handler and keeps the answer. It gives the id of
// what a POST has created.
func (b *bulkRun) send(i int, method, path string, data any) (id string) {
	op := &b.Operations[i]
	inner, reply, err := b.inner(op, method, path, data)
	if err != nil {
		b.refuse(i, err)
		return ""
	}
	if err := inner.handle(); err != nil {
		inner.fail(err)
	}
	if index := reply.header.Get(headerIndex); index != "" {
		b.w.Header().Set(headerIndex, index)
	}
	result := &bulkResult{
		Method: method, BulkID: op.BulkID, Status: strconv.Itoa(reply.status),
		Version: reply.header.Get("ETag"), Location: reply.header.Get("Location"),
	}
	if result.Location == "" && method != http.MethodPost {
		result.Location = b.root + "/" + inner.kind + "/" + inner.id
	}
	if b.results[i] = result; reply.status >= http.StatusBadRequest {
		result.Response = reply.body.Bytes()
		b.failed++
		return ""
	}
	if method != http.MethodPost {
		return ""
	}
	return result.Location[strings.LastIndexByte(result.Location, '/')+1:]
}

// inner is a request of its own for an operation, of the same caller.
func (b *bulkRun) inner(op *bulkOperation, method, path string, data any) (*request, *reply, error) {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil, nil, &patch.Error{ScimType: patch.InvalidValue, Detail: fmt.Sprintf("method %.20q is not one of POST, PUT, PATCH and DELETE", method)}
	}
	at, err := url.Parse(path)
	if err != nil || !strings.HasPrefix(path, "/") {
		return nil, nil, &patch.Error{ScimType: patch.InvalidPath, Detail: fmt.Sprintf("path %.200q is not that of an endpoint", path)}
	}
	kind, id, _ := strings.Cut(strings.Trim(at.Path, "/"), "/")
	if kind != "Users" && kind != "Groups" || id == searchSegment {
		return nil, nil, &patch.Error{ScimType: patch.InvalidPath, Detail: fmt.Sprintf("path %.200q is not one of users or groups", path)}
	}
	var body []byte
	if data != nil {
		if body, err = json.Marshal(data); err != nil {
			return nil, nil, err
		}
	}
	r, err := http.NewRequestWithContext(b.Context(), method, at.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", mediaType)
	if op.Version != "" {
		r.Header.Set("If-Match", op.Version)
	}
	answer := &reply{header: http.Header{}}
	return &request{
		Request: r, w: answer, server: b.server, caller: b.caller, org: b.org, root: b.root, kind: kind, id: id,
	}, answer, nil
}

// refuse answers an operation that reaches no handler.
func (b *bulkRun) refuse(i int, err error) {
	f := failureOf(err)
	response, _ := json.Marshal(f.body()) // text only
	op := &b.Operations[i]
	b.results[i] = &bulkResult{Method: op.Method, BulkID: op.BulkID, Status: strconv.Itoa(f.status), Response: response}
	b.failed++
}

// reply is the answer of a handler, kept.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *reply) Header() http.Header { return r.header }

func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *reply) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// quotedReference is a reference in the filter of a PATCH's path, as in
// members[value eq "bulkId:x"].
var quotedReference = regexp.MustCompile(`"` + bulkPrefix + `([^"]+)"`)

// referred lists the operations whose resources are meant by data and path.
func referred(data any, path string) (names []string) {
	if _, name, ok := strings.Cut(path, "/"+bulkPrefix); ok {
		names = append(names, name)
	}
	switch v := data.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, bulkPrefix); ok {
			names = append(names, name)
		}
	case []any:
		for _, element := range v {
			names = append(names, referred(element, "")...)
		}
	case map[string]any:
		for _, key := range sortedKeys(v) {
			if path, ok := v[key].(string); ok && strings.EqualFold(key, "path") {
				for _, m := range quotedReference.FindAllStringSubmatch(path, -1) {
					names = append(names, m[1])
				}
				continue
			}
			names = append(names, referred(v[key], "")...)
		}
	}
	return names
}

func (b *bulkRun) resolvedPath(path string) string {
	if before, name, ok := strings.Cut(path, "/"+bulkPrefix); ok {
		return before + "/" + b.ids[name]
	}
	return path
}

// resolved puts ids in the place of references. Where there is no id yet, the value
// is left out, and with it the element whose value it is.
func (b *bulkRun) resolved(data any) any {
	v, _ := b.resolve(data)
	return v
}

func (b *bulkRun) resolve(data any) (_ any, known bool) {
	switch v := data.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, bulkPrefix); ok {
			id, made := b.ids[name]
			return id, made
		}
	case []any:
		out := make([]any, 0, len(v))
		for _, element := range v {
			if one, ok := b.resolve(element); ok {
				out = append(out, one)
			}
		}
		return out, true
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, element := range v {
			if path, ok := element.(string); ok && strings.EqualFold(key, "path") {
				out[key] = b.resolvedFilter(path)
				continue
			}
			one, ok := b.resolve(element)
			if !ok && strings.EqualFold(key, "value") {
				return nil, false
			}
			if ok {
				out[key] = one
			}
		}
		return out, true
	}
	return data, true
}

func (b *bulkRun) resolvedFilter(path string) string {
	return quotedReference.ReplaceAllStringFunc(path, func(quoted string) string {
		return `"` + b.ids[quoted[len(`"`+bulkPrefix):len(quoted)-1]] + `"`
	})
}
