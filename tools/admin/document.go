package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/openapi"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// api is what the document describes.
type api struct {
	operations []operation // by name
	messages   []*message  // by name, those of operations and what these hold
}

// parts are the operations and the written messages by the noun of their files.
func (a api) parts() map[string]api {
	parts := map[string]api{}
	for _, o := range a.operations {
		part := parts[o.noun]
		part.operations = append(part.operations, o)
		parts[o.noun] = part
	}
	for _, m := range a.messages {
		if m.unwritten() {
			continue
		}
		part := parts[m.noun]
		part.messages = append(part.messages, m)
		parts[m.noun] = part
	}
	return parts
}

// operation is one procedure as REST has it.
type operation struct {
	name        string // ListUsers
	noun        string // of the file that defines it
	says        string
	method      string
	path        string
	holes       []string
	body        string // "*", the name of a field, or nothing
	read        bool
	conditional bool
	anonymous   bool
	local       bool
	in          *message
	out         *message
	items       *field // of a page
}

// byHand are the routes that are no procedures: streams, which are no answers.
var byHand = []string{"Events", "OpenAPI", "Backup", "AuditExport"}

// locals are about the node that answers, so that they are never repeated at another.
var locals = []string{"Leave"}

// described is an operation in the document.
type described struct {
	ID         string `json:"operationId"`
	Summary    string
	Parameters []struct {
		Ref  string `json:"$ref"`
		Name string
		In   string
	}
	RequestBody *struct {
		Content map[string]struct {
			Schema struct {
				AnyOf []struct{ Required []string }
			}
		}
	}
	Security []map[string]any
}

func read() (api, error) {
	var document struct {
		Paths map[string]map[string]described
	}
	if err := json.Unmarshal(openapi.Document(), &document); err != nil {
		return api{}, err
	}
	messages := messages{}
	var all api
	for path, verbs := range document.Paths {
		for verb, d := range verbs {
			service, name, found := strings.Cut(d.ID, "_")
			if !found && slices.Contains(byHand, d.ID) || strings.Contains(name, "_") {
				continue // the further routes of a procedure have a number behind its name
			}
			o, err := messages.operation(service, name, path, strings.ToUpper(verb), d)
			if err != nil {
				return api{}, fmt.Errorf("%s: %w", d.ID, err)
			}
			all.operations = append(all.operations, o)
		}
	}
	slices.SortFunc(all.operations, func(a, b operation) int { return strings.Compare(a.name, b.name) })
	for i, o := range all.operations[1:] {
		if o.name == all.operations[i].name {
			return api{}, fmt.Errorf("two procedures are called %s", o.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		all.messages = append(all.messages, messages[name])
	}
	return all, nil
}

func (m messages) operation(service, name, path, method string, d described) (o operation, err error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(authfiv1.File_authfi_v1_user_proto.Package() + "." + protoreflect.FullName(service+"Service."+name))
	if err != nil {
		return o, err
	}
	procedure, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return o, errors.New("is no procedure")
	}
	o = operation{name: name, noun: nounOf(procedure), says: d.Summary, method: method, path: path, read: true, anonymous: d.Security != nil, local: slices.Contains(locals, name)}
	o.in, o.out = m.of(procedure.Input()), m.of(procedure.Output())
	for _, p := range d.Parameters {
		switch {
		case strings.HasSuffix(p.Ref, "/IdempotencyKey"):
			o.read = false
		case strings.HasSuffix(p.Ref, "/IfMatch"):
			o.conditional = true
		case p.In == "path":
			o.holes = append(o.holes, p.Name)
		}
	}
	o.body = bodyOf(d)
	o.in.use(asked)
	o.in.holes = o.holes
	o.out.use(answered)
	if o.out.bare {
		return o, errors.New("answers with a list that has no name")
	}
	o.items = pages(o.in, o.out)
	return o, o.askable()
}

// bodyOf is "*", or the one field that the body is.
func bodyOf(d described) string {
	if d.RequestBody == nil {
		return ""
	}
	for _, form := range d.RequestBody.Content["application/json"].Schema.AnyOf {
		if len(form.Required) == 1 {
			return form.Required[0]
		}
	}
	return "*"
}

// marks are what is true of an operation, by their names.
func (o operation) marks() (all []string) {
	for _, mark := range []struct {
		name  string
		holds bool
	}{{"read", o.read}, {"conditional", o.conditional}, {"anonymous", o.anonymous}, {"local", o.local}} {
		if mark.holds {
			all = append(all, mark.name)
		}
	}
	return all
}

// needs reports whether something must be said to ask.
func (o operation) needs() bool { return len(o.holes) > 0 }

// askable: what is in a query is a scalar, and what a call may wish for is no field.
func (o operation) askable() error {
	for _, f := range o.in.fields {
		if slices.Contains(wishes, f.name) {
			return fmt.Errorf("the field %s is called as a wish of every call", f.name)
		}
		inQuery := o.body == "" || o.body != "*" && f.name != o.body
		if inQuery && !slices.Contains(o.holes, f.name) && (f.of != nil || f.form == mapped) {
			return fmt.Errorf("the field %s cannot be in a query", f.name)
		}
	}
	return nil
}

// wishes are what calls take besides the fields.
var wishes = []string{"if_version", "idempotency_key", "newest"}

// pages is the field that holds the items, when the answer is a page.
func pages(in, out *message) *field {
	if !in.has("cursor") || !out.has("cursor") {
		return nil
	}
	var items *field
	for i := range out.fields {
		if f := &out.fields[i]; f.form == listed {
			if items != nil {
				return nil // two lists: which of them goes on is not for a generator to say
			}
			items = f
		}
	}
	return items
}
