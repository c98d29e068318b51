package cli

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// snapshot is an organization as the API shows it: its records as a file has
// them, and the ids that the file does not have.
type snapshot struct {
	id    string // of the organization
	quota uint32
	slug  string
	file  *archive.File

	users, groups, roles, services ids
	members                        map[string]map[string]bool // folded group → folded users
	externalIDs                    map[string]string          // of users → user name
}

// ids finds the id of a name and back.
type ids struct{ byName, byID map[string]string }

func newIDs() ids { return ids{byName: map[string]string{}, byID: map[string]string{}} }

func (m ids) put(name, id string) {
	m.byName[directory.Fold(name)] = id
	m.byID[id] = name
}

func (m ids) of(name string) string { return m.byName[directory.Fold(name)] }

// has reports whether the API has a procedure, or a field of its request.
func has(procedure, field string) bool {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(apiPackage + "." + protoreflect.FullName(procedure))
	if err != nil {
		return false
	}
	method, ok := found.(protoreflect.MethodDescriptor)
	return ok && (field == "" || method.Input().Fields().ByName(protoreflect.Name(field)) != nil)
}

// snapshot reads an organization. With whole false only users, groups, roles and
// the members of the groups named: all that a plain list of users is about.
func (o *options) snapshot(ctx context.Context, org string, whole bool, groups []string) (*snapshot, error) {
	s := &snapshot{id: org, file: &archive.File{Whole: true},
		users: newIDs(), groups: newIDs(), roles: newIDs(), services: newIDs(),
		members: map[string]map[string]bool{}, externalIDs: map[string]string{}}
	r := reader{options: o, snapshot: s}
	steps := []func(context.Context) error{r.organization, r.readRoles, r.readGroups, r.readUsers}
	if whole {
		steps = append(steps, r.readServices, r.readConnections)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if whole {
		groups = nil
		for _, g := range s.file.Groups {
			groups = append(groups, g.Name)
		}
	}
	return s, r.readMembers(ctx, groups)
}

type reader struct {
	*options
	*snapshot
}

// readAll decodes every item of a list, page after page.
func readAll[T any](ctx context.Context, o *options, procedure string, fields map[string]any, take func(*T)) error {
	method := methodOf(procedure)
	items, _ := listOf(method)
	fields[limitField] = pageMax
	for {
		var body map[string]json.RawMessage
		if err := o.answer(ctx, procedure, fields, &body); err != nil {
			return err
		}
		var found []T
		if err := json.Unmarshal(body[string(items.Name())], &found); err != nil {
			return err
		}
		for i := range found {
			take(&found[i])
		}
		var cursor string
		if err := json.Unmarshal(body[cursorField], &cursor); err != nil || cursor == "" {
			return err
		}
		fields[cursorField] = cursor
	}
}

func (r reader) organization(ctx context.Context) error {
	var org struct {
		Slug, Name string
		UserQuota  uint32 `json:"user_quota"`
	}
	if err := r.answer(ctx, "OrganizationService.GetOrganization", map[string]any{"id": r.id}, &org); err != nil {
		return err
	}
	r.slug, r.quota = org.Slug, org.UserQuota
	r.file.Organization = &archive.Organization{Name: org.Name, UserQuota: org.UserQuota}
	return nil
}

func (r reader) inOrg() map[string]any { return map[string]any{orgField: r.id} }

func (r reader) readRoles(ctx context.Context) error {
	type role struct {
		ID      string `json:"id"`
		Builtin bool   `json:"builtin"`
		archive.Role
	}
	return readAll(ctx, r.options, "RoleService.ListRoles", r.inOrg(), func(found *role) {
		r.roles.put(found.Name, found.ID)
		if !found.Builtin {
			r.file.Roles = append(r.file.Roles, &found.Role)
		}
	})
}

func (r reader) readGroups(ctx context.Context) error {
	type group struct {
		ID string `json:"id"`
		archive.Group
	}
	external := has("GroupService.CreateGroup", "external_id")
	return readAll(ctx, r.options, "GroupService.ListGroups", r.inOrg(), func(found *group) {
		r.groups.put(found.Name, found.ID)
		if !external {
			found.ExternalID = ""
		}
		r.file.Groups = append(r.file.Groups, &found.Group)
	})
}

func (r reader) readUsers(ctx context.Context) error {
	type user struct {
		ID string `json:"id"`
		archive.User
	}
	return readAll(ctx, r.options, "UserService.ListUsers", r.inOrg(), func(found *user) {
		u := &found.User
		r.users.put(u.UserName, found.ID)
		if u.ExternalID != "" {
			r.externalIDs[u.ExternalID] = u.UserName
		}
		if u.IsActive() {
			u.Active = nil
		}
		// What the API sent is an object, or null.
		u.Attributes, _ = archive.Canonical(u.Attributes)
		u.Custom, _ = archive.Canonical(u.Custom)
		r.file.Users = append(r.file.Users, u)
	})
}

func (r reader) readServices(ctx context.Context) error {
	type service struct {
		ID string `json:"id"`
		archive.Service
	}
	return readAll(ctx, r.options, "ServiceService.ListServices", r.inOrg(), func(found *service) {
		r.services.put(found.Name, found.ID)
		r.file.Services = append(r.file.Services, &found.Service)
	})
}

func (r reader) readConnections(ctx context.Context) error {
	return readAll(ctx, r.options, "ConnectionService.ListConnections", r.inOrg(), func(found *archive.Connection) {
		r.file.Connections = append(r.file.Connections, &archive.Connection{Provider: found.Provider})
	})
}

// readMembers asks for several groups at once.
func (r reader) readMembers(ctx context.Context, groups []string) error {
	var mu sync.Mutex // guards what the workers write
	return inParallel(ctx, groups, func(ctx context.Context, group string) error {
		id := r.groups.of(group)
		if id == "" {
			return nil
		}
		name, folded := r.groups.byID[id], directory.Fold(group)
		type member struct {
			UserName string `json:"user_name"`
		}
		var found []*archive.Member
		err := readAll(ctx, r.options, "GroupService.ListGroupMembers", map[string]any{"id": id}, func(m *member) {
			found = append(found, &archive.Member{Group: name, User: m.UserName})
		})
		mu.Lock()
		defer mu.Unlock()
		r.file.Members = append(r.file.Members, found...)
		set := make(map[string]bool, len(found))
		for _, m := range found {
			set[directory.Fold(m.User)] = true
		}
		r.members[folded] = set
		return err
	})
}

// importWorkers is how many requests are under way at once: the log takes what
// comes together in one write.
const importWorkers = 32

// inParallel does the work for each item; the first error ends it.
func inParallel[T any](ctx context.Context, items []T, work func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan T)
	var workers sync.WaitGroup
	for range min(importWorkers, len(items)) {
		workers.Go(func() {
			for item := range next {
				if err := work(ctx, item); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, item := range items {
		select {
		case next <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}
