package rest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The messages that are values in JSON.
const (
	timestampName protoreflect.FullName = "google.protobuf.Timestamp"
	structName    protoreflect.FullName = "google.protobuf.Struct"
)

// encoder appends messages as JSON.
type encoder struct {
	bareLists bool
}

// AppendJSON appends a message as REST writes it, for what is sent without being
// the answer of a procedure.
func AppendJSON(b []byte, m proto.Message) ([]byte, error) {
	return encoder{bareLists: true}.message(b, m.ProtoReflect())
}

func (e encoder) message(b []byte, m protoreflect.Message) ([]byte, error) {
	l := layoutOf(m.Descriptor())
	if l.wellKnown {
		return e.wellKnown(b, m)
	}
	if l.bare != nil && e.bareLists {
		return e.value(b, l.bare, m.Get(l.bare))
	}
	b = append(b, '{')
	for i := range l.fields {
		field := &l.fields[i]
		b = append(b, field.name...)
		if field.presence && !m.Has(field.FieldDescriptor) {
			b = append(b, "null"...)
			continue
		}
		var err error
		if b, err = e.value(b, field.FieldDescriptor, m.Get(field.FieldDescriptor)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// layout is what does not change from one message of a type to the next. Asking
// the descriptors each time was most of the work of an answer.
type layout struct {
	wellKnown bool
	bare      protoreflect.FieldDescriptor // see bareList; nil for most
	fields    []fieldLayout
}

type fieldLayout struct {
	protoreflect.FieldDescriptor
	name     string // with what stands before the value
	presence bool
}

var layouts sync.Map // of protoreflect.MessageDescriptor: *layout; as many as there are types

func layoutOf(d protoreflect.MessageDescriptor) *layout {
	if known, ok := layouts.Load(d); ok {
		return known.(*layout)
	}
	l := &layout{wellKnown: isWellKnown(d.FullName())}
	l.bare, _ = bareList(d)
	fields := d.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := string(appendString(nil, string(field.Name()))) + ":"
		if i > 0 {
			name = "," + name
		}
		l.fields = append(l.fields, fieldLayout{field, name, field.HasPresence()})
	}
	layouts.Store(d, l)
	return l
}

// bareList is the one field of a message that REST writes as a list.
func bareList(d protoreflect.MessageDescriptor) (protoreflect.FieldDescriptor, bool) {
	if marked, _ := proto.GetExtension(d.Options(), authfiv1.E_BareList).(bool); !marked {
		return nil, false
	}
	return d.Fields().Get(0), true
}

func isWellKnown(name protoreflect.FullName) bool {
	return name == timestampName || name == structName || name == statusName
}

// wellKnown writes the messages that proto3 JSON treats as values, and errors.
func (e encoder) wellKnown(b []byte, m protoreflect.Message) ([]byte, error) {
	switch known := m.Interface().(type) {
	case *timestamppb.Timestamp:
		return AppendTime(b, known.AsTime()), nil
	case *structpb.Struct:
		return appendStruct(b, known)
	}
	if name := m.Descriptor().FullName(); name != statusName {
		return nil, fmt.Errorf("%s is not the type that was generated", name)
	}
	text, err := json.Marshal(problemOf(m))
	return append(b, text...), err
}

// AppendTime appends a time as JSON: RFC 3339 in UTC with the milliseconds that the
// log keeps. The library has a way for RFC 3339 that takes a fifth of the time of a
// format of our own, but no milliseconds there.
func AppendTime(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(append(b, '"'), time.RFC3339)
	b = append(b[:len(b)-len("Z")], '.')
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(b, '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z', '"')
}

// appendStruct writes a JSON object that is any, its names in order.
func appendStruct(b []byte, s *structpb.Struct) ([]byte, error) {
	names := make([]string, 0, len(s.GetFields()))
	for name := range s.GetFields() {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		var err error
		if b, err = appendAny(b, s.GetFields()[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendAny(b []byte, v *structpb.Value) (_ []byte, err error) {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return appendString(b, kind.StringValue), nil
	case *structpb.Value_BoolValue:
		return strconv.AppendBool(b, kind.BoolValue), nil
	case *structpb.Value_NumberValue:
		text, err := json.Marshal(kind.NumberValue)
		return append(b, text...), err
	case *structpb.Value_StructValue:
		return appendStruct(b, kind.StructValue)
	case *structpb.Value_ListValue:
		b = append(b, '[')
		for i, one := range kind.ListValue.GetValues() {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendAny(b, one); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	return append(b, "null"...), nil
}

func (e encoder) value(b []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch {
	case field.IsMap():
		return e.object(b, field, v.Map())
	case field.IsList():
		return e.list(b, field, v.List())
	}
	return e.single(b, field, v)
}

func (e encoder) list(b []byte, field protoreflect.FieldDescriptor, list protoreflect.List) ([]byte, error) {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = e.single(b, field, list.Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// object writes a map with its keys in order, so that equal answers are equal
// bytes.
func (e encoder) object(b []byte, field protoreflect.FieldDescriptor, m protoreflect.Map) ([]byte, error) {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(x, y protoreflect.MapKey) int { return cmp.Compare(x.String(), y.String()) })
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k.String()), ':')
		var err error
		if b, err = e.single(b, field.MapValue(), m.Get(k)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (e encoder) single(b []byte, field protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return e.message(b, v.Message())
	case protoreflect.StringKind:
		return appendString(b, v.String()), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case protoreflect.DoubleKind:
		return appendDouble(b, v.Float())
	case protoreflect.BytesKind:
		return appendString(b, base64.StdEncoding.EncodeToString(v.Bytes())), nil
	}
	return nil, fmt.Errorf("field %s has kind %s, which the JSON dialect does not write", field.FullName(), field.Kind())
}

func appendDouble(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("JSON has no number %v", f)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64), nil
}

// appendString cannot fail: json.Marshal replaces what is not UTF-8. Ids and most
// names are characters that JSON writes as they are.
func appendString(b []byte, s string) []byte {
	if simple(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	text, _ := json.Marshal(s)
	return append(b, text...)
}

func simple(s string) bool {
	for i := range len(s) {
		if !plainByte[s[i]] {
			return false
		}
	}
	return true
}

// plainByte are the bytes that JSON writes as they are. To look one up takes half
// the time of comparing it with every other.
var plainByte = func() (plain [256]bool) {
	for c := ' '; c <= '~'; c++ {
		plain[c] = !strings.ContainsRune(`"\<>&`, c)
	}
	return plain
}()
