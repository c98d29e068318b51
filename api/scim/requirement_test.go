package scim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// step is one request of a requirement. %s in its path is the id of ada, %g that of
// the group she is in.
type step struct {
	method, path, body string
	header             string // "Name: value"
	status             int
	holds, lacks       string // of the body, separated by spaces
}

// requirements are the sentences of RFC 7643, 7644, 9110 and 9865 that a client can
// see kept, each by one request to an organization with ada, bob and the group team.
var requirements = map[string][]step{
	"7644 3.1: every body is application/scim+json, errors too": {
		{"GET", "/Users", "", "", 200, `ListResponse`, ""},
		{"GET", "/Users/usr-0", "", "", 404, `"status":"404" api:messages:2.0:Error "detail":`, "scimType"},
		{"GET", "/nothing", "", "", 404, `"status":"404"`, ""},
	},
	"7644 3.8: JSON in, JSON out": {
		{"GET", "/Users/%s", "", "Accept: application/xml", 406, `"status":"406"`, ""},
		{"GET", "/Users/%s", "", "Accept: application/scim+json;q=0, text/html", 406, "", ""},
		{"GET", "/Users/%s", "", "Accept: text/html, application/xhtml+xml, */*;q=0.8", 200, "", ""},
		{"GET", "/Users/%s", "", "Accept: application/json, text/json", 200, "", ""},
		{"GET", "/Users/%s", "", "Accept: ;", 200, "", ""},
		{"POST", "/Users", `{"userName":"x"}`, "Content-Type: application/json; charset=utf-8", 201, "", ""},
		{"POST", "/Users", `<x/>`, "Content-Type: application/xml", 415, "", ""},
	},
	"7644 3.2: a method that an endpoint does not have is 405": {
		{"DELETE", "/Users", "", "", 405, "GET, HEAD, POST", ""},
		{"PUT", "/Groups", "{}", "", 405, "", ""},
		{"POST", "/Users/%s", "{}", "", 405, "DELETE, GET, HEAD, PATCH, PUT", ""},
		{"GET", "/.search", "", "", 405, "POST", ""},
		{"POST", "/Schemas", "{}", "", 405, "GET, HEAD", ""},
		{"OPTIONS", "/Users", "", "", 405, "", ""},
	},
	"7644 3.3: what the server assigns is ignored in a POST": {
		{"POST", "/Users", `{"userName":"own","id":"mine","meta":{"created":"2000-01-01T00:00:00Z"},"groups":[{"value":"x"}]}`, "", 201, `"id":"usr `, `mine 2000-01-01 groups`},
	},
	"7644 3.4.2.1: the root lists both types, and a filter on the type one": {
		{"GET", "", "", "", 200, `"totalResults":3 ada team`, ""},
		{"GET", "/", "", "", 200, `"totalResults":3`, ""},
		{"GET", `/?filter=meta.resourceType%20eq%20"Group"`, "", "", 200, `"totalResults":1 team`, "ada"},
		{"GET", `/?filter=userName%20eq%20"ada"%20or%20displayName%20eq%20"TEAM"`, "", "", 200, `"totalResults":2`, "bob"},
	},
	"7644 3.4.2.2: a filter that cannot be read is invalidFilter": {
		{"GET", "/Users?filter=", "", "", 400, "invalidFilter", ""},
		{"GET", "/Users?filter=userName%20is%20x", "", "", 400, "invalidFilter", ""},
		{"GET", `/Users?filter=active%20gt%20true`, "", "", 400, "invalidFilter", ""},
	},
	"7644 3.4.2.2: what is compared need not be shown": {
		{"GET", `/Users?attributes=userName&filter=groups.value%20eq%20"%g"`, "", "", 200, `"totalResults":1 ada`, "groups"},
		{"GET", `/Users?excludedAttributes=groups,emails&filter=groups%20eq%20"%g"%20and%20emails%20co%20"ada"`, "", "", 200, `"totalResults":1`, "groups emails"},
		{"GET", `/Groups?excludedAttributes=members&filter=members.value%20eq%20"%s"`, "", "", 200, `"totalResults":1`, "members"},
		{"GET", `/Groups?attributes=displayName&filter=members%20pr`, "", "", 200, `"totalResults":1`, "members"},
	},
	"7644 3.4.2.4: an index below 1 is 1, a count below 0 is 0, and 0 only counts": {
		{"GET", "/Users?startIndex=-7", "", "", 200, `"startIndex":1 "itemsPerPage":2`, ""},
		{"GET", "/Users?count=-1", "", "", 200, `"totalResults":2 "itemsPerPage":0 "Resources":[]`, ""},
		{"GET", `/Users?count=0&filter=userName%20eq%20"ada"`, "", "", 200, `"totalResults":1 "Resources":[]`, ""},
		{"GET", "/Users?count=0&sortBy=userName", "", "", 200, `"totalResults":2 "Resources":[]`, ""},
		{"GET", "/Users?startIndex=3", "", "", 200, `"totalResults":2 "startIndex":3 "Resources":[]`, ""},
		{"GET", "/Users?startIndex=x", "", "", 400, "invalidValue", ""},
	},
	"7644 3.4.2: a parameter is given once, and one that nobody knows is ignored": {
		{"GET", "/Users?count=1&count=2", "", "", 400, "invalidValue count", ""},
		{"GET", "/Users/%s?attributes=id&attributes=userName", "", "", 400, "invalidValue", ""},
		{"GET", "/Users?aadOptscim062020&colour=blue", "", "", 200, "", ""},
	},
	"9865 2: pages by cursor": {
		{"GET", "/Users?cursor&count=1", "", "", 200, `nextCursor "totalResults":2 "itemsPerPage":1`, "startIndex previousCursor"},
		{"GET", "/Users?cursor=&count=2", "", "", 200, "", "nextCursor"},
		{"GET", `/Users?cursor&count=1&filter=userName%20pr`, "", "", 200, `nextCursor "totalResults":2`, ""},
		{"GET", "/Users?cursor=x", "", "", 400, "invalidCursor", ""},
		{"GET", "/Users?cursor&count=0", "", "", 400, "invalidCount", ""},
		{"GET", "/Users?cursor&count=-1", "", "", 400, "invalidCount", ""},
		{"GET", "/Users?cursor&count=many", "", "", 400, "invalidCount", ""},
		{"GET", "/Users?cursor&startIndex=1", "", "", 400, "invalidValue", ""},
	},
	"7644 3.4.3: a query in a body": {
		{"POST", "/Users/.search", searched(`"attributes":["userName"],"filter":"userName eq \"ada\""`), "", 200, `"totalResults":1 ada schemas`, "emails meta"},
		{"POST", "/Users/.search", searched(`"attributes":["userName"],"excludedAttributes":["emails"]`), "", 400, "invalidValue", ""},
		{"POST", "/.search", searched(`"sortBy":"displayName","colour":"blue"`), "", 200, `"totalResults":3`, ""},
		{"POST", "/.search", searched(`"cursor":"","count":0`), "", 400, "invalidCount", ""},
		{"POST", "/.search", ``, "", 400, "invalidSyntax", ""},
	},
	"7644 3.9: attributes and excludedAttributes, in every answer that has a resource": {
		{"GET", "/Users/%s?attributes=USERNAME,emails.Value", "", "", 200, `"userName":"ada" {"value":"ada@x.example"} schemas "id"`, "primary meta"},
		{"GET", "/Users/%s?attributes=urn:ietf:params:scim:schemas:core:2.0:User:name.familyName", "", "", 200, `{"familyName":"L"}`, "userName"},
		{"GET", "/Users/%s?attributes=urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:DEPARTMENT", "", "", 200, `"department":"ward"`, "costCenter"},
		{"GET", "/Users/%s?attributes=name.middleName", "", "", 200, `"id"`, `"name"`},
		{"GET", "/Users/%s?excludedAttributes=id,schemas,name.familyName", "", "", 200, `"id" schemas`, `"name"`},
		{"GET", "/Users/%s?attributes=userName&excludedAttributes=emails", "", "", 400, "invalidValue", ""},
		{"POST", "/Users?attributes=userName", `{"userName":"p","title":"t"}`, "", 201, `"userName":"p"`, "title"},
		{"PUT", "/Users/%s?excludedAttributes=meta", `{"userName":"ada","title":"t"}`, "", 200, `"title":"t"`, "meta"},
		{"PATCH", "/Users/%s?attributes=title", `{"Operations":[{"op":"add","path":"title","value":"u"}]}`, "", 200, `"title":"u"`, "userName"},
		{"PATCH", "/Groups/%g?attributes=displayName", `{"Operations":[{"op":"add","path":"externalId","value":"e"}]}`, "", 200, `team`, "members"},
		{"PATCH", "/Groups/%g", `{"Operations":[{"op":"add","path":"externalId","value":"f"}]}`, "", 204, "", "team"},
	},
	"7644 3.14 and 9110 13: conditions": {
		{"PUT", "/Users/%s", `{"userName":"ada"}`, `If-Match: W/"1"`, 412, `"status":"412" W/`, ""},
		{"PUT", "/Users/%s", `{"userName":"ada"}`, `If-Match: "x", "y"`, 412, "", ""},
		{"PATCH", "/Groups/%g", `{"Operations":[{"op":"add","path":"externalId","value":"g"}]}`, `If-Match: W/"1"`, 412, "", ""},
		{"PUT", "/Users/%s", `{"userName":"ada"}`, `If-Match: *`, 200, "", ""},
		{"DELETE", "/Users/usr-0", "", `If-Match: *`, 404, "", ""},
		{"GET", "/Users/%s", "", `If-None-Match: *`, 304, "", "ada"},
		{"GET", "/Groups/%g", "", `If-None-Match: W/"1"`, 200, "", ""},
	},
	"7644 3.11: nobody is /Me to a connection": {
		{"GET", "/Me", "", "", 501, `"status":"501"`, ""},
		{"PATCH", "/Me", "{}", "", 501, "", ""},
		{"OPTIONS", "/Me", "", "", 501, "", ""},
	},
	"7644 3.12: a fault of the body says which": {
		{"POST", "/Users", ``, "", 400, "invalidSyntax", ""},
		{"POST", "/Users", `{"userName":`, "", 400, "invalidSyntax", ""},
		{"POST", "/Users", `{"displayName":"x"}`, "", 400, "invalidValue userName", ""},
		{"POST", "/Users", `{"userName":"ADA"}`, "", 409, `uniqueness "409"`, ""},
		{"PATCH", "/Users/%s", `{"Operations":[{"op":"remove"}]}`, "", 400, "noTarget", ""},
		{"PATCH", "/Users/%s", `{"Operations":[{"op":"remove","path":"userName"}]}`, "", 400, "mutability", ""},
		{"PATCH", "/Users/%s", `{"Operations":[{"op":"add","path":"emails[","value":"x"}]}`, "", 400, "invalidPath", ""},
	},
	"7644 4: discovery is whole": {
		{"GET", "/ServiceProviderConfig", "", "", 200, `"pagination" "maxOperations":100 "maxPayloadSize":1048576`, ""},
		{"GET", `/ServiceProviderConfig?filter=id%20pr`, "", "", 403, "", ""},
		{"GET", `/ResourceTypes?filter=id%20pr`, "", "", 403, "", ""},
		{"GET", "/Schemas?startIndex=2&count=1&sortBy=id", "", "", 200, `"totalResults":3 "startIndex":1`, ""},
		{"GET", "/Schemas/URN:ietf:params:scim:schemas:core:2.0:user", "", "", 200, `"id":"urn:ietf:params:scim:schemas:core:2.0:User" "location"`, ""},
		{"GET", "/Schemas/urn:none", "", "", 404, "", ""},
		{"GET", "/ResourceTypes/User", "", "", 200, `"endpoint":"/Users" schemaExtensions`, ""},
	},
}

