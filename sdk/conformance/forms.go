package conformance

import (
	"fmt"
	"strings"
)

// reference is where a node tells what a token leaves out.
const reference = Issuer + "/oauth2/permissions"

// forms are those in which a token says what its user may do: a list, which the other
// cases have, grouped by noun, and by reference.
func (c *tokenCases) forms() {
	c.grouped()
	c.referred()
}

// form is a good token but for some members.
func (c *tokenCases) form(expect, name string, members Object) *TokenCase {
	claims := Claims()
	for member, value := range members {
		claims = With(claims, member, value)
	}
	t := c.add(expect, name, c.key.Sign(c.key.Header(), claims))
	if expect == invalid {
		t.node(ok, "the node reads the directory, not the claim")
	}
	return t
}

func (c *tokenCases) grouped() {
	long := strings.Repeat("n", 128-len("read:"))
	for _, row := range []struct {
		name        string
		permissions Object
		holds       []string
	}{
		{"one verb", Object{"patients": "read"}, []string{"read:patients"}},
		{"verbs and nouns", Object{"notes": "write", "patients": "read write"}, []string{"read:patients", "write:notes", "write:patients"}},
		{"a wildcard", Object{"*": "read", "notes": "write"}, []string{"read:*", "write:notes"}},
		{"names that objects have", Object{"__proto__": "read", "constructor": "read"}, []string{"read:__proto__", "read:constructor"}},
		{"a permission of 128 bytes", Object{long: "read"}, []string{"read:" + long}},
		{"nothing", Object{}, nil},
	} {
		c.form(ok, "grouped, "+row.name, Object{"permissions": row.permissions}).Holds = row.holds
	}
	for _, row := range []struct {
		name        string
		permissions Object
	}{
		{"a list of verbs", Object{"patients": []string{"read"}}},
		{"no verb", Object{"patients": ""}},
		{"a number", Object{"patients": 1}},
		{"an object", Object{"patients": Object{"read": true}}},
		{"a space before", Object{"patients": " read"}},
		{"a space behind", Object{"patients": "read "}},
		{"two spaces", Object{"patients": "read  write"}},
		{"a comma", Object{"patients": "read,write"}},
		{"a tab", Object{"patients": "read\twrite"}},
		{"a line's end", Object{"patients": "read\n"}},
		{"a verb in capitals", Object{"patients": "Read"}},
		{"a noun in capitals", Object{"Patients": "read"}},
		{"no noun", Object{"": "read"}},
		{"any verb", Object{"patients": "*"}},
		{"a colon in a noun", Object{"patients:all": "read"}},
		{"a colon in a verb", Object{"patients": "read:all"}},
		{"part of a noun", Object{"pat*": "read"}},
		{"one that is good and one that is not", Object{"notes": "write", "patients": "READ"}},
		{"a permission of 129 bytes", Object{long + "n": "read"}},
	} {
		c.form(invalid, "grouped, with "+row.name, Object{"permissions": row.permissions})
	}
	for _, name := range []string{"roles", "groups", "amr"} {
		c.form(invalid, name+" grouped", Object{name: Object{"nurse": "read"}})
	}
}

