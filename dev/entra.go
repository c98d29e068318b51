package dev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// entra provisions like the Entra ID service: it asks for a match first, then
// creates, and changes by PATCH in the dialect without the compatibility flag.
type entra struct{ scim *client }

const (
	userSchema  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group"
	entraGroup  = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
	patchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

type resource struct {
	ID     string `json:"id"`
	Active bool   `json:"active"`
}

type resources struct {
	Total     int        `json:"totalResults"`
	Resources []resource `json:"Resources"`
}

// probe is the test connection: a query for a user that does not exist.
func (e entra) probe(ctx context.Context) error {
	found, err := e.match(ctx, "/Users", `userName eq "5f1d7b5e-9a35-4a3f-a4b8-2d6c3a1e0f77"`)
	if err == nil && found.Total != 0 {
		err = errors.New("found a user that does not exist")
	}
	return err
}

func (e entra) match(ctx context.Context, path, filter string) (found resources, err error) {
	err = e.scim.do(ctx, http.MethodGet, path+"?filter="+url.QueryEscape(filter), nil, &found)
	return found, err
}

// user makes sure that the user exists and is active.
func (e entra) user(ctx context.Context, name string) (string, error) {
	found, err := e.match(ctx, "/Users", fmt.Sprintf("userName eq %q", name+"@memorial.example"))
	if err != nil {
		return "", err
	}
	if found.Total == 1 {
		id := found.Resources[0].ID
		return id, e.patch(ctx, "/Users/"+id, op("Replace", "active", "True"))
	}
	var made resource
	err = e.scim.do(ctx, http.MethodPost, "/Users", map[string]any{
		"schemas":     []string{userSchema, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"},
		"externalId":  "entra-" + name,
		"userName":    name + "@memorial.example",
		"active":      true,
		"displayName": name,
		"emails":      []any{map[string]any{"primary": true, "type": "work", "value": name + "@memorial.example"}},
		"meta":        map[string]any{"resourceType": "User"},
		"roles":       []any{},
	}, &made)
	return made.ID, err
}

// group makes sure that the group exists.
func (e entra) group(ctx context.Context, name string) (string, error) {
	found, err := e.match(ctx, "/Groups", fmt.Sprintf("displayName eq %q", name))
	if err != nil {
		return "", err
	}
	if found.Total == 1 {
		return found.Resources[0].ID, nil
	}
	var made resource
	err = e.scim.do(ctx, http.MethodPost, "/Groups", map[string]any{
		"schemas":     []string{groupSchema, entraGroup},
		"externalId":  "entra-" + name,
		"displayName": name,
		"meta":        map[string]any{"resourceType": "Group"},
	}, &made)
	return made.ID, err
}

func (e entra) addMember(ctx context.Context, group, user string) error {
	return e.patch(ctx, "/Groups/"+group, op("Add", "members", []any{map[string]any{"$ref": nil, "value": user}}))
}

// disable is what Entra sends when a person is deactivated: the boolean is text.
func (e entra) disable(ctx context.Context, user string) error {
	return e.patch(ctx, "/Users/"+user, op("Replace", "active", "False"))
}

func op(name, path string, value any) map[string]any {
	return map[string]any{"op": name, "path": path, "value": value}
}

func (e entra) patch(ctx context.Context, path string, ops ...map[string]any) error {
	return e.scim.do(ctx, http.MethodPatch, path, map[string]any{
		"schemas": []string{patchSchema}, "Operations": ops,
	}, nil)
}
