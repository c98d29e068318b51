package node_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

// Class Q: names and values that people choose, and what they become in a token.
var claimAttacks = map[string]attack{
	"claim names": namedLikeClaims,
	"allow-list":  claimsAllowed,
}

func TestAttacksOnClaims(t *testing.T) { withstand(t, "Q") }

// allowedClaims are all that a client's tokens and answers about them have at the top.
var allowedClaims = map[string][]string{
	"access":     {"amr", "aud", "client_id", "exp", "groups", "iat", "iss", "jti", "org_id", "permissions", "ri", "roles", "scope", "sid", "sub"},
	"id":         {"amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "org_id", "sid", "sub"},
	"userinfo":   {"email", "email_verified", "family_name", "given_name", "name", "preferred_username", "sub", "updated_at"},
	"introspect": {"active", "amr", "aud", "client_id", "exp", "groups", "iat", "iss", "jti", "org_id", "permissions", "ri", "roles", "scope", "sid", "sub", "token_type", "username"},
}

// hostileNames break out of a JSON text, overload what a verifier reads, or mean
// something to a library that reads it; and some are of chance.
func hostileNames() []string {
	names := []string{
		`x":0,"admin":true,"y`, `"],"permissions":["*:*"],"x":["`, `sub`, `iss`, `aud`, `exp`, `org_id`, `roles`, `permissions`, `permissions_ref`,
		`scope`, `amr`, `cnf`, `act`, `email_verified`, `__proto__`, `constructor`, `urn:zitadel:iam:org:project:roles`, "a\u2028b", `\u0022`, `</script>`,
	}
	const letters = `abc",{}[]\/ _.-` // without a colon: a word of the scope with one in it is a permission
	for range 12 {
		name := "n"
		for range 12 {
			name += string(letters[rand.IntN(len(letters))])
		}
		names = append(names, name+"n")
	}
	return names
}

// overload puts the names wherever people may put some: roles, groups, attributes and the
// user's own names. It gives back the roles.
func (s *site) overload(i int, names []string) {
	s.t.Helper()
	attributes := map[string]any{}
	for n, name := range names {
		attributes[name] = "*:*"
		quoted, err := json.Marshal(name)
		if err != nil {
			s.t.Fatal(err)
		}
		var made named
		s.at(i, http.MethodPost, "/roles", &made, `{"org_id":%q,"name":%s,"permissions":["read:n%d"]}`, s.org, quoted, n)
		s.at(i, http.MethodPost, "/users/"+s.user+"/roles", nil, `{"role_id":%q}`, made.ID)
		s.at(i, http.MethodPost, "/groups", &made, `{"org_id":%q,"name":%s}`, s.org, quoted)
		s.at(i, http.MethodPost, "/groups/"+made.ID+"/members", nil, `{"user_ids":[%q]}`, s.user)
	}
	body, err := json.Marshal(map[string]any{
		"attributes": attributes, "display_name": names[0], "given_name": names[1], "family_name": names[len(names)-1],
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.at(i, http.MethodPatch, "/users/"+s.user, nil, "%s", body)
}

// looks are the claims of all that a sign-in gives, by what they are in.
func (s *site) looks(i int, nonce, scope string) map[string]map[string]any {
	s.t.Helper()
	code := s.browse(i, s.issuer()+"/oauth2/authorize?"+url.Values{
		"client_id": {s.web.ID}, "redirect_uri": {backURL}, "response_type": {"code"}, "scope": {scope}, "nonce": {nonce},
		"code_challenge": {challenge(pkceVerifier)}, "code_challenge_method": {"S256"},
	}.Encode()).Get("code")
	said := s.given(i, "the code", as(url.Values{
		"grant_type": {string(directory.GrantAuthorizationCode)}, "code": {code}, "redirect_uri": {backURL}, "code_verifier": {pkceVerifier},
	}, s.web))
	access, _ := said["access_token"].(string)
	id, _ := said["id_token"].(string)
	looks := map[string]map[string]any{"access": s.claims(access), "id": s.claims(id)}
	_, looks["introspect"] = s.post(i, "introspect", url.Values{"token": {access}})
	var info map[string]any
	answer := s.c.Call(i, http.MethodGet, "/o/"+s.slug+"/oauth2/userinfo", "", "Authorization", "Bearer "+access)
	if err := json.Unmarshal(answer.Body, &info); err != nil {
		s.t.Fatalf("userinfo: %d %s", answer.Status, answer.Body)
	}
	looks["userinfo"] = info
	return looks
}

// claims reads a token as a library does that takes the last of two equal names, and
// demands that there are no two.
func (s *site) claims(token string) (claims map[string]any) {
	s.t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		s.t.Fatalf("no token: %q", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		s.t.Fatal(err)
	}
	for name := range claims {
		if quoted, _ := json.Marshal(name); strings.Count(string(text), string(quoted)+":") != 1 {
			s.t.Errorf("the claim %s is there more than once: %s", quoted, text)
		}
	}
	return claims
}

func namedLikeClaims(s *site, i int) {
	names := hostileNames()
	s.overload(i, names)
	all := s.newClient("everything", fmt.Sprintf(`"grant_types":["client_credentials"],"account_id":%q`, s.account))
	s.at(i, http.MethodPatch, "/organizations/"+s.org+"/clients/"+s.web.ID, nil, `{"permissions":[],"all_permissions":true}`)
	for n, nonce := range names {
		if n%8 != 0 { // each sign-in asks six times
			continue
		}
		looks := s.looks(i, nonce, "openid profile email "+nonce)
		for what, claims := range looks {
			for name := range claims {
				if plain := strings.TrimSuffix(name, "_ref"); !slices.Contains(allowedClaims[what], name) && !slices.Contains([]string{"permissions", "roles", "groups"}, plain) {
					s.t.Errorf("%s has the claim %q", what, name)
				}
			}
			if claims["sub"] != s.user {
				s.t.Errorf("%s is of %v", what, claims["sub"])
			}
		}
		if looks["id"]["nonce"] != nonce {
			s.t.Errorf("the nonce %q became %q", nonce, looks["id"]["nonce"])
		}
		if info := looks["userinfo"]; info["name"] != names[0] || info["given_name"] != names[1] || info["email_verified"] != false {
			s.t.Errorf("userinfo %v", info)
		}
		roles, _ := looks["introspect"]["roles"].([]any)
		for _, name := range names {
			if !slices.Contains(roles, any(name)) {
				s.t.Errorf("the role %q is not told as it is named", name)
			}
		}
	}
	machine := s.claims(fmt.Sprint(s.given(i, "the robot", as(url.Values{"grant_type": {"client_credentials"}, "scope": {"read:patients sub iss exp permissions roles"}}, all))["access_token"]))
	if machine["sub"] != s.account || fmt.Sprint(machine["permissions"]) != "[read:patients]" || machine["scope"] != "read:patients" {
		s.t.Errorf("words that name claims in a scope: %v", machine)
	}
}

// claimsAllowed: exactly these, each time.
func claimsAllowed(s *site, i int) {
	s.at(i, http.MethodPatch, "/users/"+s.user, nil, `{"given_name":"Alice","family_name":"Ng","attributes":{"sub":"usr-0","admin":true}}`)
	for what, claims := range s.looks(i, "a nonce", "openid profile email read:patients") {
		names := []string{}
		for name := range claims {
			names = append(names, name)
		}
		if slices.Sort(names); !slices.Equal(names, allowedClaims[what]) {
			s.t.Errorf("%s has the claims %q, not %q", what, names, allowedClaims[what])
		}
	}
}
