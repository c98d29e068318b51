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

// setUser takes over one member of the body.
func setUser(out map[string]any, key string, value any, opts Options) error {
	if hasURN(key) {
		return setExtension(out, key, value)
	}
	a, holder := find(userSchema, key), out
	if a == nil {
		// Entra's samples put department and manager at the top level.
		if a = find(enterpriseSchema, key); a == nil {
			return unknown(key, opts)
		}
		return inExtension(out, EnterpriseURN, func(extension map[string]any) error {
			return a.assign(extension, value)
		})
	}
	return a.assign(holder, value)
}

func setExtension(out map[string]any, key string, value any) error {
	object, ok := value.(map[string]any)
	if !ok && value != nil {
		return fault(InvalidValue, "extension %.200q must be an object", key)
	}
	urn := canonicalURN(key)
	if urn == "" {
		return nil
	}
	return inExtension(out, urn, func(extension map[string]any) error {
		for _, name := range keys(object) {
			a := &attribute{name: name, kind: verbatim}
			if known := find(enterpriseSchema, name); known != nil && urn == EnterpriseURN {
				a = known
			}
			if err := a.assign(extension, object[name]); err != nil {
				return err
			}
		}
		return nil
	})
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
func CanonicalGroup(body []byte) (GroupBody, error) {
	in, err := decode(body, limits{MaxBody, MaxValues})
	if err != nil {
		return GroupBody{}, err
	}
	if err := checkSchemas(in); err != nil {
		return GroupBody{}, err
	}
	out := map[string]any{}
	for _, key := range keys(in) {
		if a := find(groupSchema, key); a != nil {
			if err := a.assign(out, in[key]); err != nil {
				return GroupBody{}, err
			}
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
