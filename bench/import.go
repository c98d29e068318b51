package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/authfi/authfi/bench/dataset"
)

// How directories are put into the product.
const (
	importers    = 128   // of single requests
	membersBatch = 1_000 // the API's limit
	bulkBatch    = 1_000 // the API's limit
	bulkWriters  = 6
)

// imported is a directory in an organization of the product: ids by number.
type imported struct {
	org                  string
	users, groups, roles []string
	took                 importTimes
}

// importTimes are the parts of an import.
type importTimes struct{ users, groups, members, userRoles time.Duration }

// importDirectory makes an organization of a directory, in bulk.
func importDirectory(ctx context.Context, operator *api, d *dataset.Directory) (*imported, error) {
	in := &imported{}
	var err error
	in.org, err = operator.create(ctx, "/api/v1/organizations", map[string]any{"slug": "bench", "name": "Bench", "user_quota": len(d.UserGroups)})
	if err != nil {
		return nil, fmt.Errorf("organization: %w", err)
	}
	for _, part := range []struct {
		name string
		took *time.Duration
		run  func(context.Context, *api, *dataset.Directory) error
	}{
		{"users", &in.took.users, in.importUsers},
		{"roles and groups", &in.took.groups, in.importGroups},
		{"members", &in.took.members, in.importMembers},
		{"roles of users", &in.took.userRoles, in.importUserRoles},
	} {
		began := time.Now()
		if err := part.run(ctx, operator, d); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.took = time.Since(began)
		fmt.Printf("imported %s in %.1f s\n", part.name, part.took.Seconds())
	}
	return in, nil
}

// change is one operation of a bulk request.
type change map[string]any

// bulk makes n changes, as many in a request as it takes, and gives the ids of
// what they made.
func bulk(ctx context.Context, operator *api, n int, make1 func(i int) change) ([]string, error) {
	ids := make([]string, n)
	batches := (n + bulkBatch - 1) / bulkBatch
	err := forEach(ctx, bulkWriters, batches, func(ctx context.Context, batch int) error {
		from := batch * bulkBatch
		var operations []change
		for i := from; i < min(from+bulkBatch, n); i++ {
			operations = append(operations, make1(i))
		}
		var answer struct {
			Results []struct{ Status, ID, Detail string }
		}
		if err := operator.do(ctx, http.MethodPost, "/api/v1/bulk", map[string]any{"operations": operations}, &answer); err != nil {
			return err
		}
		for i, result := range answer.Results {
			if result.Status != "ok" {
				return errors.New(result.Detail)
			}
			ids[from+i] = result.ID
		}
		return nil
	})
	return ids, err
}

func userNamed(org string, i int) map[string]any {
	name := fmt.Sprintf("person-%07d", i)
	return map[string]any{"org_id": org, "user_name": name, "email": name + "@bench.example", "display_name": name}
}

func (in *imported) importUsers(ctx context.Context, operator *api, d *dataset.Directory) (err error) {
	in.users, err = bulk(ctx, operator, len(d.UserGroups), func(i int) change {
		return change{"create_user": userNamed(in.org, i)}
	})
	return err
}

func (in *imported) importGroups(ctx context.Context, operator *api, d *dataset.Directory) (err error) {
	in.roles, err = bulk(ctx, operator, len(d.RolePermissions), func(i int) change {
		var permissions []string
		for _, permission := range d.RolePermissions[i] {
			permissions = append(permissions, dataset.Permission(permission))
		}
		return change{"create_role": map[string]any{"org_id": in.org, "name": fmt.Sprintf("role-%d", i), "permissions": permissions}}
	})
	if err != nil {
		return err
	}
	in.groups, err = bulk(ctx, operator, len(d.GroupRoles), func(i int) change {
		return change{"create_group": map[string]any{"org_id": in.org, "name": fmt.Sprintf("group-%d", i)}}
	})
	if err != nil {
		return err
	}
	_, err = bulk(ctx, operator, len(d.GroupRoles)*dataset.RolesPerGroup, func(i int) change {
		group, place := i/dataset.RolesPerGroup, i%dataset.RolesPerGroup
		return change{"assign_group_role": map[string]any{"group_id": in.groups[group], "role_id": in.roles[d.GroupRoles[group][place]]}}
	})
	return err
}

// importMembers fills the groups, each in one request or, when it is large, in
// several.
func (in *imported) importMembers(ctx context.Context, operator *api, d *dataset.Directory) error {
	members := d.Members()
	return forEach(ctx, importers, len(members), func(ctx context.Context, i int) error {
		ids := make([]string, len(members[i]))
		for k, user := range members[i] {
			ids[k] = in.users[user]
		}
		return addMembers(ctx, operator, in.groups[i], ids)
	})
}

func (in *imported) importUserRoles(ctx context.Context, operator *api, d *dataset.Directory) error {
	_, err := bulk(ctx, operator, len(d.UserRole), func(i int) change {
		return change{"assign_user_role": map[string]any{"user_id": in.users[i], "role_id": in.roles[d.UserRole[i]]}}
	})
	return err
}

// addMembers adds users to a group, in batches of the API's limit.
func addMembers(ctx context.Context, operator *api, group string, users []string) error {
	for batch := range slices.Chunk(users, membersBatch) {
		body := map[string]any{"user_ids": batch}
		if err := operator.do(ctx, http.MethodPost, "/api/v1/groups/"+group+"/members", body, nil); err != nil {
			return err
		}
	}
	return nil
}

// importPeople creates so many users in the demo's hospital, whose quota is raised
// for them.
func (c *cluster) importPeople(ctx context.Context, n int) ([]string, error) {
	operator := c.operator()
	quota := map[string]any{"user_quota": 2 * n}
	if err := operator.do(ctx, http.MethodPatch, "/api/v1/organizations/"+c.org+"/limits", quota, nil); err != nil {
		return nil, err
	}
	return bulk(ctx, operator, n, func(i int) change { return change{"create_user": userNamed(c.org, i)} })
}
