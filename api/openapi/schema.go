package openapi

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/authfi/authfi/proto"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// direction says whether JSON is read or written: in answers every field is there;
// in requests any may be missing or null, and bounds hold.
type direction bool

const (
	request direction = false
	answer  direction = true
)

// schemas are the messages described so far, by their name in the document.
type schemas struct{ done object }

// message describes a message, once, and refers to it.
func (s *schemas) message(m protoreflect.MessageDescriptor, d direction) object {
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		return object{"type": "string", "format": "date-time"}
	case "google.protobuf.Struct":
		return object{"type": "object"}
	}
	if list, ok := bareList(m); ok {
		schema := s.field(list, d)
		if d == request { // the message around it is understood, too
			return object{"anyOf": []any{schema, object{
				"type": "object", "additionalProperties": false, "properties": object{string(list.Name()): schema},
			}}}
		}
		return schema
	}
	name := string(m.Name())
	if d == request && !strings.HasSuffix(name, "Request") {
		name += "Input"
	}
	if _, ok := s.done[name]; !ok {
		s.done[name] = nil // a message that holds itself refers to this
		s.done[name] = s.properties(m, d)
	}
	return reference("schemas", name)
}

func bareList(m protoreflect.MessageDescriptor) (protoreflect.FieldDescriptor, bool) {
	if marked, _ := protobuf.GetExtension(m.Options(), authfiv1.E_BareList).(bool); !marked {
		return nil, false
	}
	return m.Fields().Get(0), true
}

// properties is the object of a message.
func (s *schemas) properties(m protoreflect.MessageDescriptor, d direction) object {
	fields, required := object{}, []any{}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		fields[string(field.Name())] = s.field(field, d)
		required = append(required, string(field.Name()))
	}
	schema := object{"type": "object", "additionalProperties": false, "properties": fields}
	if d == answer {
		schema["required"] = required
	} else if m.Oneofs().Len() > 0 && !m.Oneofs().Get(0).IsSynthetic() {
		schema["maxProperties"] = 1
	}
	if said := proto.Comments()[string(m.Name())]; said != "" {
		schema["description"] = said
	}
	return schema
}

// field describes the value of a field.
func (s *schemas) field(field protoreflect.FieldDescriptor, d direction) object {
	said := proto.Comments()[string(field.Parent().Name())+"."+string(field.Name())]
	schema := s.value(field, d)
	if d == request {
		bound(schema, field, said)
		if strings.HasPrefix(said, "Present: ") || said == "" {
			bound(schema, field, saidOfMaking(field))
		}
	}
	if d == request && !field.IsList() || d == answer && field.HasPresence() {
		schema = nullable(schema)
	}
	if said != "" {
		schema["description"] = said
	}
	return schema
}

// saidOfMaking is the comment of a field where the object is made: an update has
// the same bounds.
func saidOfMaking(field protoreflect.FieldDescriptor) string {
	noun, isUpdate := strings.CutPrefix(string(field.Parent().Name()), "Update")
	if !isUpdate {
		return ""
	}
	return proto.Comments()["Create"+noun+"."+string(field.Name())]
}

// parameter is a field in a path or a query, where nothing is null.
func (s *schemas) parameter(field protoreflect.FieldDescriptor) object {
	schema := s.field(field, request)
	if kinds, ok := schema["type"].([]any); ok {
		schema["type"] = kinds[0]
	}
	if allowed, ok := schema["enum"].([]any); ok {
		schema["enum"] = allowed[:len(allowed)-1]
	}
	return schema
}

func (s *schemas) value(field protoreflect.FieldDescriptor, d direction) object {
	switch {
	case field.IsMap():
		return object{"type": "object", "additionalProperties": s.single(field.MapValue(), d)}
	case field.IsList():
		return object{"type": "array", "items": s.single(field, d)}
	}
	return s.single(field, d)
}

func (s *schemas) single(field protoreflect.FieldDescriptor, d direction) object {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return s.message(field.Message(), d)
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.Int32Kind:
		return object{"type": "integer", "format": "int32"}
	case protoreflect.Int64Kind:
		return object{"type": "integer", "format": "int64"}
	case protoreflect.Uint32Kind:
		return object{"type": "integer", "format": "int64", "minimum": 0, "maximum": 1<<32 - 1}
	case protoreflect.Uint64Kind:
		return object{"type": "integer", "format": "int64", "minimum": 0}
	case protoreflect.DoubleKind:
		return object{"type": "number", "format": "double"}
	}
	panic("openapi: the JSON dialect has no form for " + string(field.FullName()))
}

// nullable takes null, too.
func nullable(schema object) object {
	if kind, ok := schema["type"].(string); ok {
		schema["type"] = []any{kind, "null"}
		return schema
	}
	return object{"anyOf": []any{schema, object{"type": "null"}}}
}

// The forms in which comments state bounds.
var (
	bytesBound = regexp.MustCompile(`(?:at most|,) ([\d,]+) bytes`)
	countBound = regexp.MustCompile(`^(?:.*\b)?at most ([\d,]+)\b`)
	rangeBound = regexp.MustCompile(`(?:^|: )(\d+) to ([\d,]+)`)
	choices    = regexp.MustCompile(`^(?:"[^"]*"(?:, | or )?){2,}$`)
	choice     = regexp.MustCompile(`"([^"]*)"`)
)

// bound reads what a comment says of a request's field. The API counts bytes, of
// which a text has at least as many as characters.
func bound(schema object, field protoreflect.FieldDescriptor, said string) {
	switch {
	case field.IsList():
		countOf(schema, said)
		if items, ok := schema["items"].(object); ok && items["type"] == "string" {
			lengthOf(items, said)
		}
	case schema["type"] == "string" && schema["format"] == nil:
		if choices.MatchString(said) {
			var allowed []any
			for _, m := range choice.FindAllStringSubmatch(said, -1) {
				allowed = append(allowed, m[1])
			}
			schema["enum"] = append(allowed, nil)
			return
		}
		lengthOf(schema, said)
	case schema["type"] == "integer":
		if m := rangeBound.FindStringSubmatch(said); m != nil {
			schema["minimum"], schema["maximum"] = number(m[1]), number(m[2])
			if strings.Contains(said, "zero") {
				schema["minimum"] = 0
			}
		} else if m := countBound.FindStringSubmatch(said); m != nil {
			schema["maximum"] = number(m[1])
		}
	}
}

func lengthOf(schema object, said string) {
	if m := bytesBound.FindStringSubmatch(said); m != nil {
		schema["maxLength"] = number(m[1])
	}
}

func countOf(schema object, said string) {
	if m := rangeBound.FindStringSubmatch(said); m != nil {
		schema["minItems"], schema["maxItems"] = number(m[1]), number(m[2])
	} else if m := countBound.FindStringSubmatch(said); m != nil && !strings.HasPrefix(said[strings.Index(said, m[1])+len(m[1]):], " bytes") {
		schema["maxItems"] = number(m[1])
	}
}

func number(text string) int {
	n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	if err != nil {
		panic("openapi: " + err.Error()) // the expressions match digits only
	}
	return n
}
