package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// assign writes a canonical resource to the user: whole as attributes, and in
// part as the fields that the rest of the product knows.
func assign(schema *directory.Schema, u *directory.User, resource map[string]any) error {
	for _, name := range []string{"id", "meta", "groups", "schemas"} {
		delete(resource, name)
	}
	if err := assignDeclared(schema, u, resource); err != nil {
		return err
	}
	typed := fieldsOf(resource)
	resource["active"] = typed.Active
	b, err := json.Marshal(resource) // sorts the keys of every object
	if err != nil {
		return err
	}
	u.Attributes = b
	u.UserName, u.ExternalID, u.Email = typed.UserName, typed.ExternalID, typed.Email
	u.DisplayName, u.GivenName, u.FamilyName = typed.DisplayName, typed.GivenName, typed.FamilyName
	u.Active = typed.Active
	return nil
}

// fieldsOf derives the typed fields of a canonical resource.
func fieldsOf(resource map[string]any) directory.User {
	name, _ := resource["name"].(map[string]any)
	active, ok := resource["active"].(bool)
	return directory.User{
		UserName:    text(resource, "userName"),
		ExternalID:  text(resource, "externalId"),
		Email:       email(resource),
		DisplayName: text(resource, "displayName"),
		GivenName:   text(name, "givenName"),
		FamilyName:  text(name, "familyName"),
		Active:      active || !ok,
	}
}

func text(object map[string]any, key string) string {
	s, _ := object[key].(string)
	return s
}

// email is the primary address, or else the first.
func email(resource map[string]any) string {
	list, _ := resource["emails"].([]any)
	first := ""
	for _, element := range list {
		e, _ := element.(map[string]any)
		if primary, _ := e["primary"].(bool); primary {
			return text(e, "value")
		}
		if first == "" {
			first = text(e, "value")
		}
	}
	return first
}

// everything is for attributesOf.
func everything(string) bool { return true }

// attributesOf is the canonical resource of a user without what the server
// assigns, or the part of it that is wanted. The typed fields win over the
// attributes, because other ways into the directory change only them.
func attributesOf(schema *directory.Schema, u *directory.User, wanted func(key string) bool) (map[string]any, error) {
	resource := map[string]any{}
	if err := readAttributes(resource, u.Attributes, wanted); err != nil {
		return nil, fmt.Errorf("attributes of %s: %w", u.ID, err)
	}
	if err := readDeclared(schema, resource, u.Custom, wanted); err != nil {
		return nil, fmt.Errorf("attributes of %s: %w", u.ID, err)
	}
	stored := fieldsOf(resource)
	resource["userName"] = u.UserName
	resource["active"] = u.Active
	reconcile(resource, "externalId", stored.ExternalID, u.ExternalID)
	reconcile(resource, "displayName", stored.DisplayName, u.DisplayName)
	if wanted("name") && (stored.GivenName != u.GivenName || stored.FamilyName != u.FamilyName) {
		name, ok := resource["name"].(map[string]any)
		if !ok {
			name = map[string]any{}
		}
		reconcile(name, "givenName", stored.GivenName, u.GivenName)
		reconcile(name, "familyName", stored.FamilyName, u.FamilyName)
		resource["name"] = name
	}
	if wanted("emails") && stored.Email != u.Email {
		reconcileEmail(resource, stored.Email, u.Email)
	}
	return resource, nil
}

