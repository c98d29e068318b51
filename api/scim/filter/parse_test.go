package filter_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/scim/filter"
)

func TestParseReads(t *testing.T) {
	for _, row := range []struct{ about, in, canonical string }{
		{"an equality", `userName eq "x"`, `userName eq "x"`},
		{"operators in any case", `USERNAME EQ "x" AND active Pr`, `USERNAME eq "x" and active pr`},
		{"and binds tighter than or", `a eq 1 or b eq 2 and c eq 3`, `a eq 1 or b eq 2 and c eq 3`},
		{"parentheses that matter stay", `(a eq 1 or b eq 2) and c eq 3`, `(a eq 1 or b eq 2) and c eq 3`},
		{"parentheses that do not matter go", `((a eq 1))`, `a eq 1`},
		{"not without a space", `not(a pr)`, `not (a pr)`},
		{"an attribute called not", `not eq "x"`, `not eq "x"`},
		{"a value path", `emails[type eq "work" and value co "@x"]`, `emails[type eq "work" and value co "@x"]`},
		{"Entra's comparison on a value path", `emails[type eq "work"].value eq "x"`, `emails[type eq "work" and value eq "x"]`},
		{"a URN with a version", `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "m"`,
			`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "m"`},
		{"escapes of JSON", `a eq "q\"b\\ \u00e9<"`, `a eq "q\"b\\ é<"`},
		{"escapes of every kind", `a eq "\/\b\f\n\r\t\u0041\uD83D\ude00"`, `a eq "/\b\f\n\r\tA😀"`},
		{"spaces and tabs between words, and in a string", "\ta  eq\t\"x  y\"  and ( b pr )", `a eq "x  y" and b pr`},
		{"brackets and keywords in a string", `a eq ") or (b pr]" and c eq ""`, `a eq ") or (b pr]" and c eq ""`},
		{"nothing between a parenthesis and a word", `(a pr)and(b pr)or not(c pr)`, `a pr and b pr or not (c pr)`},
		{"an attribute that begins like a keyword", `order eq 1 and nothing pr or android pr`, `order eq 1 and nothing pr or android pr`},
		{"literals in any case", `a eq True and b eq NULL and c eq -1.5e3`, `a eq true and b eq null and c eq -1.5e3`},
	} {
		t.Run(row.about, func(t *testing.T) {
			e, err := filter.Parse(row.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.String(); got != row.canonical {
				t.Errorf("got %s, want %s", got, row.canonical)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, row := range []struct{ about, in, message string }{
		{"nothing", ``, "expected an attribute name at position 0"},
		{"an unknown operator", `userName zz "x"`, `expected an operator such as eq behind "userName" at position 9`},
		{"a bare word as value", `userName eq x`, "expected a quoted string, a number, true, false or null at position 12"},
		{"an open string", `userName eq "x`, "string is not closed at position 12"},
		{"a string that ends in an escape", `userName eq "x\`, "string is not closed at position 12"},
		{"half a surrogate pair", `a eq "x\ud800"`, "an escape in the string is not one of JSON at position 7"},
		{"half a pair before another escape", `a eq "\ud800\n"`, "an escape in the string is not one of JSON at position 6"},
		{"two halves in the wrong order", `a eq "\udc00\ud800"`, "an escape in the string is not one of JSON at position 6"},
		{"an escape that is none", `a eq "\x"`, "an escape in the string is not one of JSON at position 6"},
		{"an escape that is too short", `a eq "\u12"`, "an escape in the string is not one of JSON at position 6"},
		{"bytes that are not UTF-8", "a eq \"\xff\"", "string is not UTF-8 at position 5"},
		{"a line break in a string", "a eq \"x\ny\"", "a string must not contain the control character 0x0a; write it as an escape at position 7"},
		{"a number with a leading zero", `a eq 01`, "expected a quoted string, a number, true, false or null at position 5"},
		{"a number that ends in a point", `a eq 1.`, "expected a quoted string, a number, true, false or null at position 5"},
		{"nothing in parentheses", `()`, "expected an attribute name at position 1"},
		{"and at the end", `a pr and`, "expected an attribute name at position 8"},
		{"not without parentheses", `not a pr`, `expected an operator such as eq behind "not" at position 4`},
		{"a literal on the left", `"x" eq a`, "expected an attribute name at position 0"},
		{"an open parenthesis", `(a pr`, `expected ")" at position 5`},
		{"an open bracket", `a[b pr`, `expected "]" at position 6`},
		{"words behind the end", `a pr b`, "expected and, or, or the end of the filter at position 5"},
		{"brackets in brackets", `a[b[c pr]]`, "a value filter is not allowed here at position 3"},
		{"two dots", `a.b.c pr`, "expected an attribute name at position 0"},
		{"a prefix that is no URN", `x:y pr`, "expected an attribute name at position 0"},
		{"300 000 parentheses", strings.Repeat("(", 300_000), "filter is longer than 8192 bytes at position 8192"},
		{"too deep", strings.Repeat("(", filter.MaxDepth+1) + "a pr", "filter is nested deeper than 32 at position 32"},
		{"too many comparisons", strings.Repeat("a pr and ", filter.MaxTerms) + "a pr", "filter has more than 64 comparisons at position 577"},
	} {
		t.Run(row.about, func(t *testing.T) {
			_, err := filter.Parse(row.in)
			if err == nil || err.Error() != row.message {
				t.Errorf("got %v, want %s", err, row.message)
			}
			if typed := new(filter.Error); !errors.As(err, &typed) {
				t.Errorf("%T is not a filter error", err)
			}
		})
	}
}

func TestComparisonsKnowTheirPlace(t *testing.T) {
	e, err := filter.Parse(` a eq 1 or not ( b.c pr) and d[ e eq "x"].f ne "y"`)
	if err != nil {
		t.Fatal(err)
	}
	or := e.(filter.Or)
	and := or.Right.(filter.And)
	path := and.Right.(filter.ValuePath)
	inner := path.Filter.(filter.And)
	got := []int{
		or.Left.(filter.Compare).Pos, and.Left.(filter.Not).Expr.(filter.Compare).Pos, path.Pos,
		inner.Left.(filter.Compare).Pos, inner.Right.(filter.Compare).Pos,
	}
	if want := []int{1, 17, 29, 32, 42}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseAcceptsItsLimits(t *testing.T) {
	for _, in := range []string{
		strings.Repeat("(", filter.MaxDepth) + "a pr" + strings.Repeat(")", filter.MaxDepth),
		strings.Repeat("a pr or ", filter.MaxTerms-1) + "a pr",
		`a eq "` + strings.Repeat("x", filter.MaxFilter-7) + `"`,
	} {
		if _, err := filter.Parse(in); err != nil {
			t.Errorf("%.20s…: %v", in, err)
		}
	}
}

func TestParsePath(t *testing.T) {
	for _, row := range []struct{ in, urn, attr, value, sub string }{
		{`active`, "", "active", "", ""},
		{`name.givenName`, "", "name", "", "givenName"},
		{`members[value eq "1"]`, "", "members", `value eq "1"`, ""},
		{`emails[type eq "other"].Value`, "", "emails", `type eq "other"`, "Value"},
		{`urn:x:2.0:User:tag`, "urn:x:2.0:User", "tag", "", ""},
		{`urn:x:2.0:User:manager.value`, "urn:x:2.0:User", "manager", "", "value"},
		{`members[$ref eq "a]\"b"]`, "", "members", `$ref eq "a]\"b"`, ""},
	} {
		p, err := filter.ParsePath(row.in)
		if err != nil {
			t.Errorf("%s: %v", row.in, err)
			continue
		}
		value := ""
		if p.Filter != nil {
			value = p.Filter.String()
		}
		if p.URN != row.urn || p.Attr != row.attr || value != row.value || p.Sub != row.sub || p.String() != row.in {
			t.Errorf("%s: got %+v", row.in, p)
		}
	}
	for _, in := range []string{"", ".", "a.", "a[", "a[]", `a[b eq "c"].`, `a[b eq "c"].d.e`, "a b", "a.b[c pr]", strings.Repeat("a", filter.MaxPath+1)} {
		if p, err := filter.ParsePath(in); err == nil {
			t.Errorf("%.20s was read as %+v", in, p)
		}
	}
}

func TestEqualities(t *testing.T) {
	for _, row := range []struct {
		in    string
		pairs int
	}{
		{`userName eq "x"`, 1},
		{`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "x"`, 1},
		{`id eq "X" and manager eq "Y"`, 2},
		{`id eq "X" or manager eq "Y"`, 0},
		{`userName ne "x"`, 0},
		{`active eq true`, 0},
		{`emails[value eq "x"]`, 0},
	} {
		e, err := filter.Parse(row.in)
		if err != nil {
			t.Fatal(err)
		}
		pairs, ok := filter.Equalities(e)
		if ok != (row.pairs > 0) || ok && len(pairs) != row.pairs {
			t.Errorf("%s: got %v %v", row.in, pairs, ok)
		}
		attr, value, ok := filter.Equality(e)
		if ok != (row.pairs == 1) || ok && (attr != "userName" || value != "x") {
			t.Errorf("%s: got %s %s %v", row.in, attr, value, ok)
		}
	}
}

// FuzzLiteral: what stands behind an operator is read as JSON reads it, except that
// JSON mends what is not a character, and a filter refuses it.
func FuzzLiteral(f *testing.F) {
	for _, seed := range []string{`"x"`, `"\ud83d\ude00"`, `"\ud800"`, `-1.5e+3`, `01`, `true`, `"a\\"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		decoder := json.NewDecoder(strings.NewReader(s))
		decoder.UseNumber()
		var want any
		whole := decoder.Decode(&want) == nil && decoder.InputOffset() == int64(len(s)) && strings.TrimSpace(s) == s
		e, err := filter.Parse("a eq " + s)
		c, single := e.(filter.Compare)
		switch {
		case err != nil || !single:
			text, isText := want.(string)
			if number, ok := want.(json.Number); ok && whole || isText && whole && !strings.ContainsRune(text, '\uFFFD') {
				t.Fatalf("%q is %v%v in JSON, and refused: %v", s, text, number, err)
			}
		case whole && c.Value != want:
			t.Fatalf("%q is %#v in JSON, and %#v here", s, want, c.Value)
		}
	})
}

// BenchmarkParse holds the bound of 5 µs for what providers send.
func BenchmarkParse(b *testing.B) {
	for _, row := range []struct{ about, filter string }{
		{"match", `userName eq "Test_User_00aa00aa-bb11-cc22-dd33-44ee44ee44ee"`},
		{"typed", `emails[type eq "work"].value eq "a@b.example"`},
		{"reference", `id eq "usr-01j9" and manager eq "usr-01ja"`},
		{"extension", `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "Ward"`},
		{"long", `(userName sw "a" or name.familyName co "b") and not (active eq false) and meta.lastModified gt "2026-01-02T03:04:05Z"`},
	} {
		b.Run(row.about, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := filter.Parse(row.filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHostile: the deepest and longest of filters cost what their bytes do.
func BenchmarkHostile(b *testing.B) {
	for _, row := range []struct{ about, filter string }{
		{"parentheses", strings.Repeat("(", filter.MaxFilter)},
		{"negations", strings.Repeat("not(", filter.MaxFilter/4)},
		{"spaces", strings.Repeat(" ", filter.MaxFilter)},
		{"comparisons", strings.Repeat("a pr or ", filter.MaxFilter/8)},
		{"escapes", `a eq "` + strings.Repeat(`\n`, filter.MaxFilter/2-4) + `"`},
		{"digits", `a eq ` + strings.Repeat("9", filter.MaxFilter-5)},
	} {
		b.Run(row.about, func(b *testing.B) {
			b.SetBytes(int64(len(row.filter)))
			for b.Loop() {
				_, _ = filter.Parse(row.filter)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`userName eq "x"`, `not(a pr) or b.c gt 3`, `emails[type eq "work"].value eq "x"`, `a eq "\ud800"`, "((((",
		`urn:x:2.0:User:tag ne null and not (a eq 1 or b eq 2)`,
	} {
		f.Add(seed)
	}
	resource := map[string]any{"a": "x", "emails": []any{map[string]any{"type": "work", "value": "x"}}}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := filter.Parse(s)
		if err != nil {
			return
		}
		once := e.String()
		again, err := filter.Parse(once)
		if err != nil && len(once) <= filter.MaxFilter {
			t.Fatalf("%q became %q, which is refused: %v", s, once, err)
		}
		if err == nil && again.String() != once {
			t.Fatalf("%q became %q", once, again.String())
		}
		_, _ = filter.Match(e, resource, caseExact{})
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{`members[value eq "1"]`, `emails[type eq "work"].value`, `urn:x:2.0:User:tag.sub`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := filter.ParsePath(s)
		if err != nil {
			return
		}
		once := p.String()
		again, err := filter.ParsePath(once)
		if err != nil && len(once) <= filter.MaxPath {
			t.Fatalf("%q became %q, which is refused: %v", s, once, err)
		}
		if err == nil && again.String() != once {
			t.Fatalf("%q became %q", once, again.String())
		}
	})
}
