package main

import (
	"path"
	"strings"

	"github.com/authfi/authfi/proto"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// form is how many values a field has.
type form int

const (
	single form = iota
	listed
	mapped // by a text
)

// kind is what JSON has for a value.
type kind int

const (
	text kind = iota
	truth
	whole
	fraction
	moment // a text, as RFC 3339 has it
	object // of no certain fields
	held   // a message
)

// use is a set of what a message is part of.
type use int

const (
	asked use = 1 << iota
	answered
)

type message struct {
	name   string
	noun   string // of the file that defines it
	says   string
	fields []field
	bare   bool // written as the list that it holds
	uses   use
	holes  []string // the fields that a path has, of what is asked
	within bool     // it is also a part of what is asked
}

// unwritten are the messages that have no type of their own: a list is its items, an
// answer that says nothing is none, and problems have the form that errors have.
func (m *message) unwritten() bool {
	return m.bare || m.name == "Problem" || m.uses&asked == 0 && len(m.fields) == 0
}

type field struct {
	name     string
	says     string
	form     form
	kind     kind
	wide     bool // of 64 bits
	unsigned bool
	of       *message
	present  bool // may be absent, which is not the same as empty
}

func (m *message) has(name string) bool {
	for _, f := range m.fields {
		if f.name == name {
			return true
		}
	}
	return false
}

// use marks a message and what it holds.
func (m *message) use(u use) {
	if m.uses&u != 0 {
		return
	}
	m.uses |= u
	for _, f := range m.fields {
		if f.of != nil {
			f.of.use(u)
			f.of.within = f.of.within || u == asked
		}
	}
}

// messages are those that were met, by name.
type messages map[string]*message

func (all messages) of(d protoreflect.MessageDescriptor) *message {
	name := string(d.Name())
	if m := all[name]; m != nil {
		return m
	}
	bare, _ := protobuf.GetExtension(d.Options(), authfiv1.E_BareList).(bool)
	m := &message{name: name, noun: nounOf(d), says: proto.Comments()[name], bare: bare}
	all[name] = m
	for i := range d.Fields().Len() {
		m.fields = append(m.fields, all.field(d.Fields().Get(i)))
	}
	return m
}

// nounOf is the name of the file that defines something: authfi/v1/user.proto is user.
func nounOf(d protoreflect.Descriptor) string {
	return strings.TrimSuffix(path.Base(d.ParentFile().Path()), ".proto")
}

func (all messages) field(d protoreflect.FieldDescriptor) field {
	f := field{
		name: string(d.Name()), says: proto.Comments()[string(d.Parent().Name())+"."+string(d.Name())],
		present: d.HasPresence(),
	}
	value := d
	switch {
	case d.IsMap():
		f.form, value = mapped, d.MapValue()
	case d.IsList():
		f.form = listed
	}
	all.value(&f, value)
	return f
}

func (all messages) value(f *field, d protoreflect.FieldDescriptor) {
	switch d.Kind() {
	case protoreflect.StringKind:
		f.kind = text
	case protoreflect.BoolKind:
		f.kind = truth
	case protoreflect.Int32Kind:
		f.kind = whole
	case protoreflect.Uint32Kind:
		f.kind, f.unsigned = whole, true
	case protoreflect.Int64Kind:
		f.kind, f.wide = whole, true
	case protoreflect.Uint64Kind:
		f.kind, f.wide, f.unsigned = whole, true, true
	case protoreflect.DoubleKind:
		f.kind = fraction
	case protoreflect.MessageKind:
		all.held(f, d.Message())
	default:
		panic("admin: the API has no values of the kind " + d.Kind().String())
	}
}

// held is a message as a value; a list that REST writes alone takes its message's place.
func (all messages) held(f *field, d protoreflect.MessageDescriptor) {
	switch d.FullName() {
	case "google.protobuf.Timestamp":
		f.kind = moment
		return
	case "google.protobuf.Struct":
		f.kind = object
		return
	}
	if !strings.HasPrefix(string(d.FullName()), "authfi.v1.") {
		panic("admin: the API has no values of the type " + string(d.FullName()))
	}
	f.kind, f.of = held, all.of(d)
}

// list is the field that a message written as its list holds, or nil.
func (f field) list() *field {
	if f.of == nil || !f.of.bare {
		return nil
	}
	return &f.of.fields[0]
}
