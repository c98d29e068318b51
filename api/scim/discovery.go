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

func getProviderConfig(r *request) error {
	if err := r.unfiltered(); err != nil {
		return err
	}
	return r.write(http.StatusOK, r.providerConfig())
}

// unfiltered refuses a filter, and ignores what else asks for a part of a list: what
// is discovered must be whole (RFC 7644 section 4).
func (r *request) unfiltered() error {
	if r.URL.Query().Has("filter") {
		return &failure{status: http.StatusForbidden, detail: "the documents of this endpoint cannot be filtered; read them whole"}
	}
	return nil
}

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
// organization, and for slugs that nobody has (RFC 7644 section 4). Whoever shows one
// reads what the organization has declared, too.
func (r *request) admitDiscovery() (*directory.Schema, error) {
	if r.org.IsZero() {
		return new(directory.Schema), nil
	}
	pass, err := r.admit("scim.discovery")
	if err != nil {
		return nil, err
	}
	return pass.View().Schema(), nil
}

// getSchemas and getResourceTypes answer with the list or, by id, with one.
func getSchemas(r *request) error {
	declared, err := r.admitDiscovery()
	if err != nil {
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
	for _, urn := range declared.Extensions() {
		list = append(list, r.extensionDocument(declared, urn))
	}
	return r.writeDocuments(list, "schema")
}

// extensionDocument is the schema of a declared extension (RFC 7643 section 7).
func (r *request) extensionDocument(s *directory.Schema, urn string) map[string]any {
	_, declared := s.Extension(urn)
	attributes := make([]any, 0, len(declared))
	for _, d := range declared {
		a := map[string]any{
			"name": d.Name, "type": string(d.Type), "multiValued": d.Several, "description": d.Description, "required": false,
			"mutability": "readWrite", "returned": "default",
		}
		switch d.Type {
		case directory.AttributeDate: // a dateTime would have a time
			a["type"] = string(directory.AttributeString)
			fallthrough
		case directory.AttributeString:
			a["caseExact"], a["uniqueness"] = false, "none"
		}
		if len(d.Values) > 0 {
			a["canonicalValues"] = d.Values
		}
		attributes = append(attributes, a)
	}
	parts := strings.Split(urn, ":") // ends in the name of the extension, its version and User
	return map[string]any{
		"schemas": []string{schemaURN}, "id": urn, "name": parts[len(parts)-3], "description": "Attributes that the organization has declared",
		"attributes": attributes, "meta": map[string]any{"resourceType": "Schema", "location": r.root + "/Schemas/" + urn},
	}
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
	r.asServed(document)
	document["schemas"] = []string{schemaURN}
	document["meta"] = map[string]any{"resourceType": "Schema", "location": r.root + "/Schemas/" + s.ID}
	return document, nil
}

// asServed corrects what RFC 7643 leaves open or this server does otherwise.
//
//   - Members have no name: section 8.7.1 has none, and to look up the names of
//     100,000 members would cost more than the rest of the answer.
//   - Ids are compared with regard to case wherever they stand.
//   - The name of a group is as unique as that of a user, unless the connection that
//     asks shares names.
func (r *request) asServed(document map[string]any) {
	for _, a := range list(document["attributes"]) {
		attribute, _ := a.(map[string]any)
		subs := list(attribute["subAttributes"])
		switch attribute["name"] {
		case "members":
			attribute["subAttributes"] = slices.DeleteFunc(subs, func(sub any) bool { return named(sub, "display") })
			exactValue(subs)
		case "manager", "groups":
			exactValue(subs)
		case "displayName":
			if document["id"] == patch.GroupURN && !r.switches().SharesNames {
				attribute["uniqueness"] = "server"
			}
		}
	}
}

func named(attribute any, name string) bool {
	object, _ := attribute.(map[string]any)
	return object["name"] == name
}

func exactValue(attributes []any) {
	for _, a := range attributes {
		if named(a, "value") {
			a.(map[string]any)["caseExact"] = true
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
	declared, err := r.admitDiscovery()
	if err != nil {
		return err
	}
	user := r.resourceType("User", patch.UserURN, "A person or workload of the organization")
	extensions := []any{}
	for _, urn := range append([]string{patch.EnterpriseURN}, declared.Extensions()...) {
		extensions = append(extensions, map[string]any{"schema": urn, "required": false})
	}
	user["schemaExtensions"] = extensions
	return r.writeDocuments([]any{user, r.resourceType("Group", patch.GroupURN, "A set of users and groups")}, "resource type")
}

func (r *request) resourceType(name, urn, description string) map[string]any {
	return map[string]any{
		"schemas": []string{resourceTypeURN}, "id": name, "name": name,
		"endpoint": "/" + name + "s", "schema": urn,
		"description": description,
		"meta":        map[string]any{"resourceType": "ResourceType", "location": r.root + "/ResourceTypes/" + name},
	}
}

func (r *request) writeDocuments(list []any, noun string) error {
	if err := r.unfiltered(); err != nil {
		return err
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