// referred are tokens that leave out what their users may do. They verify and hold
// nothing.
func (c *tokenCases) referred() {
	none := []string{}
	short := Object{"permissions": none, "permissions_ref": reference}
	bare := Object{
		"permissions": none, "permissions_ref": reference, "roles": none, "roles_ref": reference, "groups": none, "groups_ref": reference,
	}
	c.form(ok, "permissions by reference", short).Referred = true
	c.form(ok, "permissions, roles and groups by reference", bare).Referred = true
	for _, address := range []any{
		"https://evil.example/o/vectors/oauth2/permissions", "https://auth.example/o/north/oauth2/permissions", reference + "/", reference + "?a=b",
		reference + "#a", "/oauth2/permissions", "http://auth.example/o/vectors/oauth2/permissions", "https://AUTH.example/o/vectors/oauth2/permissions",
		"https://auth.example:443/o/vectors/oauth2/permissions", "https://auth.example/o/vectors/../vectors/oauth2/permissions", " " + reference, "",
	} {
		c.form(invalid, "by reference to "+address.(string), With(short, "permissions_ref", address))
	}
	for _, row := range []struct {
		name   string
		claims Object
	}{
		{"to a list of addresses", With(short, "permissions_ref", []string{reference})},
		{"to true", With(short, "permissions_ref", true)},
		{"that holds permissions, too", Object{"permissions_ref": reference}},
		{"that holds grouped permissions, too", Object{"permissions": Object{"patients": "read"}, "permissions_ref": reference}},
		{"without the claim itself", Object{"permissions": nil, "permissions_ref": reference}},
		{"of roles alone", Object{"roles": none, "roles_ref": reference}},
		{"of groups alone", Object{"groups": none, "groups_ref": reference}},
		{"of all but groups", With(bare, "groups_ref", nil)},
		{"of all but roles", With(bare, "roles_ref", nil)},
		{"of all but permissions", With(bare, "permissions_ref", nil)},
		{"that holds roles, too", With(bare, "roles", []string{"nurse"})},
		{"that holds groups, too", With(bare, "groups", []string{"ward-3"})},
		{"without roles", With(bare, "roles", nil)},
		{"without groups", With(bare, "groups", nil)},
		{"of roles elsewhere", With(bare, "roles_ref", "https://evil.example/roles")},
		{"of groups elsewhere", With(bare, "groups_ref", "https://evil.example/groups")},
	} {
		c.form(invalid, "by reference "+row.name, row.claims)
	}
}

// RightsCase is a node's answer to who asks what a token leaves out: what it tells
// then, or what is made of it.
type RightsCase struct {
	Name        string   `json:"name"`
	Status      int      `json:"status"`
	Body        string   `json:"body"`
	Expect      string   `json:"expect"` // live, revoked or failed
	Permissions []string `json:"permissions,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	Groups      []string `json:"groups,omitempty"`
	Index       uint64   `json:"index,omitempty"`
}

// MakeRights makes the file rights.json.
func MakeRights() (cases []RightsCase) {
	const live, revoked, failed = "live", "revoked", "failed"
	permissions, roles, groups := []string{"read:patients", "write:notes"}, []string{"nurse"}, []string{"ward-3"}
	good := Object{"permissions": permissions, "roles": roles, "groups": groups, "index": 4711}
	none := Object{"permissions": []string{}, "roles": []string{}, "groups": []string{}, "index": 0}
	cases = append(cases,
		RightsCase{"what a node tells", 200, text(good), live, permissions, roles, groups, 4711},
		RightsCase{"a member more", 200, text(With(good, "extra", Object{"a": 1})), live, permissions, roles, groups, 4711},
		RightsCase{"nothing is held", 200, text(none), live, nil, nil, nil, 0},
		RightsCase{"a wildcard", 200, text(With(good, "permissions", []string{"read:*"})), live, []string{"read:*"}, roles, groups, 4711},
	)
	add := func(name string, status int, body, expect string) {
		cases = append(cases, RightsCase{Name: "told: " + name, Status: status, Body: body, Expect: expect})
	}
	for _, name := range []string{"permissions", "roles", "groups", "index"} {
		add("without "+name, 200, text(With(good, name, nil)), failed)
		add(name+" null", 200, replaceIn(With(good, name, mark), "null"), failed)
		add(name+" a text", 200, text(With(good, name, "4711")), failed)
		add(name+" an object", 200, text(With(good, name, Object{"patients": "read"})), failed)
	}
	add("permissions with a number", 200, text(With(good, "permissions", []any{"read:patients", 1})), failed)
	add("an index that is negative", 200, text(With(good, "index", -1)), failed)
	add("an index that is a fraction", 200, text(With(good, "index", 1.5)), failed)
	add("an index above 2^53", 200, text(With(good, "index", uint64(1<<53))), failed)
	add("permissions twice", 200, `{"permissions":[],`+text(good)[1:], failed)
	add("half an answer", 200, text(good)[:40], failed)
	add("two answers", 200, text(good)+text(good), failed)
	for _, body := range []string{"", "null", "[]", "{}", "true", "<html>"} {
		add("the body "+body, 200, body, failed)
	}
	for _, status := range []int{201, 204, 206, 301, 302, 304, 400, 403, 404, 429, 500, 502, 503} {
		add(fmt.Sprint("a good body with ", status), status, text(good), failed)
	}
	add("the token does not live", 401, `{"error":"invalid_token"}`, revoked)
	add("the token does not live, whatever is said beside it", 401, text(good), revoked)
	return cases
}
