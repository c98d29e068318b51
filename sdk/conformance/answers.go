package conformance

// PostureCase is one row of the table of postures. A nil age is that of a
// heartbeat that has not come; an empty reply, that nobody was asked yet.
type PostureCase struct {
	Posture  string   `json:"posture"`
	Age      *float64 `json:"age"`
	Verdict  string   `json:"verdict"`
	Mutating bool     `json:"mutating"`
	Reply    string   `json:"reply"`
	Expect   string   `json:"expect"` // ok, ask, or the code of a refusal
}

// MakePostures makes the file postures.json.
func MakePostures() (cases []PostureCase) {
	const unavailable, revoked, stale, ask = "auth_unavailable", "token_revoked", "token_stale", "ask"
	age := func(seconds float64) *float64 { return &seconds }
	row := func(posture string, age *float64, verdict, reply, reading, changing string) {
		cases = append(cases, PostureCase{posture, age, verdict, false, reply, reading}, PostureCase{posture, age, verdict, true, reply, changing})
	}
	for _, a := range []*float64{age(0), age(15), age(16), age(60), age(61), nil} {
		row("offline", a, "unknown", "", ok, ok)
		for _, posture := range []string{"fresh", "strict"} {
			row(posture, a, "revoked", "", revoked, revoked)
			row(posture, a, "stale", "", stale, stale)
			row(posture, a, "live", "revoked", revoked, revoked)
			row(posture, a, "unknown", "stale", stale, stale)
		}
	}
	for _, a := range []*float64{age(0), age(15)} {
		for _, posture := range []string{"fresh", "strict"} {
			row(posture, a, "live", "", ok, ok)
			row(posture, a, "unknown", "", ask, ask)
			row(posture, a, "unknown", "live", ok, ok)
		}
		row("fresh", a, "unknown", "failed", ok, unavailable)
		row("strict", a, "unknown", "failed", unavailable, unavailable)
	}
	for _, a := range []*float64{age(15.1), age(60), age(61), nil} {
		row("strict", a, "live", "", unavailable, unavailable)
		row("strict", a, "unknown", "live", unavailable, unavailable)
		row("fresh", a, "live", "", ask, ask)
		row("fresh", a, "unknown", "", ask, ask)
		row("fresh", a, "live", "live", ok, ok)
		row("fresh", a, "unknown", "failed", ok, unavailable)
	}
	row("fresh", age(16), "live", "failed", ok, ok)
	row("fresh", age(60), "live", "failed", ok, ok)
	row("fresh", age(60.1), "live", "failed", ok, unavailable)
	row("fresh", nil, "live", "failed", ok, unavailable)
	return append(cases, referredPostures()...)
}

// referredPostures are of tokens whose rights are not known: nothing is served, whether
// it reads or changes, before they are.
func referredPostures() (cases []PostureCase) {
	const referred, unavailable = "referred", "permissions_unavailable"
	row := func(posture string, age float64, reply, expect string) {
		for _, mutating := range []bool{false, true} {
			cases = append(cases, PostureCase{posture, &age, referred, mutating, reply, expect})
		}
	}
	for _, age := range []float64{0, 15, 15.1, 60, 61} {
		row("offline", age, "", unavailable)
		for _, reply := range []string{"", "live", "failed"} {
			expect := unavailable // also of a node that is behind
			if reply == "" {
				expect = "ask"
			}
			row("fresh", age, reply, expect)
			if age > 15 {
				expect = "auth_unavailable"
			}
			row("strict", age, reply, expect)
		}
		for _, posture := range []string{"fresh", "strict"} {
			row(posture, age, "revoked", "token_revoked")
		}
	}
	return cases
}

// Answers is the file http.json.
type Answers struct {
	Headers  []HeaderCase  `json:"headers"`
	Refusals []RefusalCase `json:"refusals"`
}

// HeaderCase is the Authorization headers of a request: the token, or the code.
type HeaderCase struct {
	Authorization []string `json:"authorization"`
	Token         string   `json:"token,omitempty"`
	Code          string   `json:"code,omitempty"`
}

