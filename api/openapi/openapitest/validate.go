// Package openapitest holds what a server answers, and what tests ask it, against
// the OpenAPI document that the server publishes. The schemas of 3.1 are JSON
// Schema 2020-12, which a validator judges that others wrote.
package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/authfi/authfi/api/openapi"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Transport sends requests on and fails the test when an answer under /api/v1/ is
// not what the document says, or when the server took a request that it forbids.
type Transport struct {
	T    testing.TB
	Next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	res, err := t.Next.RoundTrip(r)
	if err != nil || !described(r, res) {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return res, err
	}
	for _, finding := range check(r, sent, res, body) {
		t.T.Errorf("%s %s: %d %.500s: %s", r.Method, r.URL, res.StatusCode, body, finding)
	}
	return res, nil
}

// described leaves out streams, which have no end, and paths that are no API's.
func described(r *http.Request, res *http.Response) bool {
	media := res.Header.Get("Content-Type")
	return strings.HasPrefix(r.URL.Path, "/api/v1/") && media != "text/event-stream" && media != "application/jsonl"
}

// operation is a route of the document with its compiled schemas.
type operation struct {
	method     string
	path       *regexp.Regexp
	holes      int
	id         string
	body       *jsonschema.Schema // nil: takes none
	bodyNeeded bool
	parameters []parameter
	responses  map[string]response // by status
}

type parameter struct {
	name, in string
	required bool
	schema   *jsonschema.Schema
	array    bool
}

type response struct {
	media   string
	schema  *jsonschema.Schema
	headers map[string]*jsonschema.Schema
}

// check names everything about an exchange that the document does not say.
func check(r *http.Request, sent []byte, res *http.Response, body []byte) (found []string) {
	o := find(r)
	if o == nil {
		if res.StatusCode/100 == 2 {
			found = append(found, "the document has no such route")
		}
		return found
	}
	found = checkAnswer(o, res, body)
	if res.StatusCode/100 == 2 {
		for _, problem := range checkRequest(o, r, sent) {
			found = append(found, "the server took what the document forbids: "+problem)
		}
	}
	return found
}

func find(r *http.Request) (best *operation) {
	for _, o := range operations() {
		if o.method == r.Method && o.path.MatchString(r.URL.EscapedPath()) && (best == nil || o.holes < best.holes) {
			best = o
		}
	}
	return best
}

func checkAnswer(o *operation, res *http.Response, body []byte) (found []string) {
	said, ok := o.responses[strconv.Itoa(res.StatusCode)]
	if !ok {
		return []string{"the document has no such status for " + o.id}
	}
	if media := res.Header.Get("Content-Type"); media != said.media {
		found = append(found, "content type "+media+", not "+said.media)
	}
	if err := validate(said.schema, body); err != nil {
		found = append(found, err.Error())
	}
	for name, schema := range said.headers {
		if value := res.Header.Get(name); value != "" {
			if err := schema.Validate(value); err != nil {
				found = append(found, "header "+name+": "+err.Error())
			}
		}
	}
	return found
}

func checkRequest(o *operation, r *http.Request, sent []byte) (found []string) {
	if o.body == nil && len(sent) > 0 {
		found = append(found, "a body")
	} else if o.body != nil && (o.bodyNeeded || len(sent) > 0) {
		if err := validate(o.body, sent); err != nil {
			found = append(found, err.Error())
		}
	}
	query := r.URL.Query()
	for _, p := range o.parameters {
		values := query[p.name]
		if p.in == "header" {
			values = r.Header.Values(p.name)
		}
		if p.in == "query" {
			delete(query, p.name)
		}
		for _, value := range values {
			if err := p.schema.Validate(p.typed(value)); err != nil {
				found = append(found, p.name+": "+err.Error())
			}
		}
	}
	for name := range query {
		found = append(found, "the parameter "+name)
	}
	return found
}

// typed reads a text as its schema wants it.
func (p *parameter) typed(value string) any {
	var v any = value
	if kinds := p.schema.Types; kinds != nil && !strings.Contains(kinds.String(), "string") && !p.array {
		if decoded, err := jsonschema.UnmarshalJSON(strings.NewReader(value)); err == nil {
			v = decoded
		}
	}
	if p.array {
		return []any{v}
	}
	return v
}

func validate(schema *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// operations are those of the document, compiled once.
var operations = sync.OnceValue(func() (all []*operation) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi.Document()))
	must(err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	must(compiler.AddResource(base, document))
	d := reader{compiler: compiler}
	must(json.Unmarshal(openapi.Document(), &d.document))
	for path, item := range d.document.Paths {
		for method, o := range item {
			all = append(all, d.operation(path, method, &o))
		}
	}
	return all
})

const base = "https://authfi.example/openapi.json"

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("openapitest: %v", err))
	}
}

// reader follows the document's references.
type reader struct {
	compiler *jsonschema.Compiler
	document struct {
		Paths      map[string]map[string]operationText
		Components struct {
			Parameters map[string]parameterText
			Responses  map[string]responseText
		}
	}
}

type operationText struct {
	OperationID string `json:"operationId"`
	Parameters  []parameterText
	RequestBody *struct{ Required bool } `json:"requestBody"`
	Responses   map[string]responseText
}

type parameterText struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
	Schema   struct{ Type any }
}

type responseText struct {
	Ref     string `json:"$ref"`
	Content map[string]json.RawMessage
	Headers map[string]struct {
		Ref string `json:"$ref"`
	}
}

var holes = regexp.MustCompile(`\\\{\w+\\\}`)

func (d *reader) operation(path, method string, text *operationText) *operation {
	quoted := regexp.QuoteMeta(path)
	o := &operation{
		method: strings.ToUpper(method), id: text.OperationID, responses: map[string]response{},
		path:  regexp.MustCompile("^" + holes.ReplaceAllString(quoted, "[^/]+") + "$"),
		holes: len(holes.FindAllString(quoted, -1)),
	}
	at := pointer("paths", path, method)
	if text.RequestBody != nil {
		o.bodyNeeded = text.RequestBody.Required
		o.body = d.schema(at + pointer("requestBody", "content", "application/json", "schema"))
	}
	for i, p := range text.Parameters {
		place := at + pointer("parameters", strconv.Itoa(i))
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			place, p = pointer("components", "parameters", name), d.document.Components.Parameters[name]
		}
		o.parameters = append(o.parameters, parameter{
			name: p.Name, in: p.In, required: p.Required, array: p.Schema.Type == "array",
			schema: d.schema(place + "/schema"),
		})
	}
	for status, r := range text.Responses {
		o.responses[status] = d.response(at+pointer("responses", status), r)
	}
	return o
}

func (d *reader) response(place string, text responseText) response {
	if name, ok := strings.CutPrefix(text.Ref, "#/components/responses/"); ok {
		place, text = pointer("components", "responses", name), d.document.Components.Responses[name]
	}
	r := response{headers: map[string]*jsonschema.Schema{}}
	for media := range text.Content {
		r.media = media
		r.schema = d.schema(place + pointer("content", media, "schema"))
	}
	for name, header := range text.Headers {
		r.headers[name] = d.schema(strings.TrimPrefix(header.Ref, "#") + "/schema")
	}
	return r
}

func (d *reader) schema(place string) *jsonschema.Schema {
	schema, err := d.compiler.Compile(base + "#" + place)
	must(err)
	return schema
}

// pointer is an RFC 6901 pointer in a URI fragment.
func pointer(names ...string) string {
	var b strings.Builder
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	for _, name := range names {
		b.WriteString("/" + escape.Replace(name))
	}
	return b.String()
}
