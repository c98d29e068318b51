package main

import (
	"context"
	"fmt"
	"net/http"
)

// Shape of the hospital that is imported: the directory of the in-process
// benchmark, through the API.
const (
	people        = 100_000
	groupsPerUser = 5
	peopleGroups  = 2_000
	roleCount     = 100
	rolesPerGroup = 3
	importers     = 128
	membersBatch  = 1_000 // the API's limit
)

// importUsers creates so many users; ids are in the order of their numbers.
func (c *cluster) importUsers(ctx context.Context, n int) ([]string, error) {
	operator, ids := c.operator(), make([]string, n)
	err := forEach(ctx, importers, n, func(ctx context.Context, i int) (err error) {
		name := fmt.Sprintf("person-%06d", i)
		ids[i], err = operator.create(ctx, "/api/v1/users", map[string]any{
			"org_id": c.org, "user_name": name, "email": name + "@bench.example", "display_name": name,
		})
		return err
	})
	return ids, err
}

// importGroups creates the groups with their roles.
func (c *cluster) importGroups(ctx context.Context) ([]string, error) {
	operator := c.operator()
	for i := range roleCount {
		var permissions []string
		for p := range 10 {
			permissions = append(permissions, permissionName((i*37+p*101)%permissionCount))
		}
		body := map[string]any{"org_id": c.org, "name": fmt.Sprintf("role-%d", i), "permissions": permissions}
		if _, err := operator.create(ctx, "/api/v1/roles", body); err != nil {
			return nil, err
		}
	}
	ids := make([]string, peopleGroups)
	err := forEach(ctx, importers, len(ids), func(ctx context.Context, i int) (err error) {
		if ids[i], err = operator.create(ctx, "/api/v1/groups", map[string]string{"org_id": c.org, "name": fmt.Sprintf("group-%d", i)}); err != nil {
			return err
		}
		for r := range rolesPerGroup {
			role := map[string]string{"role_name": fmt.Sprintf("role-%d", (i*13+r*29)%roleCount)}
			if err := operator.do(ctx, http.MethodPost, "/api/v1/groups/"+ids[i]+"/roles", role, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return ids, err
}

// addMembers fills the groups, each in batches of the API's limit.
func (c *cluster) addMembers(ctx context.Context, groups []string, members [][]string) error {
	operator := c.operator()
	return forEach(ctx, importers, len(groups), func(ctx context.Context, i int) error {
		for at := 0; at < len(members[i]); at += membersBatch {
			batch := members[i][at:min(at+membersBatch, len(members[i]))]
			body := map[string]any{"user_ids": batch}
			if err := operator.do(ctx, http.MethodPost, "/api/v1/groups/"+groups[i]+"/members", body, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// membersOf puts every user into five groups, the same on every run.
func membersOf(users []string) [][]string {
	members := make([][]string, peopleGroups)
	for i, user := range users {
		for k := range groupsPerUser {
			// Strides that differ in every quotient, so a user's five groups differ.
			g := (i + k*(peopleGroups/groupsPerUser) + k*(i/peopleGroups)) % peopleGroups
			members[g] = append(members[g], user)
		}
	}
	return members
}
