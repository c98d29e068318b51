package cli

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// kind is a sort of object that people name.
type kind struct {
	noun    string
	prefix  string   // of its ids
	list    string   // the procedure that lists them
	names   []string // fields by which one may be named
	ofOrg   bool     // the list is one organization's
	showing string   // field that completion shows beside the name
	literal bool     // the API takes the name itself; only completion looks it up
	beside  string   // a word that the API takes for something else
}

// kinds are the metavars that may be names instead of ids.
var kinds = map[string]kind{
	"ORG":        {noun: "organization", prefix: "org-", list: "OrganizationService.ListOrganizations", names: []string{"slug"}, showing: "name"},
	"USER":       {noun: "user", prefix: "usr-", list: "UserService.ListUsers", names: []string{"user_name", "email"}, ofOrg: true, showing: "display_name"},
	"ACTOR":      {noun: "user", prefix: "usr-", list: "UserService.ListUsers", names: []string{"user_name", "email"}, ofOrg: true, showing: "display_name", beside: "node"},
	"GROUP":      {noun: "group", prefix: "grp-", list: "GroupService.ListGroups", names: []string{"name"}, ofOrg: true, showing: "description"},
	"ROLE":       {noun: "role", prefix: "rol-", list: "RoleService.ListRoles", names: []string{"name"}, ofOrg: true, showing: "description"},
	"SERVICE":    {noun: "service", prefix: "svc-", list: "ServiceService.ListServices", names: []string{"name"}, ofOrg: true},
	"CLIENT":     {noun: "client", prefix: "cli-", list: "ClientService.ListClients", names: []string{"name"}, ofOrg: true, showing: "grant_types"},
	"CONNECTION": {noun: "connection", prefix: "con-", list: "ConnectionService.ListConnections", names: []string{"provider"}, ofOrg: true, showing: "base_url"},
	"APIKEY":     {noun: "API key", prefix: "apk-", list: "ApiKeyService.ListApiKeys", names: []string{"name"}, ofOrg: true},
	"OPERATOR":   {noun: "operator", prefix: "opr-", list: "OperatorService.ListOperators", names: []string{"name"}},
	"PERMISSION": {noun: "permission", list: "PermissionService.ListDefinedPermissions", names: []string{"permission"}, ofOrg: true, showing: "description", literal: true},
}

// idDigits are ids of any kind: one of the wrong kind is for the API to refuse.
var idDigits = regexp.MustCompile(`^[a-z]{3}-[0-9a-f]{32}$`)

// spelled says how one may be written.
func (k kind) spelled() string {
	names := strings.ReplaceAll(strings.Join(k.names, " or "), "_", " ")
	if k.literal {
		return "written as verb:noun"
	}
	if k.ofOrg {
		return "an id (" + k.prefix + "…) or, within --org, a " + names + " that only one " + k.noun + " has"
	}
	return "an id (" + k.prefix + "…) or a " + names
}

// orgID is the organization of the command line, which may be a slug.
func (o *options) orgID(ctx context.Context) (string, error) {
	name := setting(o.org, "AUTHFI_ORG")
	if name == "" {
		return "", errOrgMissing
	}
	return o.resolve(ctx, "ORG", name)
}

// resolve finds the id of what a word names. A name that two objects have names
// none of them.
func (o *options) resolve(ctx context.Context, metavar, word string) (string, error) {
	k, ok := kinds[metavar]
	if !ok || k.literal || word == k.beside || idDigits.MatchString(word) {
		return word, nil
	}
	if word == "" {
		return "", usage("%s is empty", metavar)
	}
	var found []string
	err := o.each(ctx, k, k.exactly(word), func(item map[string]any) bool {
		if id, _ := item["id"].(string); k.named(item, word) && !slices.Contains(found, id) {
			found = append(found, id)
		}
		return true
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", &Problem{Status: 404, Code: "not_found", Detail: "no " + k.noun + " is named " + word,
			hint: "authfi " + commandOf(k.list) + " shows which there are"}
	case len(found) > 1:
		return "", usage("%q names %d of them, say which: %s", word, len(found), strings.Join(found, ", "))
	}
	return found[0], nil
}

// commandOf is the command that a procedure answers.
func commandOf(procedure string) string {
	i := slices.IndexFunc(rows, func(r row) bool { return r.procedure == procedure })
	return rows[i].words
}

func (k kind) named(item map[string]any, word string) bool {
	return slices.ContainsFunc(k.names, func(field string) bool {
		name, _ := item[field].(string)
		return strings.EqualFold(name, word)
	})
}

// exactly asks the server for what a word names, as far as it can search. The
// prefix is what it has an index of.
func (k kind) exactly(word string) map[string]any {
	asked := map[string]any{}
	input := methodOf(k.list).Input().Fields()
	if input.ByName("slug") != nil {
		asked["slug"] = word
	}
	if input.ByName("q") != nil {
		asked["q"] = word
	}
	if input.ByName("filter") != nil {
		literal, err := marshal(word)
		if err != nil {
			panic("cli: text cannot be written: " + err.Error())
		}
		var equal []string
		for _, name := range k.names {
			equal = append(equal, name+" eq "+string(literal))
		}
		asked["filter"] = strings.Join(equal, " or ")
	}
	return asked
}

// each shows the objects of a kind to visit until it says no.
func (o *options) each(ctx context.Context, k kind, asked map[string]any, visit func(map[string]any) bool) error {
	method := methodOf(k.list)
	items, _ := listOf(method)
	route, _ := routeOf(method)
	fields := maps.Clone(asked)
	fields[limitField] = pageMax
	if k.ofOrg {
		org, err := o.orgID(ctx)
		if err != nil {
			return err
		}
		fields[orgField] = org
	}
	for {
		r, err := route.request(fields)
		if err != nil {
			return err
		}
		body, err := o.do(ctx, r)
		if err != nil {
			return err
		}
		page, err := readPage(body, string(items.Name()))
		if err != nil {
			return err
		}
		for _, text := range page.items {
			var item map[string]any
			if err := json.Unmarshal(text, &item); err != nil {
				return err
			}
			if !visit(item) {
				return nil
			}
		}
		if page.cursor == "" {
			return nil
		}
		fields[cursorField] = page.cursor
	}
}

// Bounds of a completion: a shell that hangs is worse than one that offers less.
const (
	completeMax = 50
	completeFor = 2e9 // nanoseconds: two seconds
)

// complete offers the names of a kind that begin with what is typed.
func (o *options) complete(metavar string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		k, ok := kinds[metavar]
		if !ok {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(commandContext(cmd), completeFor)
		defer cancel()
		var offered []string
		asked := map[string]any{}
		if methodOf(k.list).Input().Fields().ByName("q") != nil && typed != "" {
			asked["q"] = typed
		}
		err := o.each(ctx, k, asked, func(item map[string]any) bool {
			name, _ := item[k.names[0]].(string)
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(typed)) {
				beside, _ := item[k.showing].(string)
				offered = append(offered, cobra.CompletionWithDesc(printable(name), printable(beside)))
			}
			return len(offered) < completeMax
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
		}
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
}

func commandContext(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// completeArgs offers names, or the words that the comment of the field lists.
func (c *call) completeArgs(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	n := len(args)
	if n >= len(c.args) && len(c.args) > 0 && c.args[len(c.args)-1].several {
		n = len(c.args) - 1
	}
	if n >= len(c.args) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if offered := words(c.args[n].field); offered != nil {
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(c.args[n].metavar)(cmd, args, typed)
}
