package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"connectrpc.com/connect"
	"connectrpc.com/vanguard"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// restCodec writes bare lists and refuses unknown names.
type restCodec struct{}

var _ vanguard.RESTCodec = restCodec{}

// Name implements vanguard.Codec.
func (restCodec) Name() string { return vanguard.CodecJSON }

// MarshalAppend implements vanguard.Codec.
func (restCodec) MarshalAppend(b []byte, m proto.Message) ([]byte, error) {
	return encoder{bareLists: true}.message(b, m.ProtoReflect())
}

// MarshalAppendField implements vanguard.RESTCodec.
func (restCodec) MarshalAppendField(b []byte, m proto.Message, field protoreflect.FieldDescriptor) ([]byte, error) {
	return encoder{bareLists: true}.value(b, field, m.ProtoReflect().Get(field))
}

// Unmarshal implements vanguard.Codec.
func (restCodec) Unmarshal(data []byte, m proto.Message) error {
	wrapped, err := wrapLists(data, m.ProtoReflect().Descriptor())
	if err == nil {
		err = protojson.Unmarshal(wrapped, m)
	}
	return malformed(err)
}

// UnmarshalField implements vanguard.RESTCodec. A body that stands for one
// field may be that field's value or an object that names it; one that misses
// the field is refused, since it would empty what it is about.
func (c restCodec) UnmarshalField(data []byte, m proto.Message, field protoreflect.FieldDescriptor) error {
	name := string(field.Name())
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) == nil {
		if _, named := object[name]; !named || len(object) != 1 {
			return malformed(fmt.Errorf("the body must be the list, or an object with %s alone", name))
		}
		return c.Unmarshal(data, m)
	}
	if !json.Valid(data) || bytes.TrimSpace(data)[0] != '[' {
		return malformed(errSyntax)
	}
	return c.Unmarshal(fmt.Appendf(nil, "{%q:%s}", name, data), m)
}

var errSyntax = errors.New("the body is not the JSON that this request takes")

// wrapLists puts the message around lists that REST writes bare, at the top of a
// request and within the operations of one that holds several.
func wrapLists(data []byte, d protoreflect.MessageDescriptor) ([]byte, error) {
	if !wrapsLists(d) {
		return data, nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil || object == nil {
		return nil, errSyntax
	}
	for name, value := range object {
		field := d.Fields().ByName(protoreflect.Name(name))
		if field == nil || field.Message() == nil || field.IsMap() {
			continue
		}
		wrapped, err := wrapValue(bytes.TrimSpace(value), field)
		if err != nil {
			return nil, err
		}
		object[name] = wrapped
	}
	return json.Marshal(object)
}

// wrapValue does the same for a field. What is of another type than the field is
// left as it is, for protojson to refuse.
func wrapValue(value []byte, field protoreflect.FieldDescriptor) ([]byte, error) {
	isList := len(value) > 0 && value[0] == '['
	if inner, ok := bareList(field.Message()); ok && isList && !field.IsList() {
		return fmt.Appendf(nil, "{%q:%s}", inner.Name(), value), nil
	}
	if !wrapsLists(field.Message()) {
		return value, nil
	}
	if !field.IsList() && len(value) > 0 && value[0] == '{' {
		return wrapLists(value, field.Message())
	}
	if !field.IsList() || !isList {
		return value, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(value, &items); err != nil {
		return nil, errSyntax
	}
	for i, item := range items {
		if item = bytes.TrimSpace(item); item[0] != '{' {
			continue
		}
		wrapped, err := wrapLists(item, field.Message())
		if err != nil {
			return nil, err
		}
		items[i] = wrapped
	}
	return json.Marshal(items)
}

var knownToWrap sync.Map // full name of a message → whether wrapsLists

// wrapsLists is true of a message that holds a bare list, itself or within a
// message of its own. Messages of requests hold none of their own kind.
func wrapsLists(d protoreflect.MessageDescriptor) bool {
	if known, ok := knownToWrap.Load(d.FullName()); ok {
		return known.(bool)
	}
	found := false
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		if field.Message() == nil || field.IsMap() || field.Message().ParentFile().Package() != d.ParentFile().Package() {
			continue
		}
		_, bare := bareList(field.Message())
		found = found || bare || wrapsLists(field.Message())
	}
	knownToWrap.Store(d.FullName(), found)
	return found
}

// protojson starts its errors with its own name and a position, and its spaces
// differ from build to build.
var protojsonPrefix = regexp.MustCompile(`^proto:[\s\x{a0}]*(syntax error )?(\(line \d+:\d+\):\s*)?`)

func readable(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(protojsonPrefix.ReplaceAllString(err.Error(), ""))
}

// malformed says whose fault it is, which the transcoder does not know.
func malformed(err error) error {
	if err == nil {
		return nil
	}
	return connect.NewError(connect.CodeInvalidArgument, readable(err))
}

// connectCodec leaves lists in their messages, as generated clients expect, and
// ignores names that it does not know, so that older nodes serve newer clients.
// Connect takes the media type's parameters for a part of the name.
type connectCodec string

const (
	jsonCodec     connectCodec = "json"
	jsonUTF8Codec connectCodec = "json; charset=utf-8"
)

var _ connect.Codec = jsonCodec

// Name implements connect.Codec.
func (c connectCodec) Name() string { return string(c) }

// Marshal implements connect.Codec.
func (connectCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", message)
	}
	return encoder{}.message(nil, m.ProtoReflect())
}

// Unmarshal implements connect.Codec.
func (connectCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a message", message)
	}
	if len(data) == 0 {
		return errors.New("the body is empty; an empty message is {}")
	}
	return readable(protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m))
}
