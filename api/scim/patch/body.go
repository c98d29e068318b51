package patch

import "strings"

// CanonicalUser reads the body of a POST or PUT of a user: canonical names,
// typed values, nothing unassigned, extensions under their URN. Attributes that
// only the server assigns are left out, and so is a password, which this
// product does not take from a provider.
func CanonicalUser(body []byte, opts Options) (map[string]any, error) {
	in, err := decode(body, limits{MaxUser, MaxUserValues})
	if err != nil {
		return nil, err
	}
	if err := checkSchemas(in); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for _, key := range keys(in) {
		if err := setUser(out, key, in[key], opts); err != nil {
			return nil, err
		}
	}
	if out["userName"] == nil {
		return nil, fault(InvalidValue, "userName is required")
	}
	return out, nil
}

// setUser takes over one member of the body. A key may be a path, as in a PATCH
// without one.
func setUser(out map[string]any, key string, value any, opts Options) error {
	if isExtension(key, value) {
		return setExtension(out, key, value, opts)
	}
	if hasURN(key) || strings.ContainsAny(key, ".[") {
		return setPath(out, key, value, opts)
	}
	if a := find(userSchema, key); a != nil {
		return a.assign(out, value)
	}
	// Entra's samples put department and manager at the top level.
	a := find(enterpriseSchema, key)
	if a == nil {
		return opts.unknown(key)
	}
	return inExtension(out, EnterpriseURN, func(extension map[string]any) error {
		return a.assign(extension, value)
	})
}

func setPath(out map[string]any, path string, value any, opts Options) error {
	var r reader
	if err := r.at(Add, path, value); err != nil {
		return err
	}
	for _, op := range r.ops {
		if err := applyUser(out, op, opts); err != nil {
			return err
		}
	}
	return nil
}

func setExtension(out map[string]any, key string, value any, opts Options) error {
	object, ok := value.(map[string]any)
	if !ok && value != nil {
		return fault(InvalidValue, "extension %.200q must be an object", key)
	}
	urn := opts.spelling(key)
	if urn == "" {
		return setCore(out, object, opts)
	}
	if err := opts.extension(urn); err != nil {
		return err
	}
	return inExtension(out, urn, func(extension map[string]any) error {
		for _, name := range keys(object) {
			a, err := opts.attribute(urn, name)
			if err != nil {
				return err
			}
			if err := a.assign(extension, object[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

// setCore takes over what stands under the URN of the user itself.
func setCore(out, object map[string]any, opts Options) error {
	for _, key := range keys(object) {
		if hasURN(key) {
			continue // a schema in a schema means nothing
		}
		if err := setUser(out, key, object[key], opts); err != nil {
			return err
		}
	}
	return nil
}

// assign sets the attribute unless the value means that it is unassigned.
func (a *attribute) assign(holder map[string]any, value any) error {
	if a.ignored {
		return nil
	}
	v, err := a.canonical(value)
	if err != nil {
		return err
	}
	if list, isList := v.([]any); v != nil && !(isList && len(list) == 0) {
		holder[a.name] = v
	}
	return nil
}

// GroupBody is what a POST or PUT says about a group. Members are ids in the
// order of the body, each once.
type GroupBody struct {
	DisplayName string
	ExternalID  string
	Members     []string
}

// CanonicalGroup reads the body of a POST or PUT of a group.
func CanonicalGroup(body []byte, opts Options) (GroupBody, error) {
	in, err := decode(body, limits{MaxBody, MaxValues})
	if err != nil {
		return GroupBody{}, err
	}
	if err := checkSchemas(in); err != nil {
		return GroupBody{}, err
	}
	out := map[string]any{}
	for _, key := range keys(in) {
		if err := setGroup(out, key, in[key], opts); err != nil {
			return GroupBody{}, err
		}
	}
	var g GroupBody
	g.DisplayName, _ = out["displayName"].(string)
	g.ExternalID, _ = out["externalId"].(string)
	if strings.TrimSpace(g.DisplayName) == "" {
		return GroupBody{}, fault(InvalidValue, "displayName is required")
	}
	list, err := memberIDs(out["members"])
	if err != nil {
		return GroupBody{}, err
	}
	once := newIDs()
	for _, id := range list {
		once.put(id)
	}
	g.Members = once.list()
	return g, nil
}

func setGroup(out map[string]any, key string, value any, opts Options) error {
	if hasURN(key) {
		return opts.extension(canonicalURN(key)) // groups have none
	}
	a := find(groupSchema, key)
	if a == nil {
		return opts.unknown(key)
	}
	return a.assign(out, value)
}
