package node_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Class R: what is remembered of one organization, or under two texts that look alike
// when they stand behind one another, must not be found for another.
var keyAttacks = map[string]attack{
	"typed keys with the organization": rememberedForAnother,
	"joined strings":                   func(s *site, _ int) { joinedKeys(s.t) },
}

func TestAttacksOnKeys(t *testing.T) { withstand(t, "R") }

// rememberedForAnother does the same in two organizations, with the same names.
func rememberedForAnother(s *site, i int) {
	other := s.neighbour()
	s.sameIdempotencyKey(i, other)
	s.sameAssertionID(i, other)
	asked := func(s *site) map[string]any {
		_, said := s.postAs(i, "device_authorization", as(url.Values{}, s.web))
		return said
	}
	ours := asked(s)
	poll := as(url.Values{"grant_type": {string(directory.GrantDevice)}, "device_code": {fmt.Sprint(ours["device_code"])}}, other.web)
	other.refused(i, "another organization's device", poll, "invalid_grant")
	form := url.Values{"user_code": {fmt.Sprint(ours["user_code"])}, "decision": {"allow"}, "user_name": {"alice@site.example"}}
	page := s.c.Call(i, http.MethodPost, "/o/"+other.slug+"/oauth2/device", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	if !strings.Contains(string(page.Body), "No device") {
		s.t.Errorf("another organization's user code: %d %s", page.Status, page.Body)
	}
	_, pushed := s.postAs(i, "par", as(url.Values{
		"redirect_uri": {backURL}, "response_type": {"code"}, "code_challenge": {challenge(pkceVerifier)}, "code_challenge_method": {"S256"},
	}, s.web))
	for client, reference := range map[string]any{s.web.ID: pushed["request_uri"], other.web.ID: pushed["request_uri"]} {
		ask := url.Values{"client_id": {client}, "request_uri": {fmt.Sprint(reference)}}
		if answer := s.c.Call(i, http.MethodGet, "/o/"+other.slug+"/oauth2/authorize?"+ask.Encode(), ""); answer.Status != http.StatusBadRequest {
			s.t.Errorf("a request that was pushed to another organization: %d", answer.Status)
		}
	}
	fields, token := s.begin(i, directory.GrantRefreshToken)
	if other.active(i, token) {
		s.t.Error("a token is active at another organization's issuer")
	}
	other.refused(i, "another organization's refresh token", as(fields, other.web), "invalid_grant")
	if answer := s.c.Call(i, http.MethodGet, "/o/"+other.slug+"/oauth2/userinfo", "", "Authorization", "Bearer "+token); answer.Status != http.StatusUnauthorized {
		s.t.Errorf("userinfo at another organization: %d", answer.Status)
	}
	s.given(i, "the refresh token at home", fields)
}

// sameIdempotencyKey: an answer that is remembered is told to nobody else.
func (s *site) sameIdempotencyKey(i int, other *site) {
	s.t.Helper()
	made := map[string]bool{}
	for _, at := range []*site{s, other} {
		var user named
		s.c.Do(i, http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"org_id":%q,"email":"same@site.example"}`, at.org), &user, "Idempotency-Key", "the same")
		made[user.ID] = true
	}
	if len(made) != 2 {
		s.t.Error("one idempotency key in two organizations made one user")
	}
}

// sameAssertionID: the names that two clients give their assertions may be the same, and
// count once for each.
func (s *site) sameAssertionID(i int, other *site) {
	s.t.Helper()
	key, public := newKeyPair(s.t)
	set, err := json.Marshal(map[string]any{"keys": []jwk.Key{public}})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, at := range []*site{s, other} {
		for _, name := range []string{"one", "two"} {
			client := at.newClient("keyed "+name, fmt.Sprintf(`"grant_types":["client_credentials"],"account_id":%q,"keys":%q`, at.account, set))
			fields := url.Values{
				"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion": {signed(s.t, key, nil, map[string]any{
					"iss": client.ID, "sub": client.ID, "aud": at.issuer(), "exp": time.Now().Add(time.Minute), "jti": "the same",
				})},
			}
			at.given(i, "the first of a client", fields)
			at.refused(i, "the second of a client", fields, "invalid_client")
		}
	}
}

// documents are files whose fields are JSON objects, with names that are put together.
var documents = map[string]bool{"api/eventstream/tell.go": true}

// joinedKeys looks in all of our code for something that lasts, so a field or a variable
// of a package, under an index that is several texts put together: two pairs of texts may
// come to the same.
func joinedKeys(t *testing.T) {
	fset := token.NewFileSet()
	looked := 0
	for _, s := range parseTree(t, fset) {
		if s.isTest() || documents[s.path] {
			continue
		}
		looked++
		for _, at := range joined(s.file) {
			t.Errorf("%s: a key that is texts put together; take a struct", fset.Position(at.Pos()))
		}
	}
	if looked == 0 {
		t.Fatal("no Go file found: nothing was looked at")
	}
	for text, want := range map[string]int{
		`c.m[org+" "+name] = 1`: 1, `_ = c.m[fmt.Sprintf("%s/%s", org, name)]`: 1, `c.m[strings.Join(list, ",")]++`: 1, `delete(c.m, org.String()+name)`: 1,
		`c.m[key{org, name}] = 1`: 0, `_ = c.list[n+1]`: 0, `_ = c.m[org.String()]`: 0, `m[verb+":"+noun] = 1`: 0,
	} {
		file, err := parser.ParseFile(fset, "", "package p\nfunc f() { "+text+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(joined(file)); got != want {
			t.Errorf("%s: %d found, want %d", text, got, want)
		}
	}
}

// joined are the indexes of what lasts that are texts put together.
func joined(file *ast.File) (found []ast.Expr) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IndexExpr:
			if lasts(n.X) && putTogether(n.Index) {
				found = append(found, n.Index)
			}
		case *ast.CallExpr:
			if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "delete" && lasts(n.Args[0]) && putTogether(n.Args[1]) {
				found = append(found, n.Args[1])
			}
		}
		return true
	})
	return found
}

func lasts(e ast.Expr) bool {
	_, ok := e.(*ast.SelectorExpr)
	return ok
}

func putTogether(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return e.Op == token.ADD && (textual(e.X) || textual(e.Y) || putTogether(e.X) || putTogether(e.Y))
	case *ast.CallExpr:
		call, ok := e.Fun.(*ast.SelectorExpr)
		return ok && (strings.HasPrefix(call.Sel.Name, "Sprint") || call.Sel.Name == "Join")
	}
	return false
}

func textual(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.CallExpr:
		call, ok := e.Fun.(*ast.SelectorExpr)
		return ok && call.Sel.Name == "String"
	}
	return false
}