func searched(members string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],` + members + `}`
}

func TestRequirements(t *testing.T) {
	for name, steps := range requirements {
		t.Run(name, func(t *testing.T) {
			c := newWorld(t).organization("clinic")
			ada := c.create("/Users", person("ada", `,"emails":[{"value":"ada@x.example","primary":true}],"name":{"familyName":"L"},`+
				`"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"ward","costCenter":"7"}`))
			c.create("/Users", person("bob", ""))
			place := strings.NewReplacer("%s", ada, "%g", c.create("/Groups", team("team", ada)))
			for _, s := range steps {
				c.meets(s, place)
			}
		})
	}
}

func (c *client) meets(s step, place *strings.Replacer) {
	c.t.Helper()
	header := map[string]string{"Authorization": "Bearer " + c.token}
	if s.body != "" {
		header["Content-Type"] = "application/scim+json"
	}
	if name, value, ok := strings.Cut(s.header, ": "); ok {
		header[name] = value
	}
	got := c.send(s.method, place.Replace(s.path), s.body, header)
	said := fmt.Sprintf("%s %s (%s): %d %s", s.method, s.path, s.header, got.status, got.body)
	if got.status != s.status {
		c.t.Errorf("%s; want %d", said, s.status)
	}
	if media := got.header.Get("Content-Type"); len(got.body) > 0 && media != "application/scim+json" {
		c.t.Errorf("%s: the body is %s", said, media)
	}
	var body struct{ Status, Detail string }
	if got.status >= 400 && s.method != "HEAD" && (json.Unmarshal(got.body, &body) != nil || body.Status != fmt.Sprint(s.status) || body.Detail == "") {
		c.t.Errorf("%s: not a SCIM error", said)
	}
	for part := range strings.FieldsSeq(s.holds) {
		if !strings.Contains(string(got.body), part) && !strings.Contains(got.header.Get("Allow"), strings.TrimSuffix(part, ",")) {
			c.t.Errorf("%s lacks %s", said, part)
		}
	}
	for part := range strings.FieldsSeq(s.lacks) {
		if strings.Contains(string(got.body), part) {
			c.t.Errorf("%s has %s", said, part)
		}
	}
}
