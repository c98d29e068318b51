package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

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

// wrapLists puts the message around lists that REST writes bare. They stand at
// the top of requests only.
func wrapLists(data []byte, d protoreflect.MessageDescriptor) ([]byte, error) {
	bare := map[string]string{} // name of the field → name of the list inside
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		if field.Message() == nil || field.IsMap() {
			continue
		}
		if inner := layoutOf(field.Message()).bare; inner != nil {
			bare[string(field.Name())] = string(inner.Name())
		}
	}
	if len(bare) == 0 {
		return data, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, errSyntax
	}
	for name, inner := range bare {
		if list := bytes.TrimSpace(object[name]); len(list) > 0 && list[0] == '[' {
			object[name] = fmt.Appendf(nil, "{%q:%s}", inner, list)
		}
	}
	return json.Marshal(object)
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
