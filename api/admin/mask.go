package admin

import (
	"strings"

	"github.com/authfi/authfi/directory"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maskMax bounds an update_mask: no object has as many fields.
const maskMax = 100

// masked is a request that changes a part of an object.
type masked interface {
	proto.Message
	GetUpdateMask() []string
}

// mask is which fields of the object a request changes: those that are present,
// or those that its update_mask names. A named field that is absent is emptied.
type mask struct {
	message protoreflect.Message
	named   map[string]bool // empty: those that are present
}

// maskOf reads the update_mask of a request. What names the object or is the mask
// itself is no field of the object.
func maskOf(r masked) (mask, error) {
	m := mask{message: r.ProtoReflect(), named: map[string]bool{}}
	if len(r.GetUpdateMask()) > maskMax {
		return mask{}, directory.Invalid("update_mask", "more than %d names", maskMax)
	}
	for _, name := range r.GetUpdateMask() {
		if _, ok := m.field(name); !ok {
			return mask{}, directory.Invalid("update_mask", "%.64q cannot be changed here; it may name %s", name, m.fields())
		}
		m.named[name] = true
	}
	return m, nil
}

// changes reports whether the request changes a field, which its message has.
func (m mask) changes(name string) bool {
	field, ok := m.field(name)
	if !ok {
		panic("admin: " + string(m.message.Descriptor().Name()) + " has no field " + name)
	}
	if len(m.named) > 0 {
		return m.named[name]
	}
	return m.message.Has(field)
}

// text is the new text of a field, nil when it stays as it is.
func (m mask) text(name string, value *string) *string {
	switch {
	case !m.changes(name):
		return nil
	case value == nil:
		return new(string)
	}
	return value
}

// field finds a field of the object. A mask has the names of the messages, as
// JSON has.
func (m mask) field(name string) (protoreflect.FieldDescriptor, bool) {
	field := m.message.Descriptor().Fields().ByName(protoreflect.Name(name))
	return field, field != nil && !addresses(name)
}

// fields are the names that a mask may hold.
func (m mask) fields() string {
	var names []string
	all := m.message.Descriptor().Fields()
	for i := range all.Len() {
		if name := string(all.Get(i).Name()); !addresses(name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// addresses tells which fields of a request say what it is about, and not what of it.
func addresses(name string) bool { return name == "id" || name == "org_id" || name == "update_mask" }