// RefusalCase is the answer to a request that is not served.
type RefusalCase struct {
	Code            string   `json:"code"`
	Required        []string `json:"required,omitempty"`
	Missing         []string `json:"missing,omitempty"`
	Status          int      `json:"status"`
	WWWAuthenticate string   `json:"www_authenticate,omitempty"`
	RetryAfter      string   `json:"retry_after,omitempty"`
	Body            Object   `json:"body"`
}

// MakeAnswers makes the file http.json.
func MakeAnswers() Answers {
	const none, malformed = "unauthenticated", "invalid_request"
	required, missing := []string{"read:patients", "write:notes"}, []string{"write:notes"}
	return Answers{
		Headers: []HeaderCase{
			{Authorization: []string{}, Code: none},
			{Authorization: []string{"Bearer a.b.c"}, Token: "a.b.c"},
			{Authorization: []string{"bearer a.b.c"}, Token: "a.b.c"},
			{Authorization: []string{"BEARER a-_~+/=.c"}, Token: "a-_~+/=.c"},
			{Authorization: []string{"Basic YTpi"}, Code: none},
			{Authorization: []string{""}, Code: none},
			{Authorization: []string{"Bearerx a.b.c"}, Code: none},
			{Authorization: []string{"a.b.c"}, Code: none},
			{Authorization: []string{"Bearer"}, Code: malformed},
			{Authorization: []string{"Bearer "}, Code: malformed},
			{Authorization: []string{"Bearer  a.b.c"}, Code: malformed},
			{Authorization: []string{"Bearer a.b.c "}, Code: malformed},
			{Authorization: []string{"Bearer a.b.c d.e.f"}, Code: malformed},
			{Authorization: []string{"Bearer a.b.c, Bearer d.e.f"}, Code: malformed},
			{Authorization: []string{"Bearer a.b.c,d"}, Code: malformed},
			{Authorization: []string{"Bearer a.b.ü"}, Code: malformed},
			{Authorization: []string{"Bearer\ta.b.c"}, Code: none},
			{Authorization: []string{"Bearer a.b.c", "Bearer a.b.c"}, Code: malformed},
			{Authorization: []string{"Basic YTpi", "Bearer a.b.c"}, Code: malformed},
		},
		Refusals: []RefusalCase{
			refusal(none, 401, "Unauthorized", "an access token is needed", ""),
			refusal(malformed, 400, "Bad Request", "the Authorization header is malformed", `, error="invalid_request"`),
			refusal("invalid_token", 401, "Unauthorized", "the access token is not valid", `, error="invalid_token"`),
			refusal("token_revoked", 401, "Unauthorized", "the session has ended", `, error="invalid_token", error_description="revoked"`),
			refusal("token_stale", 401, "Unauthorized", "permissions have changed; refresh the access token", `, error="invalid_token", error_description="stale"`),
			{
				Code: "insufficient_permission", Required: required, Missing: missing, Status: 403,
				WWWAuthenticate: `Bearer realm="authfi", error="insufficient_scope", scope="read:patients write:notes"`,
				Body: Object{
					"title": "Forbidden", "status": 403, "code": "insufficient_permission", "detail": "a permission is missing",
					"required": required, "missing": missing,
				},
			},
			{
				Code: "auth_unavailable", Status: 503, RetryAfter: "5", Body: Object{
					"title": "Service Unavailable", "status": 503, "code": "auth_unavailable", "detail": "who is asking cannot be told now; try again",
				},
			},
			{
				Code: "permissions_unavailable", Status: 503, RetryAfter: "5", Body: Object{
					"title": "Service Unavailable", "status": 503, "code": "permissions_unavailable",
					"detail": "what the access token permits cannot be told now; try again",
				},
			},
		},
	}
}

func refusal(code string, status int, title, detail, challenge string) RefusalCase {
	return RefusalCase{
		Code: code, Status: status, WWWAuthenticate: `Bearer realm="authfi"` + challenge,
		Body: Object{"title": title, "status": status, "code": code, "detail": detail},
	}
}
