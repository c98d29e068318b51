package conformance

import (
	"fmt"
	"strings"
)

// Timeline is a history, step by step, of keys or of the feed.
type Timeline struct {
	Name  string `json:"name"`
	Steps []Step `json:"steps"`
}

// Step has a time in seconds, and one thing that happens or is asked for.
type Step struct {
	At float64 `json:"at"`

	// Of keys: what their source says; and what finding or settling a kid gives.
	Take    *Take  `json:"take,omitempty"`
	Find    string `json:"find,omitempty"`
	Settle  string `json:"settle,omitempty"`
	Due     bool   `json:"due,omitempty"` // when the next fetch is due
	Changed *bool  `json:"changed,omitempty"`

	// Of the feed: where it begins, what is heard, and what it says of a token.
	Start *uint64 `json:"start,omitempty"`
	Hear  Object  `json:"hear,omitempty"`
	Judge *Judged `json:"judge,omitempty"`
	Age   bool    `json:"age,omitempty"`   // of the last heartbeat
	Place bool    `json:"place,omitempty"` // to go on from

	Expect any `json:"expect,omitempty"`
}

// Take is an answer of the source of keys. Status 0 is none.
type Take struct {
	Status int    `json:"status"`
	Body   string `json:"body,omitempty"`
	MaxAge int    `json:"max_age,omitempty"`
}

// Judged is what matters of a token.
type Judged struct {
	Sub       string   `json:"sub"`
	Sid       string   `json:"sid"`
	Roles     []string `json:"roles"`
	Groups    []string `json:"groups"`
	Ri        uint64   `json:"ri"`
	Confirmed uint64   `json:"confirmed"`
	Referred  bool     `json:"referred,omitempty"` // a node tells the rights
	Told      bool     `json:"told,omitempty"`     // and has, at ri
}

func set(keys ...*Key) string { return text(KeySet(keys...)) }

func take(at float64, changed bool, status int, body string) Step {
	return Step{At: at, Take: &Take{Status: status, Body: body}, Changed: &changed}
}

func find(at float64, kid, expect string) Step { return Step{At: at, Find: kid, Expect: expect} }
func settle(at float64, kid, expect string) Step {
	return Step{At: at, Settle: kid, Expect: expect}
}
func due(at, expect float64) Step { return Step{At: at, Due: true, Expect: expect} }

// MakeKeys makes the file keys.json.
func MakeKeys() []Timeline {
	one, two, ed := NewKey("k1"), NewKey("k2"), NewEdKey("ed1")
	timelines := []Timeline{
		{"no keys yet: unavailable, never invalid", []Step{
			find(0, "k1", "fetch"), take(0, false, 0, ""), settle(0, "k1", "unavailable"), due(0, 10),
			take(10, true, 200, set(one)), find(10, "k1", "known"),
		}},
		{"a rotation is found by its kid", []Step{
			take(0, true, 200, set(one)), find(1, "k2", "fetch"), take(1, true, 200, set(one, two)), settle(1, "k2", "known"),
			find(2, "k1", "known"), find(2, "k2", "known"),
		}},
		{"a withdrawn key is gone with the next set", []Step{
			take(0, true, 200, set(one, two)), find(1, "k1", "known"), take(300, true, 200, set(two)), find(300, "k1", "fetch"),
			take(300, false, 200, set(two)), settle(300, "k1", "unknown"),
		}},
		{"a kid that is not there is remembered for a minute", []Step{
			take(0, true, 200, set(one)), find(0, "x", "fetch"), take(0, false, 200, set(one)), settle(0, "x", "unknown"),
			find(30, "x", "unknown"), find(59, "x", "unknown"), find(60, "x", "fetch"),
		}},
		{"forged kids: three fetches, then one in ten seconds", []Step{
			take(0, true, 200, set(one)),
			find(0, "a", "fetch"), find(0, "b", "fetch"), find(0, "c", "fetch"), find(0, "d", "unknown"), find(9, "e", "unknown"),
			find(10, "f", "fetch"), find(10, "g", "unknown"), find(19, "h", "unknown"), find(20, "i", "fetch"), find(20, "k1", "known"),
		}},
		{"a rotation is not starved by forged kids", []Step{
			take(0, true, 200, set(one)), find(0, "a", "fetch"), find(0, "b", "fetch"), find(0, "c", "fetch"), find(5, "k2", "unknown"),
			find(10, "d", "fetch"), take(10, true, 200, set(one, two)), settle(10, "d", "unknown"), find(10, "k2", "known"),
		}},
		{"failures change nothing for a day", []Step{
			take(0, true, 200, set(one)), take(300, false, 503, ""), due(300, 310), find(300, "k1", "known"),
			take(3600, false, 0, ""), find(3600, "k1", "known"), take(86399, false, 500, "{}"), find(86400, "k1", "known"),
			find(86401, "k1", "fetch"), take(86401, false, 0, ""), settle(86401, "k1", "unavailable"),
			take(86500, false, 200, set(one)), find(86500, "k1", "known"),
		}},
		{"an outage is not the caller's fault", []Step{
			take(0, true, 200, set(one)), find(1, "k2", "fetch"), take(1, false, 503, ""), settle(1, "k2", "unavailable"),
			find(1, "k2", "fetch"), take(1, false, 0, ""), settle(1, "k2", "unavailable"), find(2, "k1", "known"),
			find(2, "k2", "fetch"), find(2, "k2", "unavailable"), take(11, true, 200, set(one, two)), find(11, "k2", "known"),
			find(11, "k3", "fetch"), settle(11, "k3", "unknown"), find(12, "k4", "unknown"),
		}},
		{"not modified vouches for the set", []Step{
			take(0, true, 200, set(one)), take(80000, false, 304, ""), find(160000, "k1", "known"), due(80000, 80300),
		}},
		{"not modified vouches for nothing when there is none", []Step{
			take(0, false, 304, ""), due(0, 10), find(0, "k1", "fetch"), settle(0, "k1", "unavailable"),
		}},
		{"max-age within a minute and an hour", []Step{
			take(0, true, 200, set(one)), due(0, 300),
			{At: 0, Take: &Take{200, set(one), 5}, Changed: new(bool)}, due(0, 60),
			{At: 0, Take: &Take{200, set(one), 900}, Changed: new(bool)}, due(0, 900),
			{At: 0, Take: &Take{200, set(one), 86400}, Changed: new(bool)}, due(0, 3600),
		}},
	}
	return append(timelines, Timeline{"misses are bounded", manyMisses(one)}, poison(one), usable(one, two, ed))
}

