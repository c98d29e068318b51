package cli

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

// reader fills a snapshot from the API, a list at a time.
type reader struct {
	*options
	*snapshot
	progress *progress
}

func (r reader) readOrganization(ctx context.Context) error {
	var org struct {
		Name      string
		UserQuota uint32 `json:"user_quota"`
		Domains   []struct{ Name string }
		Branding  *archive.Branding
		SignIn    *archive.SignIn `json:"sign_in"`
	}
	if err := r.answer(ctx, "OrganizationService.GetOrganization", map[string]any{"id": r.id}, &org); err != nil {
		return err
	}
	out := &archive.Organization{Name: org.Name, UserQuota: org.UserQuota, Branding: orNil(org.Branding), SignIn: orNil(org.SignIn)}
	for _, d := range org.Domains {
		out.Domains = append(out.Domains, d.Name)
	}
	r.file.Organization = out
	return nil
}

// orNil is nil for an object in which nothing is.
func orNil[T comparable](v *T) *T {
	if v != nil && *v == *new(T) {
		return nil
	}
	return v
}

func (r reader) readSchema(ctx context.Context) error {
	var schema struct{ Attributes []*archive.Attribute }
	if err := r.answer(ctx, "OrganizationService.GetSchema", map[string]any{"id": r.id}, &schema); err != nil {
		return err
	}
	r.file.Attributes = schema.Attributes
	return nil
}

func (r reader) inOrg() map[string]any { return map[string]any{orgField: r.id} }

func (r reader) readPermissions(ctx context.Context) error {
	return readAll(ctx, r.options, "PermissionService.ListDefinedPermissions", r.inOrg(), func(found *archive.Permission) {
		if found.Description != "" {
			r.file.Permissions = append(r.file.Permissions, found)
		}
	})
}

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
		ID         string `json:"id"`
		Connection string `json:"connection_id"`
		Nested     int    `json:"group_count"`
		archive.Group
	}
	return readAll(ctx, r.options, "GroupService.ListGroups", r.inOrg(), func(found *group) {
		r.groups.put(found.Name, found.ID)
		r.file.Groups = append(r.file.Groups, &found.Group)
		if found.Nested > 0 {
			r.outer[found.Name] = found.ID
		}
		if found.Connection != "" {
			r.ownedGroups[directory.Fold(found.Name)] = owner{connection: found.Connection}
		}
	})
}

// userAnswer is a user as the API shows one.
type userAnswer struct {
	ID          string   `json:"id"`
	ManagerID   string   `json:"manager_id"`
	OwnerID     string   `json:"owner_id"`
	Connection  string   `json:"connection_id"`
	OwnedFields []string `json:"owned_fields"`
	archive.User
}

func (r reader) readUsers(ctx context.Context) error {
	var all []userAnswer
	err := readPages(ctx, r.options, "UserService.ListUsers", r.inOrg(), func(total int, found []userAnswer) {
		if all == nil {
			r.progress.begin("reading users", total)
		}
		all = append(all, found...)
		r.progress.add(len(found))
	})
	for i := range all {
		r.users.put(all[i].UserName, all[i].ID)
	}
	schema := archive.Schema(r.file.Attributes)
	for i := range all {
		r.user(&all[i], &schema)
	}
	r.held = len(all)
	return err
}

func (r reader) user(found *userAnswer, schema *directory.Schema) {
	u := &found.User
	u.Manager, u.Owner = r.users.byID[found.ManagerID], r.users.byID[found.OwnerID]
	if u.ExternalID != "" {
		r.externalIDs[u.ExternalID] = u.UserName
	}
	if u.IsActive() {
		u.Active = nil
	}
	if len(found.OwnedFields) > 0 {
		fields := map[string]bool{}
		for _, name := range found.OwnedFields {
			fields[name] = true
		}
		r.owned[directory.Fold(u.UserName)] = owner{connection: found.Connection, fields: fields}
	}
	// What the API sent is an object, or null.
	u.Attributes, _ = archive.Canonical(u.Attributes)
	u.Custom = r.allowed(schema, u.Custom)
	r.file.Users = append(r.file.Users, u)
}

