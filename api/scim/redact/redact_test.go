package redact

import (
	"strings"
	"testing"
)

func redactor() *Redactor { return New([32]byte{1, 2, 3}) }

// TestKept: what says nothing of anybody stays as it is.
func TestKept(t *testing.T) {
	r := redactor()
	for _, body := range []string{
		``, `{}`, `[]`, `null`, `true`, `{"active":"False"}`, `{"emails":[{"type":"work","primary":true}]}`,
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp","urn:clinic:Staff"]}`,
		`{"schemas":["http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"]}`,
		`{"Operations":[{"op":"Add","path":"name.givenName"}]}`,
		`{"Operations":[{"op":"remove","path":"emails[type eq \"work\"].value"}]}`,
		`{"Operations":[{"path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"}]}`,
		`{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager":null,"name.givenName":""}`,
		`{"totalResults":12,"startIndex":1,"itemsPerPage":0,"status":"409","scimType":"uniqueness"}`,
		`{"b":null,"a":null,"b":true}`, // order and repetition
		`{"roles":["{\"primary\":\"True\"}"]}`,
		`{"Operations":[{"method":"POST","path":"/Users"}]}`,
	} {
		if got := r.Body([]byte(body)); got != body {
			t.Errorf("%s became %s", body, got)
		}
	}
	for _, query := range []string{"", "startIndex=1&count=2", "sortBy=name.familyName&sortOrder=descending", "excludedAttributes=members", "aadOptscim062020", "attributes=id%2CuserName"} {
		if got := r.Query(query); got != query {
			t.Errorf("%s became %s", query, got)
		}
	}
	for _, path := range []string{"/Users", "/Groups/.search", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User", "/ResourceTypes/User", "/"} {
		if got := r.Path(path); got != path {
			t.Errorf("%s became %s", path, got)
		}
	}
}

// TestShape: a pseudonym is of the kind of its original and equal where that is.
func TestShape(t *testing.T) {
	r := redactor()
	for _, row := range []struct {
		name, in string
		is       func(string) bool
	}{
		{"GUID", "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", isGUID},
		{"GUID in upper case", "0A21F0F2-8D2A-4F8E-BF98-7363C4AED4EF", func(s string) bool { return isGUID(s) && s == strings.ToUpper(s) }},
		{"id of ours", "usr-0123456789abcdef0123456789abcdef", isID},
		{"mail address", "ada@clinic.example", func(s string) bool { return strings.Count(s, "@") == 1 && strings.HasSuffix(s, ".example") }},
		{"moment", "2011-05-13T04:42:34Z", func(s string) bool { _, ok := r.moment(s); return ok }},
		{"address of a resource", "https://scim.clinic.example/scim/v2/clinic/Users/usr-0123456789abcdef0123456789abcdef", func(s string) bool { return strings.HasPrefix(s, host+"/Users/usr-") }},
		{"other address", "https://photos.clinic.example/ada.png", func(s string) bool { return strings.HasPrefix(s, host+"/") }},
		{"reference in a bulk request", "bulkId:ada", func(s string) bool { return strings.HasPrefix(s, bulkPrefix) && len(s) > len(bulkPrefix) }},
		{"long text", strings.Repeat("ada ", 200), func(s string) bool { return len(s) == 800 }},
		{"text with a control character", "ada\x01", func(s string) bool { return strings.Contains(s, "\x01") }},
		{"blank", "  ", func(s string) bool { return s == "  " }},
		{"text", "Ada", func(s string) bool { return len(s) == wordLetters }},
	} {
		got := r.text(row.in)
		if !row.is(got) || strings.TrimSpace(row.in) != "" && got == row.in {
			t.Errorf("%s: %q", row.name, got)
		}
		if again := r.text(row.in); again != got {
			t.Errorf("%s: %q and %q", row.name, got, again)
		}
		if other := New([32]byte{9}).text(row.in); other == got && strings.TrimSpace(row.in) != "" {
			t.Errorf("%s: another key gives the same", row.name)
		}
	}
	if r.number("7") == "7" || strings.Contains(r.number("7"), ".") || !strings.Contains(r.number("7.25"), ".") {
		t.Errorf("numbers: %s and %s", r.number("7"), r.number("7.25"))
	}
}

