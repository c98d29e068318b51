package patch

import (
	"github.com/authfi/authfi/api/scim/filter"
)

// Delta is what a PATCH changes of a group, whatever the group holds. Add and
// Remove have no id in common: of two operations on one member the later
// counts. Where Replace is set it is the whole list of members, and Add and
// Remove are empty.
type Delta struct {
	DisplayName *string
	ExternalID  *string // empty text removes it
	Add         []string
	Remove      []string
	Replace     *[]string
}

// IsZero reports whether the delta changes nothing.
func (d Delta) IsZero() bool {
	return d.DisplayName == nil && d.ExternalID == nil && len(d.Add) == 0 && len(d.Remove) == 0 && d.Replace == nil
}

// GroupDelta gives the change that the operations make, in time linear in the
// number of members they name. What the machine cannot know of a group, an
// extension say, is ignored or refused as the options have it.
func GroupDelta(ops []Op, opts Options) (Delta, error) {
	var d Delta
	members := membership{add: newIDs(), remove: newIDs()}
	for _, op := range ops {
		var err error
		switch t := resolve(op.Path); {
		case canonicalURN(op.Path.URN) != "":
			err = opts.extension(canonicalURN(op.Path.URN))
		case t.attr == nil || find(groupSchema, t.attr.name) == nil:
			err = opts.unknown(op.Path.String())
		case t.attr.name == "displayName":
			err = d.setDisplayName(op)
		case t.attr.name == "externalId":
			d.setExternalID(op)
		case t.attr.name == "members":
			err = members.change(op)
		}
		if err != nil {
			return Delta{}, err
		}
	}
	d.Add, d.Remove, d.Replace = members.result()
	return d, nil
}

func (d *Delta) setDisplayName(op Op) error {
	name, ok := op.Value.(string)
	if !ok || op.Kind == Remove {
		return fault(Mutability, "displayName is required and cannot be removed")
	}
	d.DisplayName = &name
	return nil
}

func (d *Delta) setExternalID(op Op) {
	id, _ := op.Value.(string)
	if op.Kind == Remove {
		id = ""
	}
	d.ExternalID = &id
}

// membership follows the operations on members. Once a list has been replaced,
// add holds the whole of it.
type membership struct {
	add, remove *ids
	replaced    bool
}

func (m *membership) change(op Op) error {
	if op.Path.Filter != nil {
		return m.changeMatching(op)
	}
	if op.Path.Sub != "" && op.Path.Sub != "value" {
		return nil // display and $ref follow from the member
	}
	list, err := memberIDs(op.Value)
	if err != nil {
		return err
	}
	if op.Kind == Replace || op.Kind == Remove && op.Value == nil {
		m.reset()
	}
	if op.Kind == Remove {
		m.take(list)
	} else {
		m.put(list)
	}
	return nil
}

func (m *membership) changeMatching(op Op) error {
	if op.Path.Sub != "" && op.Kind != Remove {
		return nil
	}
	list, err := namedMembers(op.Path.Filter)
	if err != nil {
		return err
	}
	if op.Kind == Remove {
		m.take(list)
	} else {
		m.put(list)
	}
	return nil
}

func (m *membership) reset() { m.add, m.remove, m.replaced = newIDs(), newIDs(), true }

func (m *membership) put(list []string) {
	for _, id := range list {
		m.add.put(id)
		m.remove.take(id)
	}
}

func (m *membership) take(list []string) {
	for _, id := range list {
		m.add.take(id)
		if !m.replaced {
			m.remove.put(id)
		}
	}
}

func (m *membership) result() (add, remove []string, replace *[]string) {
	if m.replaced {
		list := m.add.list()
		if list == nil {
			list = []string{}
		}
		return nil, nil, &list
	}
	return m.add.list(), m.remove.list(), nil
}

// memberIDs reads the ids of a canonical list of members, or of the one text
// behind members.value.
func memberIDs(value any) ([]string, error) {
	if id, ok := value.(string); ok {
		return []string{id}, nil
	}
	list, _ := value.([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		element, _ := v.(map[string]any)
		id, ok := element["value"].(string)
		if !ok {
			return nil, fault(InvalidValue, "a member needs a value, the id of a user or group")
		}
		out = append(out, id)
	}
	return out, nil
}

// namedMembers reads the ids out of members[value eq "1" or value eq "2"].
// Other filters would ask what the group holds, which a delta does not know.
func namedMembers(e filter.Expr) ([]string, error) {
	if or, ok := e.(filter.Or); ok {
		left, err := namedMembers(or.Left)
		if err != nil {
			return nil, err
		}
		right, err := namedMembers(or.Right)
		return append(left, right...), err
	}
	attr, id, ok := filter.Equality(e)
	if !ok || find(groupMembers.subs, attr) == nil || find(groupMembers.subs, attr).name != "value" {
		return nil, fault(InvalidPath, `members are named by value, as in members[value eq "id"]`)
	}
	return []string{id}, nil
}

var groupMembers = find(groupSchema, "members")

// ids is a set that keeps the order in which its elements came.
type ids struct {
	order []string
	at    map[string]int // place in order; an id that was taken has none
}

func newIDs() *ids { return &ids{at: map[string]int{}} }

func (s *ids) put(id string) {
	if _, ok := s.at[id]; !ok {
		s.at[id] = len(s.order)
		s.order = append(s.order, id)
	}
}

func (s *ids) take(id string) { delete(s.at, id) }

func (s *ids) list() []string {
	var out []string
	for i, id := range s.order {
		if at, ok := s.at[id]; ok && at == i {
			out = append(out, id)
		}
	}
	return out
}