// allowed leaves out what the schema does not allow any more: values of users
// stay when a schema changes, and no organization would take them.
func (r reader) allowed(schema *directory.Schema, custom json.RawMessage) json.RawMessage {
	if all, err := schema.Canonical(custom); err == nil {
		return all
	}
	values, kept := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if json.Unmarshal(custom, &values) != nil {
		return nil
	}
	for name, value := range values {
		one, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err == nil {
			_, err = schema.Canonical(one)
		}
		if err == nil {
			kept[name] = value
		}
	}
	r.snapshot.dropped += len(values) - len(kept)
	out, err := json.Marshal(kept)
	if err != nil {
		return nil
	}
	text, _ := schema.Canonical(out)
	return text
}

func (r reader) readAssignments(ctx context.Context) error {
	type assignment struct {
		RoleID  string     `json:"role_id"`
		UserID  string     `json:"user_id"`
		GroupID string     `json:"group_id"`
		Expires *time.Time `json:"expires"`
	}
	return readAll(ctx, r.options, "AssignmentService.ListAssignments", r.inOrg(), func(found *assignment) {
		r.file.Assignments = append(r.file.Assignments, &archive.Assignment{
			Role: r.roles.byID[found.RoleID], User: r.users.byID[found.UserID], Group: r.groups.byID[found.GroupID],
			Expires: found.Expires,
		})
	})
}

func (r reader) readNestings(ctx context.Context) error {
	var mu sync.Mutex // guards the file
	return inParallel(ctx, readersAtOnce, slices.Collect(maps.Keys(r.outer)), func(ctx context.Context, outer string) error {
		return readAll(ctx, r.options, "GroupService.ListNestedGroups", map[string]any{"id": r.outer[outer]}, func(found *archive.Group) {
			mu.Lock()
			defer mu.Unlock()
			r.file.Nestings = append(r.file.Nestings, &archive.Nesting{Group: outer, Member: found.Name})
		})
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
	type found struct {
		ID string `json:"id"`
		archive.Connection
		Switches archive.Connection `json:"switches"`
		Mappings []struct {
			archive.Mapping
			RoleID string `json:"role_id"`
		} `json:"mappings"`
	}
	return readAll(ctx, r.options, "ConnectionService.ListConnections", r.inOrg(), func(f *found) {
		c := f.Connection
		c.ReplaceMissingValuePath, c.UnknownMembers, c.UnknownAttributes = f.Switches.ReplaceMissingValuePath, f.Switches.UnknownMembers, f.Switches.UnknownAttributes
		c.SeesAll = f.Switches.SeesAll
		unique := f.Switches.UniqueGroupDisplayName != nil && *f.Switches.UniqueGroupDisplayName
		c.UniqueGroupDisplayName = &unique
		c.Plain()
		for _, m := range f.Mappings {
			m.Role = r.roles.byID[m.RoleID]
			c.Mappings = append(c.Mappings, m.Mapping)
		}
		r.connections = append(r.connections, &connection{f.ID, &c})
		r.file.Connections = append(r.file.Connections, &c)
	})
}

// readMembers asks for several groups at once.
func (r reader) readMembers(ctx context.Context, groups []string) error {
	groups = slices.DeleteFunc(groups, func(name string) bool { return r.groups.of(name) == "" })
	r.progress.begin("reading groups", len(groups))
	var mu sync.Mutex // guards what the workers write
	return inParallel(ctx, readersAtOnce, groups, func(ctx context.Context, group string) error {
		id := r.groups.of(group)
		name, members := r.groups.byID[id], map[string]bool{}
		type member struct {
			UserName string `json:"user_name"`
		}
		var found []*archive.Member
		err := readAll(ctx, r.options, "GroupService.ListGroupMembers", map[string]any{"id": id}, func(m *member) {
			found = append(found, &archive.Member{Group: name, User: m.UserName})
			members[directory.Fold(m.UserName)] = true
		})
		r.progress.add(1)
		mu.Lock()
		defer mu.Unlock()
		r.file.Members = append(r.file.Members, found...)
		r.members[directory.Fold(group)] = members
		return err
	})
}

// readersAtOnce is how many lists are read at the same time.
const readersAtOnce = 16

// inParallel does the work for each item; the first error ends it.
func inParallel[T any](ctx context.Context, workers int, items []T, work func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan T)
	var all sync.WaitGroup
	for range min(workers, len(items)) {
		all.Go(func() {
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
	all.Wait()
	return context.Cause(ctx)
}
