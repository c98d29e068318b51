package node_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node/nodetest"
)

// A grant is asked for, everything for it is there, then the state of somebody
// changes at one node, and the token is asked for at another.

// turn is a change between the beginning of a grant and its end, sent to node i.
type turn struct {
	what string
	do   func(s *site, i int, grant directory.GrantType)
}

// principal is whose tokens a grant gives: a person, or a service account.
func (s *site) principal(grant directory.GrantType) string {
	if grant == directory.GrantClientCredentials {
		return s.account
	}
	return s.user
}

func (s *site) client(grant directory.GrantType) (id, secret string) {
	switch grant {
	case directory.GrantClientCredentials:
		return s.robot.ID, s.robot.Secret
	case directory.GrantTokenExchange:
		return s.broker.ID, s.broker.Secret
	}
	return s.web.ID, s.web.Secret
}

func (s *site) clientPath(grant directory.GrantType) string {
	id, _ := s.client(grant)
	return "/organizations/" + s.org + "/clients/" + id
}

var turns = []turn{
	{"nothing", func(*site, int, directory.GrantType) {}},
	{"the principal is deactivated", func(s *site, i int, g directory.GrantType) {
		s.at(i, "POST", "/users/"+s.principal(g)+"/deactivate", nil, "")
	}},
	{"the principal is deactivated and comes back", func(s *site, i int, g directory.GrantType) {
		s.at(i, "POST", "/users/"+s.principal(g)+"/deactivate", nil, "")
		s.at(i, "POST", "/users/"+s.principal(g)+"/activate", nil, "")
	}},
	{"the principal is deleted", func(s *site, i int, g directory.GrantType) {
		s.at(i, "DELETE", "/users/"+s.principal(g), nil, "")
	}},
	{"the person behind it is deactivated", func(s *site, i int, _ directory.GrantType) {
		s.at(i, "POST", "/users/"+s.user+"/deactivate", nil, "")
	}},
	{"the organization is suspended", func(s *site, i int, _ directory.GrantType) {
		s.at(i, "PATCH", "/organizations/"+s.org+"/limits", nil, `{"status":"suspended"}`)
	}},
	{"the sessions end", func(s *site, i int, g directory.GrantType) {
		s.at(i, "DELETE", "/users/"+s.principal(g)+"/sessions", nil, "")
	}},
	{"the client is deleted", func(s *site, i int, g directory.GrantType) {
		s.at(i, "DELETE", s.clientPath(g), nil, "")
	}},
	{"the client may do less", func(s *site, i int, g directory.GrantType) {
		s.at(i, "PATCH", s.clientPath(g), nil, `{"permissions":["read:patients"]}`)
	}},
	{"the client's secret is another", func(s *site, i int, g directory.GrantType) {
		s.at(i, "POST", s.clientPath(g)+"/secret", nil, "")
	}},
}

// The answers of the token endpoint.
const (
	issued  = ""
	grantNo = "invalid_grant"
	client  = "invalid_client"
	account = "unauthorized_client"
	subject = "invalid_request" // RFC 8693 says of a subject token that is not good
)

// outcomes is what each grant answers after each flip, in their order. A grant
// without a row here fails the test, and so does a row without an answer.
var outcomes = map[directory.GrantType][]string{
	// nothing, deactivated, back, deleted, person, suspended, sessions, client gone, less, secret
	directory.GrantAuthorizationCode: {issued, grantNo, grantNo, grantNo, grantNo, client, grantNo, client, grantNo, client},
	directory.GrantRefreshToken:      {issued, grantNo, grantNo, grantNo, grantNo, client, grantNo, client, grantNo, client},
	directory.GrantDevice:            {issued, grantNo, grantNo, grantNo, grantNo, client, grantNo, client, grantNo, client},
	directory.GrantTokenExchange:     {issued, subject, subject, subject, subject, client, subject, client, issued, client},
	directory.GrantClientCredentials: {issued, account, issued, client, account, client, issued, client, issued, client},
}

// lives says after which turns a token that was issued before them still does.
var lives = map[string]bool{"nothing": true, "the client's secret is another": true}

