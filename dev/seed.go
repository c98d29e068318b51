package dev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// The demo's organizations and the roles of the first.
var (
	organizations = [][2]string{
		{"memorial-hospital", "Memorial Hospital"},
		{"city-clinic", "City Clinic"},
		{"rural-labs", "Rural Labs"},
	}
	roles = []role{
		{Name: "doctor", Permissions: []string{"read:patients", "write:patients", "write:notes", "read:imaging"}},
		{Name: "nurse", Permissions: []string{"read:patients", "write:notes"}},
		{Name: "admin", Permissions: []string{
			"manage:users", "manage:groups", "manage:roles", "manage:settings",
			"manage:sessions", "read:directory", "read:audit-logs",
		}},
	}
	routes = []route{
		{Methods: []string{"POST"}, Path: "/api/patients/*", Roles: []string{"doctor"}, MFA: true},
		{Methods: []string{"GET"}, Path: "/api/patients/*", Permissions: []string{"read:patients"}},
		{Methods: []string{"GET"}, Path: "/health", Public: true},
		{Methods: []string{"GET"}, Path: "/demo/served", Public: true},
	}
)

type role struct {
	OrgID       string   `json:"org_id,omitempty"`
	Name        string   `json:"name"`
	Permissions []string `json:"permissions"`
}

type route struct {
	Methods     []string `json:"methods,omitempty"`
	Path        string   `json:"path"`
	Roles       []string `json:"roles,omitempty"`
	Permissions []string `json:"permissions,omitempty"`
	MFA         bool     `json:"mfa,omitempty"`
	Public      bool     `json:"public,omitempty"`
}

type named struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// seed fills a new cluster through the public API.
func (c *Cluster) seed(ctx context.Context) error {
	api := c.client(0)
	var first named
	for i, o := range organizations {
		var made named
		body := map[string]string{"slug": o[0], "name": o[1]}
		if err := api.do(ctx, http.MethodPost, "/api/v1/organizations", body, &made); err != nil {
			return fmt.Errorf("organization %s: %w", o[0], err)
		}
		if i == 0 {
			first = made
		}
	}
	for _, r := range roles {
		r.OrgID = first.ID
		if err := api.do(ctx, http.MethodPost, "/api/v1/roles", r, nil); err != nil {
			return fmt.Errorf("role %s: %w", r.Name, err)
		}
	}
	return c.seedService(ctx, api, first.ID)
}

func (c *Cluster) seedService(ctx context.Context, api *client, org string) error {
	var listen []string
	for i := range Nodes {
		listen = append(listen, fmt.Sprintf("127.0.0.1:%d", c.ports.Service[i]))
	}
	var service named
	body := map[string]any{"org_id": org, "name": "demo", "listen": listen}
	if err := api.do(ctx, http.MethodPost, "/api/v1/services", body, &service); err != nil {
		return fmt.Errorf("service demo: %w", err)
	}
	if err := api.do(ctx, http.MethodPut, "/api/v1/services/"+service.ID+"/policies", routes, nil); err != nil {
		return fmt.Errorf("route policies: %w", err)
	}
	return nil
}

// hospital finds the demo's first organization.
func (c *Cluster) hospital(ctx context.Context) (named, error) {
	var list struct{ Organizations []named }
	if err := c.client(0).do(ctx, http.MethodGet, "/api/v1/organizations?limit=100", nil, &list); err != nil {
		return named{}, err
	}
	for _, o := range list.Organizations {
		if o.Slug == organizations[0][0] {
			return o, nil
		}
	}
	return named{}, errors.New("the demo's organizations are missing")
}
