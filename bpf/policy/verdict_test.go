package policy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/authfi/authfi/bpf/policy"
)

// tables holds one token, of one subject.
type tables struct {
	token   policy.TokenEntry
	subject policy.SubjectEntry
}

func (t tables) Token(key policy.TokenKey) (policy.TokenEntry, bool) {
	return t.token, key == policy.TokenKey{H0: 1, H1: 2}
}

func (t tables) Subject(id policy.Subject) (policy.SubjectEntry, bool) {
	return t.subject, id == policy.Subject{5}
}

func walk(p *policy.Program, path string) uint16 {
	state := p.Start()
	for i := range len(path) {
		state = p.Next(state, path[i])
	}
	return state
}

func TestVerdict(t *testing.T) {
	routes := []policy.Route{
		{Path: "/role", Roles: []string{"nurse", "doctor"}},
		{Path: "/all", Permissions: []string{"read:charts", "write:charts"}, MFA: true},
		{Path: "/open", Public: true},
		{Path: "/any"},
	}
	numbers := policy.NewNumbering(routes)
	program, err := policy.Compile(3, routes, numbers)
	if err != nil {
		t.Fatal(err)
	}
	const now, lease = 1000, 2000
	type request struct {
		flow       policy.Flow
		tables     tables
		now, lease uint64
	}
	for _, c := range []struct {
		name, path string
		change     func(*request)
		want       policy.Reason
	}{
		{"any-of role", "/role", func(*request) {}, policy.ReasonAllowed},
		{"any token", "/any", func(r *request) { r.tables.subject.Rights = policy.Rights{} }, policy.ReasonAllowed},
		{"unnamed path", "/nowhere", func(*request) {}, policy.ReasonNoRoute},
		{"public without a token", "/open", func(r *request) { r.flow.HasToken, r.lease = false, 0 }, policy.ReasonPublic},
		{"public with a body on GET", "/open", func(r *request) { r.flow.Body = true }, policy.ReasonBody},
		{"upgrade", "/open", func(r *request) { r.flow.Upgrade = true }, policy.ReasonNotImplemented},
		{"no token", "/any", func(r *request) { r.flow.HasToken = false; r.lease = 0 }, policy.ReasonNoToken},
		{"no lease", "/any", func(r *request) { r.lease = 0 }, policy.ReasonLease},
		{"lease over now", "/any", func(r *request) { r.lease = now }, policy.ReasonLease},
		{"unknown token", "/any", func(r *request) { r.flow.Token.H0 = 9 }, policy.ReasonUnknownToken},
		{"other length", "/any", func(r *request) { r.flow.Length++ }, policy.ReasonUnknownToken},
		{"revoked before expired", "/any", func(r *request) { r.tables.token.Revoked, r.tables.token.ExpiresNs = 1, 1 }, policy.ReasonRevoked},
		{"expires now", "/any", func(r *request) { r.tables.token.ExpiresNs = now }, policy.ReasonExpired},
		{"not yet", "/any", func(r *request) { r.tables.token.NotBeforeNs = now + 1 }, policy.ReasonNotYetValid},
		{"subject gone", "/any", func(r *request) { r.tables.token.Subject = policy.Subject{6} }, policy.ReasonInactive},
		{"disabled before organization", "/any", func(r *request) { r.tables.subject = policy.SubjectEntry{Disabled: 1, Org: 4} }, policy.ReasonInactive},
		{"token of another organization", "/any", func(r *request) { r.tables.token.Org = 4 }, policy.ReasonOrganization},
		{"subject of another organization", "/any", func(r *request) { r.tables.subject.Org = 4 }, policy.ReasonOrganization},
		{"no second factor", "/all", func(*request) {}, policy.ReasonMFA},
		{"one of two permissions", "/all", func(r *request) { r.tables.token.MFA = 1 }, policy.ReasonRights},
		{"both permissions", "/all", func(r *request) {
			r.tables.token.MFA = 1
			r.tables.subject.Rights = numbers.With(r.tables.subject.Rights, policy.PermissionName("write:charts"))
		}, policy.ReasonAllowed},
		{"no role", "/role", func(r *request) { r.tables.subject.Rights = policy.Rights{} }, policy.ReasonRights},
		{"the role's bit in another numbering", "/role", func(r *request) { r.tables.subject.Rights.Numbering++ }, policy.ReasonLease},
		{"another numbering where no right is asked for", "/any", func(r *request) { r.tables.subject.Rights.Numbering++ }, policy.ReasonAllowed},
	} {
		rights := numbers.With(numbers.With(policy.Rights{}, policy.RoleName("nurse")), policy.PermissionName("read:charts"))
		r := request{
			flow: policy.Flow{State: walk(program, c.path), HasToken: true, Token: policy.TokenKey{H0: 1, H1: 2}, Length: 10},
			tables: tables{
				policy.TokenEntry{ExpiresNs: 5000, Subject: policy.Subject{5}, Org: 3, Length: 10},
				policy.SubjectEntry{Org: 3, Rights: rights},
			},
			now: now, lease: lease,
		}
		c.change(&r)
		if got := policy.Verdict(program, r.flow, r.tables, r.now, r.lease); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestResponseIsReadableAndShort(t *testing.T) {
	for r := policy.ReasonNoRoute; r <= policy.ReasonInternal; r++ {
		for _, head := range []bool{false, true} {
			raw := policy.Response(r, head)
			if len(raw) > 512 {
				t.Errorf("%v: %d bytes", r, len(raw))
			}
			method := http.MethodGet
			if head {
				method = http.MethodHead
			}
			answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%v: %v", r, err)
			}
			if answer.StatusCode < 400 || !answer.Close || answer.Header.Get("X-Authfi-Verdict") != r.String() {
				t.Errorf("%v: %+v", r, answer)
			}
			if (answer.StatusCode == 401) != (answer.Header.Get("WWW-Authenticate") == "Bearer") {
				t.Errorf("%v: challenge %q", r, answer.Header)
			}
			body, _ := io.ReadAll(answer.Body)
			if head && len(body) > 0 || !head && !json.Valid(body) {
				t.Errorf("%v: body %q", r, body)
			}
		}
	}
}
