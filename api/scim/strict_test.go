package scim_test

import (
	"strings"
	"testing"
)

const operationsHead = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`

func operations(ops string) string { return operationsHead + ops + `]}` }

func bulked(members string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],` + members + `}`
}

// strict are further sentences of the RFCs, and what hostile clients make of them.
var strict = map[string][]step{
	"7644 3.1: media types": {
		{"POST", "/Users", `{"userName":"m1"}`, "Content-Type: APPLICATION/SCIM+JSON; charset=UTF-8", 201, "m1", ""},
		{"POST", "/Users", `{"userName":"m2"}`, "Content-Type: text/plain", 415, `"status":"415"`, ""},
		{"POST", "/Users", `{"userName":"m3"}`, "Content-Type: application/x-www-form-urlencoded", 415, "", ""},
		{"PATCH", "/Users/%s", `[]`, "Content-Type: application/json-patch+json", 415, "", ""},
		{"POST", "/Users", "\ufeff" + `{"userName":"m0"}`, "", 201, "m0", ""},
		{"POST", "/Users", "\xff" + `{"userName":"m0"}`, "", 400, "invalidSyntax", ""},
		{"POST", "/Users", `{"userName":"m4"}`, "Content-Type: application/scim+json; charset=iso-8859-1", 415, "", ""},
		{"POST", "/Users/.search", searched(`"count":1`), "Content-Type: text/xml", 415, "", ""},
		{"POST", "/Bulk", bulked(`"Operations":[]`), "Content-Type: text/xml", 415, "", ""},
		{"GET", "/Users", "", "Accept: application/scim+json, application/json;q=0.5", 200, "", ""},
		{"GET", "/Users", "", "Accept: text/html", 406, "", ""},
		{"DELETE", "/Users/usr-0", "", "Accept: text/html", 406, "", ""},
	},
	"paths": {
		{"GET", "/Users/", "", "", 200, `"totalResults":2`, ""},
		{"GET", "/Users/%s/", "", "", 200, `ada`, ""},
		{"GET", "/users", "", "", 404, ``, ""},
		{"GET", "/Users/%s/emails", "", "", 404, ``, ""},
		{"GET", "/Users/%20", "", "", 404, ``, ""},
		{"GET", "/Users/..%2fGroups", "", "", 404, ``, ""},
		{"GET", "/Users/%g", "", "", 404, ``, ""},
		{"GET", "/Groups/%s", "", "", 404, ``, ""},
		{"PUT", "/Users", `{"userName":"x"}`, "", 405, "GET, HEAD, POST", ""},
		{"PATCH", "/Users", operations(``), "", 405, "GET, HEAD, POST", ""},
		{"DELETE", "/Groups", "", "", 405, "GET, HEAD, POST", ""},
		{"DELETE", "/ServiceProviderConfig", "", "", 405, "GET, HEAD", ""},
		{"PUT", "/ResourceTypes/User", `{}`, "", 405, "GET, HEAD", ""},
		{"GET", "/Bulk", "", "", 405, "POST", ""},
		{"PUT", "/Users/.search", "{}", "", 405, "POST", ""},
		{"HEAD", "/Users", "", "", 200, "", "ada"},
		{"HEAD", "/Users/%s", "", "", 200, "", "ada"},
		{"HEAD", "/ServiceProviderConfig", "", "", 200, "", ""},
		{"HEAD", "/Users/usr-0", "", "", 404, "", ""},
		{"TRACE", "/Users", "", "", 405, "", ""},
		{"GET", "/Users/%s/%s", "", "", 404, "", ""},
		{"GET", "/Me/x", "", "", 501, "", ""},
	},
	"7643 3.1: what the server assigns, and what never changes": {
		{"PUT", "/Users/%s", `{"id":"other","userName":"ada","meta":{"version":"x"},"groups":[]}`, "", 200, `team`, `other`},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"id","value":"x"}`), "", 400, "mutability", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"remove","path":"id"}`), "", 400, "mutability", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"remove","path":"groups"}`), "", 400, "mutability", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"remove","path":"groups[value eq \"%g\"]"}`), "", 400, "mutability", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"groups.value","value":"%g"}`), "", 400, "mutability", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"META.created","value":"2000-01-01T00:00:00Z"}`), "", 400, "mutability", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","value":{"id":"x","meta":{},"title":"T"}}`), "", 200, `"title":"T"`, ""},
		{"PATCH", "/Groups/%g", operations(`{"op":"replace","path":"meta.version","value":"1"}`), "", 400, "mutability", ""},
		{"PATCH", "/Groups/%g", operations(`{"op":"remove","path":"displayName"}`), "", 400, "mutability", ""},
		{"PATCH", "/Groups/%g", operations(`{"op":"replace","path":"displayName","value":null}`), "", 400, "mutability", ""},
		{"PATCH", "/Groups/%g", operations(`{"op":"replace","path":"displayName","value":"  "}`), "", 400, "invalidValue", ""},
		{"PUT", "/Groups/%g", `{"displayName":""}`, "", 400, "invalidValue", ""},
		{"PUT", "/Users/%s", `{"userName":null}`, "", 400, "invalidValue", ""},
		{"PUT", "/Users/%s", `{"userName":"   "}`, "", 400, "invalidValue", ""},
		{"PUT", "/Users/%s", `{"userName":"BOB"}`, "", 409, "uniqueness", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"userName","value":"Bob"}`), "", 409, "uniqueness", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"userName","value":"ADA"}`), "", 200, `"userName":"ADA"`, ""},
		{"POST", "/Groups", `{"displayName":"TEAM"}`, "", 409, "uniqueness", ""},
	},
	"7644 3.12: each fault of a PATCH has its name": {
		{"PATCH", "/Users/%s", `{"Operations":[]}`, "", 200, "ada", ""},
		{"PATCH", "/Users/%s", `{}`, "", 400, "invalidSyntax", ""},
		{"PATCH", "/Users/%s", `[]`, "", 400, "invalidSyntax", ""},
		{"PATCH", "/Users/%s", `{"Operations":{"op":"add"}}`, "", 400, "invalidSyntax", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"copy","path":"title","value":"x"}`), "", 400, "invalidSyntax", ""},
		{"PATCH", "/Users/%s", operations(`{"path":"title","value":"x"}`), "", 400, "invalidSyntax", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"title"}`), "", 400, "invalidValue", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":5,"value":"x"}`), "", 400, "invalidPath", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"title.x","value":"x"}`), "", 400, "invalidPath", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"emails[type eq \"work\"","value":"x"}`), "", 400, "invalidPath", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"title[value eq \"x\"]","value":"x"}`), "", 400, "invalidPath", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"remove"}`), "", 400, "noTarget", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","value":"x"}`), "", 400, "invalidValue", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"active","value":"perhaps"}`), "", 400, "invalidValue", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"title","value":{"a":1}}`), "", 400, "invalidValue", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"name","value":"x"}`), "", 400, "invalidValue", ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"emails","value":5}`), "", 200, `"5"`, ""},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"emails[type ne \"x\" or value eq \"y\"].value","value":"z"}`), "", 200, "", ""},
		{"PATCH", "/Users/usr-0", operations(`{"op":"add","path":"title","value":"x"}`), "", 404, "", "scimType"},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"title","value":"kept?"},{"op":"remove","path":"userName"}`), "", 400, "mutability", ""},
		{"GET", "/Users/%s", "", "", 200, "", "kept?"},
		{"PATCH", "/Groups/%g", operations(`{"op":"add","path":"members[display eq \"x\"]","value":{"value":"y"}}`), "", 400, "invalidPath", ""},
		{"PATCH", "/Groups/%g", operations(`{"op":"add","path":"members","value":[{"display":"x"}]}`), "", 400, "invalidValue", ""},
	},
	"7643 2.5: unassigned is unassigned": {
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"name","value":{"givenName":"A","middleName":"M","familyName":"L"}}`), "", 200, `"middleName":"M"`, ""},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"name","value":{"middleName":null}}`), "", 200, `"givenName":"A" "familyName":"L"`, "middleName"},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"name","value":{"givenName":"","familyName":"K"}}`), "", 200, `"familyName":"K"`, "givenName"},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","value":{"name":{"familyName":null,"honorificPrefix":"Dr"}}}`), "", 200, `"honorificPrefix":"Dr"`, "familyName"},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"name","value":{"honorificPrefix":null}}`), "", 200, ``, `"name"`},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"` + enterpriseURN + `","value":{"costCenter":null}}`), "", 200, `"department":"ward"`, "costCenter"},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"` + enterpriseURN + `","value":null}`), "", 200, ``, "department enterprise"},
		{"PATCH", "/Users/%s", operations(`{"op":"add","value":{"` + enterpriseURN + `":{"department":"d2"}}}`), "", 200, `d2 enterprise`, ""},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","value":{"` + enterpriseURN + `":null}}`), "", 200, ``, "enterprise"},
		{"PATCH", "/Users/%s", operations(`{"op":"replace","path":"emails","value":null}`), "", 200, ``, "emails"},
		{"PUT", "/Users/%s", `{"userName":"ada","title":"","emails":[],"name":{},"` + enterpriseURN + `":{"manager":{"value":""}}}`, "", 200, "", "title emails name enterprise manager"},
		{"POST", "/Users", `{"userName":"n","emails":[null,{"value":null,"type":null},""],"name":null,"roles":""}`, "", 201, "", "emails name roles null"},
	},
	"9110 13: conditions of changes": {
		{"PUT", "/Users/%s", `{"userName":"ada"}`, `If-None-Match: *`, 412, `"status":"412"`, ""},
		{"DELETE", "/Users/%s", ``, `If-None-Match: *`, 412, `"status":"412"`, ""},
		{"PATCH", "/Groups/%g", operations(`{"op":"add","path":"externalId","value":"e"}`), `If-None-Match: *`, 412, `"status":"412"`, ""},
		{"PUT", "/Users/%s", `{"userName":"ada"}`, `If-None-Match: W/"1"`, 200, ``, ""},
		{"PATCH", "/Users/%s", operations(`{"op":"add","path":"title","value":"t"}`), `If-Match: W/"1"`, 412, ``, ""},
		{"PATCH", "/Users/%s", operations(`{"op":"bad"}`), `If-Match: W/"1"`, 400, ``, ""},
		{"DELETE", "/Groups/%g", ``, `If-Match: "1"`, 412, ``, ""},
		{"PUT", "/Groups/grp-0", `{"displayName":"x"}`, `If-Match: "1"`, 404, ``, ""},
		{"POST", "/Users", `{"userName":"free"}`, `If-None-Match: *`, 201, ``, ""},
		{"GET", "/Users/%s", ``, `If-Match: "1"`, 200, ``, ""},
	},
	"7644 3.4.3: searches": {
		{"POST", "/.search", searched(`"filter":"displayName eq \"team\" or userName eq \"ada\"","attributes":["displayName","members"]`), "", 200, `"totalResults":2 "members"`, "userName"},
		{"POST", "/Groups/.search", searched(`"excludedAttributes":["MEMBERS"]`), "", 200, `"totalResults":1`, "members"},
		{"POST", "/Users/.search", `{"filter":"userName pr"}`, "", 400, "invalidSyntax", ""},
		{"POST", "/Users/.search", searched(`"filter":"userName is x"`), "", 400, "invalidFilter", ""},
		{"POST", "/Users/.search", searched(`"filter":5`), "", 400, "invalidSyntax", ""},
		{"POST", "/Users/.search", searched(`"count":"5"`), "", 400, "invalidSyntax", ""},
		{"POST", "/Users/.search", searched(`"sortBy":"emails[type eq \"work\"]"`), "", 400, "invalidPath", ""},
		{"POST", "/Users/.search", searched(`"sortBy":"userName","sortOrder":"upwards"`), "", 400, "invalidValue", ""},
		{"POST", "/Users/.search", searched(`"startIndex":2,"count":1,"sortBy":"userName"`), "", 200, `bob "startIndex":2 "itemsPerPage":1 "totalResults":2`, "ada"},
		{"POST", "/Users/.search", searched(`"startIndex":0,"count":0`), "", 200, `"startIndex":1 "itemsPerPage":0 "totalResults":2`, "ada"},
	},
	"7644 3.9: what is always and never returned": {
		{"GET", "/Users/%s?attributes=password", "", "", 200, `"id" schemas`, "password userName"},
		{"GET", "/Users/%s?excludedAttributes=id,schemas,ID", "", "", 200, `"id" schemas userName`, ""},
		{"GET", "/Users/%s?attributes=emails", "", "", 200, `primary`, "userName"},
		{"GET", "/Users/%s?attributes=emails.value,emails.primary", "", "", 200, `"primary":true`, ""},
		{"GET", "/Users/%s?excludedAttributes=emails.value", "", "", 200, `"primary":true`, "x.example"},
		{"GET", "/Users/%s?attributes=" + enterpriseURN, "", "", 200, `department costCenter`, "userName"},
		{"GET", "/Users/%s?attributes=" + enterpriseURN + ":department", "", "", 200, `department`, "costCenter"},
		{"GET", "/Users/%s?excludedAttributes=" + enterpriseURN, "", "", 200, `userName`, "costCenter"},
		{"GET", "/Users/%s?attributes=department", "", "", 200, `"id"`, "userName"},
		{"GET", "/Users/%s?attributes=groups.display", "", "", 200, `"display":"team"`, "userName $ref"},
		{"GET", "/Users/%s?attributes=meta.version", "", "", 200, `"version"`, "lastModified"},
		{"GET", "/Users/%s?attributes=,,", "", "", 200, `userName`, ""},
		{"GET", "/Users/%s?attributes=nothing", "", "", 200, `"id"`, "userName"},
		{"GET", "/Groups/%g?attributes=members.value", "", "", 200, `"value":"usr-`, `"type" displayName`},
		{"GET", "/Groups/%g?excludedAttributes=members.$ref,members.type", "", "", 200, `"value":"usr-`, `$ref "type"`},
		{"GET", "/Groups/%g?attributes=urn:ietf:params:scim:schemas:core:2.0:Group:displayName", "", "", 200, `team`, `members`},
		{"GET", "/Groups?attributes=members&count=1", "", "", 200, `usr-`, `displayName`},
		{"POST", "/Users?attributes=password", `{"userName":"pw","password":"secret-1"}`, "", 201, ``, `secret-1 userName`},
		{"POST", "/Users", `{"userName":"pw2","password":"secret-2"}`, "", 201, `pw2`, `secret-2 password`},
	},
	"queries that are hard to read": {
		{"GET", "/Users?filter=userName+eq+%22ada%22", "", "", 200, `"totalResults":1`, ""},
		{"GET", "/Users?filter=displayName%20eq%20%22a;b%22", "", "", 200, `"totalResults":0`, ""},
		{"GET", `/Users?filter=displayName%20eq%20"a&count=1`, "", "", 400, `invalidFilter`, ""},
		{"GET", "/Users?filter=userName%20eq%20%22nobody%22%20and%20active%20gt%20true", "", "", 400, `invalidFilter`, ""},
		{"GET", "/Users?filter=not%20(title%20pr%20or%20emails.primary%20co%20%22t%22)", "", "", 400, `invalidFilter`, ""},
		{"GET", "/Users?filter=emails[primary%20ge%20false]", "", "", 400, `invalidFilter`, ""},
		{"GET", "/Groups?filter=active%20gt%20true", "", "", 400, `invalidFilter`, ""},
		{"GET", "/Users?filter=%zz", "", "", 400, `invalidValue`, ""},
		{"GET", "/Users?count=1e2", "", "", 400, `invalidValue`, ""},
		{"GET", "/Users?count=99999999999999999999", "", "", 200, `ada`, ""},
		{"GET", "/Users?startIndex=99999999999999999999", "", "", 200, `"totalResults":2`, "ada"},
		{"GET", "/Users?startIndex=-99999999999999999999", "", "", 200, `ada`, ""},
		{"GET", "/Users?sortBy=", "", "", 200, `ada`, ""},
		{"GET", "/Users?sortBy=name..x", "", "", 400, `invalidPath`, ""},
		{"GET", "/?filter=userName%20eq%20%22ada%22", "", "", 200, `"totalResults":1`, ""},
		{"GET", "/Groups?filter=urn:ietf:params:scim:schemas:core:2.0:Group:displayName%20eq%20%22TEAM%22", "", "", 200, `"totalResults":1`, ""},
	},
	"7644 4: discovery": {
		{"GET", "/Schemas/" + enterpriseURN, "", "", 200, `"manager"`, "null"},
		{"GET", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group", "", "", 200, `"members"`, ""},
		{"GET", "/ResourceTypes/Group", "", "", 200, `"/Groups"`, ""},
		{"GET", "/ResourceTypes/Nobody", "", "", 404, `"404"`, ""},
		{"GET", "/ResourceTypes", "", "", 200, `"totalResults":2 ListResponse`, "null"},
		{"GET", "/Schemas", "", "", 200, `"itemsPerPage":3`, "null"},
		{"GET", "/ServiceProviderConfig/x", "", "", 404, ``, ""},
		{"GET", "/ServiceProviderConfig?attributes=patch", "", "", 200, `"schemas"`, ""},
	},
}

func TestStrict(t *testing.T) {
	for name, steps := range strict {
		t.Run(name, func(t *testing.T) {
			c := newWorld(t).organization("clinic")
			ada := c.create("/Users", person("ada", `,"emails":[{"value":"ada@x.example","primary":true}],"name":{"familyName":"L"},`+
				`"`+enterpriseURN+`":{"department":"ward","costCenter":"7"}`))
			c.create("/Users", person("bob", ""))
			place := strings.NewReplacer("%s", ada, "%g", c.create("/Groups", team("team", ada)))
			for _, s := range steps {
				s.body = place.Replace(s.body)
				c.meets(s, place)
			}
		})
	}
}