// TestGrantsAndStates is every grant against every change of state, with the change
// at the leader and the token asked of a follower, and the other way round.
func TestGrantsAndStates(t *testing.T) {
	for _, grant := range login.GrantTypes() {
		if len(outcomes[grant]) != len(turns) {
			t.Errorf("the grant %s has %d rows for %d changes of state", grant, len(outcomes[grant]), len(turns))
		}
	}
	if len(outcomes) != len(login.GrantTypes()) {
		t.Errorf("%d grants have rows, and there are %d", len(outcomes), len(login.GrantTypes()))
	}
	if t.Failed() {
		return
	}
	c := nodetest.Start(t, developing)
	leader, follower := 0, 1
	if c.Status(0, 0).Leader != "node-1" {
		leader, follower = 1, 0
		if c.Status(0, 0).Leader != "node-2" {
			leader = 2
		}
	}
	n := 0
	for _, way := range []struct{ flip, redeem int }{{leader, follower}, {follower, leader}} {
		for _, grant := range login.GrantTypes() {
			for i, f := range turns {
				n++
				s := newSite(t, c, fmt.Sprintf("site-%d", n))
				fields, before := s.begin(way.redeem, grant)
				f.do(s, way.flip, grant)
				if got := s.tokens(way.redeem, fields)["error"]; fmt.Sprint(got) != orNil(outcomes[grant][i]) {
					t.Errorf("%s, then %s at node-%d: node-%d says %v, want %q", grant, f.what, way.flip+1, way.redeem+1, got, outcomes[grant][i])
				}
				if before != "" && s.active(way.redeem, before) != lives[f.what] {
					t.Errorf("%s, then %s at node-%d: the earlier token lives at node-%d: %v", grant, f.what, way.flip+1, way.redeem+1, !lives[f.what])
				}
			}
		}
	}
}

func orNil(text string) string {
	if text == "" {
		return fmt.Sprint(nil)
	}
	return text
}

// challenge is that of a verifier by the method S256.
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const pkceVerifier = "a-verifier-of-at-least-forty-three-characters"

// begin does all of a grant but its last step, which the form is for; before is an
// access token that the grant has given already, if any.
func (s *site) begin(i int, grant directory.GrantType) (fields url.Values, before string) {
	s.t.Helper()
	id, secret := s.client(grant)
	fields = url.Values{"grant_type": {string(grant)}, "client_id": {id}, "client_secret": {secret}}
	switch grant {
	case directory.GrantClientCredentials:
		before, _ = s.tokens(i, fields)["access_token"].(string)
		return fields, before
	case directory.GrantDevice:
		_, asked := s.postAs(i, "device_authorization", fields)
		s.allowDevice(i, fmt.Sprint(asked["user_code"]))
		fields.Set("device_code", fmt.Sprint(asked["device_code"]))
		return fields, ""
	case directory.GrantTokenExchange:
		code, _ := s.begin(i, directory.GrantAuthorizationCode)
		token, _ := s.tokens(i, code)["access_token"].(string)
		fields.Set("subject_token", token)
		fields.Set("subject_token_type", "urn:ietf:params:oauth:token-type:access_token")
		before, _ = s.tokens(i, fields)["access_token"].(string)
		return fields, before
	case directory.GrantAuthorizationCode, directory.GrantRefreshToken:
	default:
		s.t.Fatalf("nobody begins the grant %s", grant)
	}
	asked := url.Values{
		"client_id": {id}, "redirect_uri": {backURL}, "response_type": {"code"}, "scope": {"openid"},
		"code_challenge": {challenge(pkceVerifier)}, "code_challenge_method": {"S256"},
	}
	code := s.browse(i, s.issuer()+"/oauth2/authorize?"+asked.Encode()).Get("code")
	redemption := url.Values{
		"grant_type": {string(directory.GrantAuthorizationCode)}, "client_id": {id}, "client_secret": {secret},
		"code": {code}, "redirect_uri": {backURL}, "code_verifier": {pkceVerifier},
	}
	if grant == directory.GrantAuthorizationCode {
		return redemption, ""
	}
	got := s.tokens(i, redemption)
	before, _ = got["access_token"].(string)
	token, _ := got["refresh_token"].(string)
	fields.Set("refresh_token", token)
	return fields, before
}

// post is try that demands an answer.
func (s *site) post(i int, endpoint string, fields url.Values) (status int, said map[string]any) {
	s.t.Helper()
	status, said, err := s.try(i, endpoint, fields)
	if err != nil {
		s.t.Fatalf("%s: %d %v", endpoint, status, err)
	}
	return status, said
}

// try sends a form to an endpoint of the issuer at node i.
func (s *site) try(i int, endpoint string, fields url.Values) (status int, said map[string]any, err error) {
	request, err := http.NewRequest(http.MethodPost, s.c.URL(i)+"/o/"+s.slug+"/oauth2/"+endpoint, strings.NewReader(fields.Encode()))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if endpoint == "introspect" {
		request.Header.Set("Authorization", "Bearer "+s.c.Token())
	}
	res, err := s.c.Transport().RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	err = json.NewDecoder(res.Body).Decode(&said)
	return res.StatusCode, said, err
}

func (s *site) tokens(i int, fields url.Values) map[string]any {
	s.t.Helper()
	_, said := s.post(i, "token", fields)
	return said
}

// active asks for a token that was issued before.
func (s *site) active(i int, token string) bool {
	s.t.Helper()
	status, said := s.post(i, "introspect", url.Values{"token": {token}})
	if status != http.StatusOK {
		s.t.Fatalf("introspection: %d %v", status, said)
	}
	return said["active"] == true
}