// TestCase: names that the server takes for one another are so under pseudonyms, and
// no others are.
func TestCase(t *testing.T) {
	r := redactor()
	for _, pair := range [][2]string{{"Ada", "ADA"}, {"ada@Clinic.example", "ADA@clinic.EXAMPLE"}, {"Ünal", "ünal"}} {
		a, b := r.text(pair[0]), r.text(pair[1])
		if a == b || !strings.EqualFold(a, b) {
			t.Errorf("%q and %q became %q and %q", pair[0], pair[1], a, b)
		}
	}
	if a, b := r.text("ada"), r.text("adb"); strings.EqualFold(a, b) {
		t.Errorf("two names became one: %q", a)
	}
}

// TestOnePseudonymEverywhere: in a path, a filter, a body, the path of an operation
// and JSON within a text.
func TestOnePseudonymEverywhere(t *testing.T) {
	r := redactor()
	const id = "usr-0123456789abcdef0123456789abcdef"
	want := r.text(id)
	for _, got := range []string{
		r.Path("/Users/" + id),
		r.Query("filter=members+eq+%22" + id + "%22"),
		r.Body([]byte(`{"members":[{"value":"` + id + `"}]}`)),
		r.Body([]byte(`{"Operations":[{"op":"remove","path":"members[value eq \"` + id + `\"]"}]}`)),
		r.Body([]byte(`{"members[value eq \"` + id + `\"]":true}`)),
		r.Body([]byte(`{"Operations":[{"path":"/Users/` + id + `"}]}`)),
		r.Body([]byte(`{"roles":["{\"id\":\"` + id + `\"}"]}`)),
		r.Body([]byte(`{"filter":"id eq \"` + id + `\""}`)),
	} {
		if !strings.Contains(got, want) || strings.Contains(got, id) {
			t.Errorf("%s does not hold %s", got, want)
		}
	}
}

// TestBroken: what cannot be read stays so, and nothing of it is shown.
func TestBroken(t *testing.T) {
	r := redactor()
	deep := strings.Repeat("[", depthMax+2) + strings.Repeat("]", depthMax+2)
	for _, body := range []string{`ada`, `{"ada"`, `{"ada":1} ada`, "\"\xff ada\"", deep} {
		if got := r.Body([]byte(body)); got != brokenBody {
			t.Errorf("%.40q became %s", body, got)
		}
	}
	within := strings.Repeat("[", depthMax-1) + `"ada"` + strings.Repeat("]", depthMax-1)
	if got := r.Body([]byte(within)); got == brokenBody {
		t.Errorf("%d levels cannot be read", depthMax)
	}
	if got := r.filter("userName eq ada"); got != brokenFilter {
		t.Error(got)
	}
	if got := r.Body([]byte(`{"path":"ada is here"}`)); got != `{"path":"`+brokenPath+`"}` {
		t.Error(got)
	}
	if got := r.Query("a=%zz&filter=%22ada"); got != "%&filter=redacted+eq+%22" {
		t.Error(got)
	}
}

// TestFixed: secrets and texts for people have no pseudonym, and nothing below a
// secret has.
func TestFixed(t *testing.T) {
	r := redactor()
	for _, body := range []string{
		`{"password":"x"}`, `{"Password":["x"]}`, `{"clientSecret":{"a":{"b":["x"]}}}`, `{"accessToken":"x"}`, `{"detail":"x is taken"}`,
	} {
		got := r.Body([]byte(body))
		if !strings.Contains(got, `"`+fixed+`"`) {
			t.Errorf("%s became %s", body, got)
		}
	}
}

// FuzzBody: whatever comes, the answer is bounded, and what was readable stays so.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"userName":"ada","emails":[{"value":"a@b"}],"n":1e9}`))
	f.Add([]byte(`{"Operations":[{"op":"add","path":"emails[type eq \"work\"].value","value":"[{\"a\":1}]"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := redactor()
		got := r.Body(body)
		if len(got) > 64+40*len(body) {
			t.Errorf("%d bytes became %d", len(body), len(got))
		}
		if got != "" && got != brokenBody && r.Body([]byte(got)) == brokenBody {
			t.Errorf("%q is JSON and %q is not", body, got)
		}
		if strings.Contains(got, `"`+fixed+`"`) && !MayHoldSecret(body) && !strings.Contains(strings.ToLower(string(body)), "detail") && !strings.Contains(string(body), fixed) {
			t.Errorf("%q holds a secret that was not found", body)
		}
		r.Path(string(body))
		r.Query(string(body))
	})
}

func BenchmarkBody(b *testing.B) {
	body := []byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"usr-0123456789abcdef0123456789abcdef"}]}]}`)
	r := redactor()
	b.ReportAllocs()
	for b.Loop() {
		r.Body(body)
	}
}