// readAttributes decodes the members of a JSON object that are wanted, and passes
// over the others.
func readAttributes(resource map[string]any, object []byte, wanted func(key string) bool) error {
	if len(object) == 0 {
		return nil
	}
	wellFormed, err := eachMember(object, func(key, value []byte) error {
		name := string(key[1 : len(key)-1])
		if strings.Contains(name, `\`) {
			if err := json.Unmarshal(key, &name); err != nil {
				return err
			}
		}
		if !wanted(name) {
			return nil
		}
		d := json.NewDecoder(bytes.NewReader(value))
		d.UseNumber()
		var v any
		err := d.Decode(&v)
		resource[name] = v
		return err
	})
	if err == nil && !wellFormed {
		err = errors.New("not a JSON object")
	}
	return err
}

// typedAttributes is the part of attributesOf that needs no look into what is stored.
func typedAttributes(u *directory.User) map[string]any {
	resource := map[string]any{"userName": u.UserName, "active": u.Active}
	reconcile(resource, "externalId", "", u.ExternalID)
	reconcile(resource, "displayName", "", u.DisplayName)
	return resource
}

func reconcile(object map[string]any, key, stored, typed string) {
	switch {
	case stored == typed:
	case typed == "":
		delete(object, key)
	default:
		object[key] = typed
	}
}

// reconcileEmail changes the address that the typed field was derived from.
func reconcileEmail(resource map[string]any, stored, typed string) {
	list, _ := resource["emails"].([]any)
	for i, element := range list {
		e, _ := element.(map[string]any)
		if text(e, "value") != stored || stored == "" {
			continue
		}
		if typed == "" {
			list = append(list[:i:i], list[i+1:]...)
			resource["emails"] = list
			if len(list) == 0 {
				delete(resource, "emails")
			}
			return
		}
		e["value"] = typed
		return
	}
	if typed != "" {
		resource["emails"] = append(list, map[string]any{"value": typed, "type": "work", "primary": true})
	}
}

// userResource is the full representation of a user.
func (r *request) userResource(view *state.Org, u *directory.User, groups bool) (map[string]any, error) {
	resource, err := attributesOf(view.Schema(), u, everything)
	if err != nil {
		return nil, err
	}
	schemas := []any{patch.UserURN}
	for _, key := range sortedKeys(resource) {
		if isURN(key) {
			schemas = append(schemas, key)
		}
	}
	resource["schemas"], resource["id"] = schemas, u.ID.String()
	resource["meta"] = r.userMeta(view, u)
	r.manager(resource)
	if groups {
		r.addGroups(resource, view, u)
	}
	return resource, nil
}

// userAnswer is the part of a user that the client wants.
func (r *request) userAnswer(view *state.Org, u *directory.User) (map[string]any, error) {
	resource, err := r.userResource(view, u, r.fields.wants("groups"))
	return r.fields.apply(resource), err
}

func (r *request) userMeta(view *state.Org, u *directory.User) map[string]any {
	return r.meta("User", u.ID.String(), u.Created, u.Modified, r.userTag(view, u))
}

func (r *request) addGroups(resource map[string]any, view *state.Org, u *directory.User) {
	if groups := r.groupsOf(view, u.ID); len(groups) > 0 {
		resource["groups"] = groups
	}
}

// manager gives the address of a manager whose id is one of ours. Any other is kept
// as it came: providers send managers before they send the manager. The address is
// made from the id alone, so that it does not tell who is there without being seen.
func (r *request) manager(resource map[string]any) {
	enterprise, _ := resource[patch.EnterpriseURN].(map[string]any)
	manager, _ := enterprise["manager"].(map[string]any)
	if id, err := directory.ParseUserID(text(manager, "value")); err == nil {
		manager["$ref"] = r.root + "/Users/" + id.String()
	}
}

func (r *request) groupsOf(view *state.Org, user directory.UserID) (groups []any) {
	for _, id := range view.Permissions().Groups(user) {
		if g, ok := r.sees.groupOf(view, id); ok {
			groups = append(groups, map[string]any{
				"value": id.String(), "$ref": r.root + "/Groups/" + id.String(), "display": g.Name, "type": "direct",
			})
		}
	}
	return groups
}

func (r *request) meta(kind, id string, created, modified directory.Time, tag string) map[string]any {
	return map[string]any{
		"resourceType": kind,
		"location":     r.root + "/" + kind + "s/" + id,
		"created":      created.Std().Format(time.RFC3339Nano),
		"lastModified": modified.Std().Format(time.RFC3339Nano),
		"version":      tag,
	}
}
