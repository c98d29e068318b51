package scim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/elimity-com/scim/schema"
)

const (
	configURN       = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	schemaURN       = "urn:ietf:params:scim:schemas:core:2.0:Schema"
	resourceTypeURN = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
)

func (r *request) providerConfig() map[string]any {
	supported := map[string]any{"supported": true}
	return map[string]any{
		"schemas":        []string{configURN},
		"patch":          supported,
		"bulk":           map[string]any{"supported": true, "maxOperations": bulkOperations, "maxPayloadSize": bulkMax},
		"filter":         map[string]any{"supported": true, "maxResults": countMax},
		"changePassword": map[string]any{"supported": false},
		"sort":           supported,
		"etag":           supported,
		"pagination": map[string]any{ // RFC 9865 section 4
			"cursor": true, "index": true, "defaultPaginationMethod": "index",
			"defaultPageSize": countDefault, "maxPageSize": countMax,
		},
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
			"description": "The token of a connection, in the Authorization header",
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": r.root + "/ServiceProviderConfig"},
	}
}

// admitDiscovery lets whoever shows no token read what is the same for every
// organization, and for slugs that nobody has (RFC 7644 section 4).
func (r *request) admitDiscovery() error {
	if r.org.IsZero() {
		return nil
	}
	_, err := r.admit("scim.discovery")
	return err
}

// getSchemas and getResourceTypes answer with the list or, by id, with one.
func getSchemas(r *request) error {
	if err := r.admitDiscovery(); err != nil {
		return err
	}
	var list []any
	for _, s := range []schema.Schema{schema.CoreUserSchema(), schema.CoreGroupSchema(), schema.ExtensionEnterpriseUser()} {
		document, err := r.schemaDocument(s)
		if err != nil {
			return err
		}
		list = append(list, document)
	}
	return r.writeDocuments(list, "schema")
}

func (r *request) schemaDocument(s schema.Schema) (map[string]any, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var document map[string]any
	if err := json.Unmarshal(b, &document); err != nil {
		return nil, err
	}
	withoutNulls(document)
	withoutDisplay(document)
	document["schemas"] = []string{schemaURN}
	document["meta"] = map[string]any{"resourceType": "Schema", "location": r.root + "/Schemas/" + s.ID}
	return document, nil
}

// withoutDisplay takes the name of a member out of the schema of groups. RFC 7643
// section 8.7.1 has none, and to look up the names of 100,000 members would cost
// more than the rest of the answer.
func withoutDisplay(document map[string]any) {
	for _, a := range list(document["attributes"]) {
		attribute, _ := a.(map[string]any)
		if attribute["name"] == "members" {
			attribute["subAttributes"] = slices.DeleteFunc(list(attribute["subAttributes"]), func(sub any) bool {
				one, _ := sub.(map[string]any)
				return one["name"] == "display"
			})
		}
	}
}

func list(v any) []any {
	all, _ := v.([]any)
	return all
}

// withoutNulls removes what is unassigned: Entra refuses nulls in schemas.
func withoutNulls(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, element := range v {
			if element == nil {
				delete(v, key)
			}
			withoutNulls(element)
		}
	case []any:
		for _, element := range v {
			withoutNulls(element)
		}
	}
}

func getResourceTypes(r *request) error {
	if err := r.admitDiscovery(); err != nil {
		return err
	}
	user := r.resourceType("User", patch.UserURN)
	user["schemaExtensions"] = []any{map[string]any{"schema": patch.EnterpriseURN, "required": false}}
	return r.writeDocuments([]any{user, r.resourceType("Group", patch.GroupURN)}, "resource type")
}

func (r *request) resourceType(name, urn string) map[string]any {
	return map[string]any{
		"schemas": []string{resourceTypeURN}, "id": name, "name": name,
		"endpoint": "/" + name + "s", "schema": urn,
		"meta": map[string]any{"resourceType": "ResourceType", "location": r.root + "/ResourceTypes/" + name},
	}
}

func (r *request) writeDocuments(list []any, noun string) error {
	if r.URL.Query().Has("filter") { // RFC 7644 section 4
		return &failure{status: http.StatusForbidden, detail: "the documents of this endpoint cannot be filtered"}
	}
	if r.id == "" {
		return r.write(http.StatusOK, map[string]any{
			"schemas": []string{listURN}, "totalResults": len(list), "startIndex": 1, "itemsPerPage": len(list), "Resources": list,
		})
	}
	for _, document := range list {
		if id, _ := document.(map[string]any)["id"].(string); strings.EqualFold(id, r.id) {
			return r.write(http.StatusOK, document)
		}
	}
	return directory.NotFound(noun)
}