// manyMisses fills the memory of misses and shows that the oldest was forgotten.
func manyMisses(one *Key) []Step {
	steps := []Step{take(0, true, 200, set(one))}
	for i := range 129 {
		steps = append(steps, settle(float64(i)/10, fmt.Sprintf("m%d", i), "unknown"))
	}
	return append(steps, find(20, "m1", "unknown"), find(20, "m0", "fetch"))
}

// poison are answers that must not replace a set.
func poison(one *Key) Timeline {
	steps := []Step{take(0, true, 200, set(one))}
	private := With(one.JWK(), "d", "AAAA")
	for _, body := range []string{
		"", "null", "[]", "{}", `{"keys":null}`, `{"keys":[]}`, `{"keys":{}}`, `{"error":"down"}`, "<html>", set(one)[:40],
		text(Object{"keys": []any{Object{"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}}}),
		text(Object{"keys": []any{private}}),
		text(Object{"keys": []any{one.JWK(), one.JWK()}}),
		text(Object{"keys": []any{one.JWK(), With(NewKey("evil").JWK(), "kid", one.ID)}}),
		text(Object{"keys": []any{With(NewKey("evil").JWK(), "kid", one.ID), one.JWK()}}),
		`{"keys":[],` + set(one)[1:],
		text(Object{"keys": []any{With(one.JWK(), "use", "enc")}}),
		text(Object{"keys": []any{With(one.JWK(), "alg", "ES384")}}),
		text(Object{"keys": []any{With(one.JWK(), "key_ops", []string{"sign"})}}),
		text(Object{"keys": []any{With(one.JWK(), "kid", "")}}),
		text(Object{"keys": []any{With(one.JWK(), "kid", nil)}}),
		text(Object{"keys": []any{With(one.JWK(), "x", "AAAA")}}),
		text(Object{"keys": []any{With(one.JWK(), "x", Encode(make([]byte, 32)))}}), // no point of the curve
		text(Object{"keys": []any{With(one.JWK(), "crv", "P-384")}}),
		text(Object{"keys": []any{one.JWK()}, "pad": strings.Repeat("0", 256<<10)}),
	} {
		steps = append(steps, take(10, false, 200, body), find(10, "k1", "known"))
	}
	for _, status := range []int{201, 204, 301, 302, 400, 404, 429, 500, 503} {
		steps = append(steps, take(20, false, status, set(NewKey("evil"))), find(20, "k1", "known"))
	}
	return Timeline{"error bodies never replace the keys", steps}
}

// usable takes what it knows out of a set of many.
func usable(one, two, ed *Key) Timeline {
	mixed := text(Object{"keys": []any{
		Object{"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"}, Object{"kty": "oct", "kid": "oct", "k": "AAAA"}, "text", nil, 1,
		With(two.JWK(), "d", "AAAA"), one.JWK(), With(ed.JWK(), "use", nil),
	}})
	return Timeline{"keys of other types are left out, not the set", []Step{
		take(0, true, 200, mixed), find(0, "k1", "known"), find(0, "ed1", "known"),
		find(0, "rsa", "fetch"), settle(0, "rsa", "unknown"), settle(0, "oct", "unknown"), settle(0, "k2", "unknown"),
	}}
}
