package scim

import (
	"maps"
	"strings"

	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
)

// An organization declares an extension by giving attributes of its schema a URN. Their
// values are those of its own attributes, which the rest of the product knows: a
// provider sends and reads them in the extension, and they are stored once.

// declaredIn is what a schema declares, in the words of those who read requests.
func declaredIn(s *directory.Schema) (extensions []patch.Extension) {
	for _, urn := range s.Extensions() {
		e := patch.Extension{URN: urn}
		_, attributes := s.Extension(urn)
		for _, d := range attributes {
			e.Attributes = append(e.Attributes, patch.Attribute{Name: d.Name, Type: typeOf(d.Type), Several: d.Several})
		}
		extensions = append(extensions, e)
	}
	return extensions
}

func typeOf(t directory.AttributeType) patch.Type {
	switch t {
	case directory.AttributeInteger:
		return patch.Integer
	case directory.AttributeBoolean:
		return patch.Boolean
	}
	return patch.Text // a date, too
}

// keyOf finds a key without regard to case.
func keyOf(object map[string]any, name string) string {
	if _, ok := object[name]; ok {
		return name
	}
	for key := range object {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return name
}

// readDeclared puts the values of declared attributes into the resource. What a
// provider sent before they were declared was kept as it came: it shows as long as
// there is no other value, and becomes one of the organization's own with the next
// change. What the attribute may not have, as its type was another, does not show: a
// change of something else would be refused for it.
func readDeclared(s *directory.Schema, resource map[string]any, custom []byte, wanted func(key string) bool) error {
	var values map[string]any
	for i := range s.Attributes {
		d := &s.Attributes[i]
		if d.URN == "" || !wanted(d.URN) {
			continue
		}
		if values == nil {
			var err error
			if values, err = directory.ParseValues(custom); err != nil {
				return err
			}
		}
		key := keyOf(resource, d.URN)
		extension, _ := resource[key].(map[string]any)
		if extension == nil {
			extension = map[string]any{}
		}
		delete(resource, key)
		kept := keyOf(extension, d.Name)
		value, ok := values[d.Name]
		if !ok {
			value = extension[kept]
		}
		delete(extension, kept)
		if d.Allows(value) {
			extension[d.Name] = value
		}
		if len(extension) > 0 {
			resource[d.URN] = extension
		}
	}
	return nil
}

// assignDeclared takes declared attributes out of the resource and makes them values of
// the user. Those that the resource does not have are removed, as any attribute is.
func assignDeclared(s *directory.Schema, u *directory.User, resource map[string]any) error {
	urns := s.Extensions()
	if len(urns) == 0 {
		return nil
	}
	values, err := directory.ParseValues(u.Custom)
	if err != nil {
		return err
	}
	for _, urn := range urns {
		key := keyOf(resource, urn)
		extension, _ := resource[key].(map[string]any)
		rest := maps.Clone(extension)
		_, attributes := s.Extension(urn)
		for _, d := range attributes {
			name := keyOf(rest, d.Name)
			delete(values, d.Name)
			if value := rest[name]; value != nil {
				values[d.Name] = value
			}
			delete(rest, name)
		}
		delete(resource, key)
		if len(rest) > 0 {
			resource[urn] = rest
		}
	}
	u.Custom, err = directory.CanonicalValues(values)
	return err
}

// withoutDisallowed are the values of a user without those that no provider sends and
// that the schema does not allow any more. What a provider has sent stays, for it is
// to be told.
func withoutDisallowed(s *directory.Schema, u *directory.User) ([]byte, error) {
	values, err := directory.ParseValues(u.Custom)
	if err != nil {
		return nil, err
	}
	allowed, err := s.Allowed(u.Custom)
	if err != nil {
		return nil, err
	}
	left, err := directory.ParseValues(allowed)
	if err != nil {
		return nil, err
	}
	for i := range s.Attributes {
		if d := &s.Attributes[i]; d.URN != "" && values[d.Name] != nil {
			left[d.Name] = values[d.Name]
		}
	}
	return directory.CanonicalValues(left)
}
