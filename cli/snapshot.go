package cli

import (
	"context"
	"reflect"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

// snapshot is an organization as the API shows it: its records as a file has
// them, and what the file does not have.
type snapshot struct {
	id    string // of the organization
	named string // as the command line names it
	held  int    // users, of every kind
	file  *archive.File

	users, groups, roles, services ids
	outer                          map[string]string          // name → id of groups that groups are in
	members                        map[string]map[string]bool // folded group → folded users
	externalIDs                    map[string]string          // of users → user name
	connections                    []*connection
	owned                          map[string]owner // folded user name → what an identity provider owns
	ownedGroups                    map[string]owner // folded name
	dropped                        int              // own attributes that the schema does not allow any more
}

// owner is a connection and the fields that only it may change.
type owner struct {
	connection string
	fields     map[string]bool
}

// ids finds the id of a name and back.
type ids struct{ byName, byID map[string]string }

func newIDs() ids { return ids{byName: map[string]string{}, byID: map[string]string{}} }

func (m ids) put(name, id string) {
	m.byName[directory.Fold(name)] = id
	m.byID[id] = name
}

func (m ids) of(name string) string { return m.byName[directory.Fold(name)] }

func (m ids) known() map[string]bool {
	out := make(map[string]bool, len(m.byName))
	for name := range m.byName {
		out[name] = true
	}
	return out
}

// scope is how much of an organization is read.
type scope struct {
	whole  bool
	schema bool     // for a list of users that speaks of own attributes
	groups []string // for a list of users: those whose members matter
}

// snapshot reads an organization, or as much of it as a plain list of users is
// about.
func (o *options) snapshot(ctx context.Context, org string, s scope, talk *progress) (*snapshot, error) {
	out := &snapshot{id: org, named: setting(o.org, "AUTHFI_ORG"), file: &archive.File{Whole: true},
		users: newIDs(), groups: newIDs(), roles: newIDs(), services: newIDs(),
		outer: map[string]string{}, members: map[string]map[string]bool{}, externalIDs: map[string]string{},
		owned: map[string]owner{}, ownedGroups: map[string]owner{}}
	r := reader{options: o, snapshot: out, progress: talk}
	steps := []func(context.Context) error{r.readOrganization, r.readUsers, r.readGroups}
	if s.whole || s.schema {
		steps = append([]func(context.Context) error{r.readSchema}, steps...)
	}
	if s.whole {
		steps = append(steps, r.readRoles, r.readPermissions, r.readAssignments, r.readNestings, r.readServices, r.readConnections)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	groups := s.groups
	if s.whole {
		groups = nil
		for _, g := range out.file.Groups {
			groups = append(groups, g.Name)
		}
	}
	return out, r.readMembers(ctx, groups)
}

// readAll decodes every item of a list, page after page.
func readAll[T any](ctx context.Context, o *options, procedure string, fields map[string]any, take func(*T)) error {
	return readPages(ctx, o, procedure, fields, func(_ int, found []T) {
		for i := range found {
			take(&found[i])
		}
	})
}

func readPages[T any](ctx context.Context, o *options, procedure string, fields map[string]any, take func(total int, found []T)) error {
	items, _ := listOf(methodOf(procedure))
	// A type for the answer, so that half a million members are decoded once.
	answer := reflect.StructOf([]reflect.StructField{
		{Name: "Items", Type: reflect.TypeFor[[]T](), Tag: reflect.StructTag(`json:"` + string(items.Name()) + `"`)},
		{Name: "Total", Type: reflect.TypeFor[int](), Tag: `json:"total"`},
		{Name: "Cursor", Type: reflect.TypeFor[string](), Tag: `json:"cursor"`},
	})
	fields[limitField] = pageMax
	for {
		page := reflect.New(answer)
		if err := o.answer(ctx, procedure, fields, page.Interface()); err != nil {
			return err
		}
		take(int(page.Elem().Field(1).Int()), page.Elem().Field(0).Interface().([]T))
		cursor := page.Elem().Field(2).String()
		if cursor == "" {
			return nil
		}
		fields[cursorField] = cursor
	}
}
