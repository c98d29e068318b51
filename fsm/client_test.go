package fsm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

const webRedirect = "https://app.example/back"

// webClient is a confidential client of people.
func webClient(n int) directory.Client {
	return directory.Client{
		ID: id[directory.ClientID](n), Name: "app", Secret: [32]byte{1}, Redirects: []string{webRedirect},
		Grants:      []directory.GrantType{directory.GrantAuthorizationCode, directory.GrantRefreshToken},
		Permissions: []directory.Permission{seePatients, "write:*"},
	}
}

// robotClient is a client that acts as a service account.
func robotClient(n int, account directory.UserID) directory.Client {
	return directory.Client{
		ID: id[directory.ClientID](n), Name: "robot", Secret: [32]byte{2}, Account: account, Unbounded: true,
		Grants: []directory.GrantType{directory.GrantClientCredentials},
	}
}

var asNode = directory.Actor{Kind: directory.ActorNode}

// newClients is user 1, the service account 2 of user 1, a client of people and one
// of the service account.
func newClients(t *testing.T) *ward {
	w := newSignIns(t)
	account := user(2)
	account.Service, account.Owner = true, userID(1)
	w.must(&fsm.CreateUser{User: account})
	w.must(&fsm.CreateClient{Client: webClient(0)})
	w.must(&fsm.CreateClient{Client: robotClient(1, userID(2))})
	return w
}

// authorize signs user 1 in for client 0; the code, its challenge and the session
// have the same number.
func authorize(w *ward, n int) *fsm.StartSession {
	return &fsm.StartSession{
		ID: id[directory.SessionID](n), User: userID(1), Methods: []string{"mfa"}, Client: id[directory.ClientID](0),
		Bounded: true, Permissions: []directory.Permission{seePatients},
		Code: &directory.Code{
			Hash: [32]byte{byte(n)}, Redirect: webRedirect, Challenge: [32]byte{byte(n)}, Nonce: "nonce",
			Expires: w.now.Add(directory.CodeLife),
		},
	}
}

func redeem(n int) *fsm.RedeemCode {
	return &fsm.RedeemCode{
		ID: id[directory.SessionID](n), Presented: [32]byte{byte(n)}, Client: id[directory.ClientID](0), Redirect: webRedirect,
		Verifier: [32]byte{byte(n)}, Refresh: [32]byte{byte(n)}, Token: directory.AccessToken{Key: [16]byte{byte(n)}, Expires: 1 << 50},
	}
}

// credentials is a session of client 1.
func credentials(n int) *fsm.StartSession {
	return &fsm.StartSession{
		ID: id[directory.SessionID](n), User: userID(2), Client: id[directory.ClientID](1),
		Token: directory.AccessToken{Key: [16]byte{byte(n)}, Expires: 1 << 50},
	}
}

func (w *ward) asNode(c fsm.Command) error {
	return w.send(&fsm.Envelope{Actor: asNode, Command: c})[0].Err
}

func (w *ward) mustAsNode(c fsm.Command) {
	w.t.Helper()
	if err := w.asNode(c); err != nil {
		w.t.Fatalf("%T: %v", c, err)
	}
}

// TestCodeIsGoodOnce: the second time ends the session and what it has.
func TestCodeIsGoodOnce(t *testing.T) {
	w := newClients(t)
	w.mustAsNode(authorize(w, 3))
	w.mustAsNode(redeem(3))
	s, _ := w.view().Session(id[directory.SessionID](3))
	if len(s.Tokens) != 1 || s.Code.Used == 0 || s.Code.Redirect != "" || s.Code.Nonce != "" || s.Single || !s.Live(w.now.Add(time.Hour), directory.SignIn{}) {
		t.Errorf("after the code was redeemed: %+v", s)
	}
	w.pass(directory.CodeLife) // a late thief is one, too
	w.mustAsNode(redeem(3))
	if why := w.ended(3); why != "code was used again" {
		t.Errorf("the session of a code that was used twice: %q", why)
	}
	if err := w.asNode(redeem(3)); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("the third time: %v", err)
	}
}

// TestCodeIsBound: with one thing changed it buys nothing, and it is not spent.
func TestCodeIsBound(t *testing.T) {
	for what, change := range map[string]func(*fsm.RedeemCode){
		"another session":      func(c *fsm.RedeemCode) { c.ID = id[directory.SessionID](4) },
		"another code":         func(c *fsm.RedeemCode) { c.Presented[31]++ },
		"another client":       func(c *fsm.RedeemCode) { c.Client = id[directory.ClientID](1) },
		"no client":            func(c *fsm.RedeemCode) { c.Client = directory.ClientID{} },
		"another redirect URI": func(c *fsm.RedeemCode) { c.Redirect += "/" },
		"another verifier":     func(c *fsm.RedeemCode) { c.Verifier[31]++ },
		"no verifier":          func(c *fsm.RedeemCode) { c.Verifier = [32]byte{} },
	} {
		w := newClients(t)
		w.mustAsNode(authorize(w, 3))
		w.must(&fsm.StartSession{ID: id[directory.SessionID](4), User: userID(1), Refresh: [32]byte{4}})
		c := redeem(3)
		change(c)
		if err := w.asNode(c); directory.KindOf(err) != directory.KindUnauthenticated {
			t.Errorf("%s: %v", what, err)
		}
		w.mustAsNode(redeem(3))
	}
}

// TestCodeDies with what it stands on.
func TestCodeDies(t *testing.T) {
	for what, change := range map[string]func(*ward){
		"its minute":          func(w *ward) { w.pass(directory.CodeLife) },
		"its client":          func(w *ward) { w.must(&fsm.DeleteClient{ID: id[directory.ClientID](0)}) },
		"its user's activity": func(w *ward) { w.must(&fsm.SetUserActive{User: userID(1)}) },
		"its user":            func(w *ward) { w.must(&fsm.DeleteUser{User: userID(1)}) },
		"its session":         func(w *ward) { w.must(&fsm.EndSession{ID: id[directory.SessionID](3)}) },
		"its organization":    func(w *ward) { w.must(&fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended}) },
		"a permission of it": func(w *ward) {
			w.must(&fsm.UpdateClient{ID: id[directory.ClientID](0), Permissions: &[]directory.Permission{}})
		},
		"its registered redirect": func(w *ward) {
			w.must(&fsm.UpdateClient{ID: id[directory.ClientID](0), Redirects: &[]string{"https://other.example/"}})
		},
		"a user who comes back": func(w *ward) {
			w.must(&fsm.SetUserActive{User: userID(1)})
			w.must(&fsm.SetUserActive{User: userID(1), Active: true})
		},
		"the client's refresh grant": func(w *ward) {
			w.must(&fsm.UpdateClient{ID: id[directory.ClientID](0), Grants: &[]directory.GrantType{directory.GrantAuthorizationCode}})
		},
	} {
		w := newClients(t)
		w.mustAsNode(authorize(w, 3))
		change(w)
		if err := w.asNode(redeem(3)); directory.KindOf(err) != directory.KindUnauthenticated {
			t.Errorf("after %s: %v", what, err)
		}
	}
	w := newClients(t)
	w.mustAsNode(authorize(w, 3))
	w.pass(directory.CodeLife - time.Millisecond)
	w.mustAsNode(redeem(3))
}

// TestRefreshTokenDiesWithTheClientsGrant.
func TestRefreshTokenDiesWithTheClientsGrant(t *testing.T) {
	w := newClients(t)
	w.mustAsNode(authorize(w, 3))
	if err := w.refresh(0); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("a refresh of a session whose code nobody has redeemed: %v", err)
	}
	w.mustAsNode(redeem(3))
	if err := w.refresh(3); err != nil {
		t.Fatal(err)
	}
	w.must(&fsm.UpdateClient{ID: id[directory.ClientID](0), Grants: &[]directory.GrantType{directory.GrantAuthorizationCode}})
	if err := w.refresh(3); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("a refresh for a client that may not any more: %v", err)
	}
}

// TestSessionWithoutRefreshTokenEndsWithItsAccessToken.
func TestSessionWithoutRefreshTokenEndsWithItsAccessToken(t *testing.T) {
	w := newClients(t)
	w.mustAsNode(authorize(w, 3))
	c := redeem(3)
	c.Refresh = [32]byte{}
	w.mustAsNode(c)
	w.mustAsNode(credentials(4))
	for _, n := range []int{3, 4} {
		s, _ := w.view().Session(id[directory.SessionID](n))
		if s.Expires(directory.SignIn{}) != w.now.Add(directory.AccessTokenLife) {
			t.Errorf("session %d: %+v", n, s)
		}
	}
}

// TestSessionsForClientsAreAskedFor: what a node says that it has verified must be
// what the client may have.
func TestSessionsForClientsAreAskedFor(t *testing.T) {
	for what, change := range map[string]func(*ward, *fsm.StartSession){
		"an unknown client":          func(_ *ward, c *fsm.StartSession) { c.Client = id[directory.ClientID](9) },
		"no client":                  func(_ *ward, c *fsm.StartSession) { c.Client = directory.ClientID{} },
		"no code":                    func(_ *ward, c *fsm.StartSession) { c.Code = nil },
		"a client without codes":     func(_ *ward, c *fsm.StartSession) { c.Client = id[directory.ClientID](1) },
		"everything":                 func(_ *ward, c *fsm.StartSession) { c.Bounded, c.Permissions = false, nil },
		"one permission more":        func(_ *ward, c *fsm.StartSession) { c.Permissions = append(c.Permissions, "delete:patients") },
		"a service account":          func(_ *ward, c *fsm.StartSession) { c.User = userID(2) },
		"another redirect URI":       func(_ *ward, c *fsm.StartSession) { c.Code.Redirect += "x" },
		"a code that is used":        func(_ *ward, c *fsm.StartSession) { c.Code.Used = 1 },
		"a code that nobody sent":    func(_ *ward, c *fsm.StartSession) { c.Code.Hash = [32]byte{} },
		"a code that is over":        func(w *ward, c *fsm.StartSession) { c.Code.Expires = w.now },
		"a code that lives long":     func(_ *ward, c *fsm.StartSession) { c.Code.Expires++ },
		"a refresh token beforehand": func(_ *ward, c *fsm.StartSession) { c.Refresh = [32]byte{1} },
		"a successor beforehand":     func(_ *ward, c *fsm.StartSession) { c.Successor = []byte{1} },
		"a long nonce":               func(_ *ward, c *fsm.StartSession) { c.Code.Nonce = strings.Repeat("n", directory.NonceMax+1) },
		"a user who is deactivated":  func(w *ward, _ *fsm.StartSession) { w.must(&fsm.SetUserActive{User: userID(1)}) },
		"a suspended organization": func(w *ward, _ *fsm.StartSession) {
			w.must(&fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
		},
		"one factor where two are due": func(w *ward, c *fsm.StartSession) {
			w.settle(directory.SignIn{MFA: true})
			c.Methods = []string{"user"}
		},
	} {
		w := newClients(t)
		c := authorize(w, 3)
		c.Code.Nonce = strings.Repeat("n", directory.NonceMax)
		change(w, c)
		if err := w.asNode(c); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	w := newClients(t)
	for what, c := range map[string]*fsm.StartSession{"a sign-in": authorize(w, 3), "client credentials": credentials(4)} {
		if err := w.try(c); directory.KindOf(err) != directory.KindDenied {
			t.Errorf("%s by an operator: %v", what, err)
		}
		w.mustAsNode(c)
	}
	w.settle(directory.SignIn{MFA: true})
	w.mustAsNode(credentials(5)) // a service account has no second factor to show
}

// TestClientCredentialsAreOfTheAccount alone, and end with it.
func TestClientCredentialsAreOfTheAccount(t *testing.T) {
	for what, change := range map[string]func(*ward, *fsm.StartSession){
		"a person":               func(_ *ward, c *fsm.StartSession) { c.User = userID(1) },
		"a refresh token":        func(_ *ward, c *fsm.StartSession) { c.Refresh = [32]byte{1} },
		"a client of people":     func(_ *ward, c *fsm.StartSession) { c.Client, c.Bounded = id[directory.ClientID](0), true },
		"a deactivated owner":    func(w *ward, _ *fsm.StartSession) { w.must(&fsm.SetUserActive{User: userID(1)}) },
		"a deleted client":       func(w *ward, _ *fsm.StartSession) { w.must(&fsm.DeleteClient{ID: id[directory.ClientID](1)}) },
		"a deleted account":      func(w *ward, _ *fsm.StartSession) { w.must(&fsm.DeleteUser{User: userID(2)}) },
		"an account that is off": func(w *ward, _ *fsm.StartSession) { w.must(&fsm.SetUserActive{User: userID(2)}) },
	} {
		w := newClients(t)
		w.mustAsNode(credentials(3))
		c := credentials(4)
		change(w, c)
		if err := w.asNode(c); err == nil {
			t.Errorf("%s: taken", what)
		}
		if s, ok := w.view().Session(id[directory.SessionID](3)); strings.HasPrefix(what, "a de") && ok && s.Ended == 0 {
			t.Errorf("%s: the earlier session lives", what)
		}
	}
	w := newClients(t)
	w.must(&fsm.DeleteUser{User: userID(2)})
	if _, ok := w.view().Client(id[directory.ClientID](1)); ok {
		t.Error("the client outlives its service account")
	}
}

// standing is a session of client 1 in which tokens are minted without an entry.
func standing(n int) *fsm.StartSession {
	c := credentials(n)
	c.Token, c.Standing = directory.AccessToken{}, true
	return c
}

// TestStandingSession: it lives for an hour and no longer, nobody refreshes it, and it
// ends with all that client credentials end with.
func TestStandingSession(t *testing.T) {
	for what, change := range map[string]func(*fsm.StartSession){
		"a token":                  func(c *fsm.StartSession) { c.Token = credentials(3).Token },
		"an end of its own":        func(c *fsm.StartSession) { c.Until = 1 << 50 },
		"a key":                    func(c *fsm.StartSession) { c.Key = [32]byte{1} },
		"an origin":                func(c *fsm.StartSession) { c.Origin = id[directory.SessionID](4) },
		"a refresh token":          func(c *fsm.StartSession) { c.Refresh = [32]byte{1} },
		"a code":                   func(c *fsm.StartSession) { c.Code = &directory.Code{Hash: [32]byte{1}} },
		"no client":                func(c *fsm.StartSession) { c.Client = directory.ClientID{} },
		"a client without a robot": func(c *fsm.StartSession) { c.Client, c.Bounded = id[directory.ClientID](0), true },
	} {
		w := newClients(t)
		c := standing(3)
		change(c)
		if err := w.asNode(c); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	for what, command := range map[string]fsm.Command{
		"the account is deactivated": &fsm.SetUserActive{User: userID(2)},
		"its owner is deactivated":   &fsm.SetUserActive{User: userID(1)},
		"the account is deleted":     &fsm.DeleteUser{User: userID(2)},
		"the client is deleted":      &fsm.DeleteClient{ID: id[directory.ClientID](1)},
		"the sessions are ended":     &fsm.EndUserSessions{User: userID(2)},
		"everybody's are":            &fsm.EndOrganizationSessions{},
	} {
		w := newClients(t)
		w.mustAsNode(standing(3))
		s, ok := w.view().Session(id[directory.SessionID](3))
		if !ok || !s.Standing() || len(s.Tokens) > 0 || !s.Live(w.now.Add(directory.ClientSessionLife)-1, directory.SignIn{}) || s.Live(w.now.Add(directory.ClientSessionLife), directory.SignIn{}) {
			t.Fatalf("%+v", s)
		}
		if err := w.asNode(&fsm.RefreshSession{ID: s.ID}); directory.KindOf(err) != directory.KindUnauthenticated {
			t.Errorf("a refresh: %v", err)
		}
		w.must(command)
		if s, ok := w.view().Session(s.ID); ok && s.Ended == 0 {
			t.Errorf("%s: the session lives", what)
		}
	}
	w := newClients(t)
	w.mustAsNode(credentials(4))
	if s, _ := w.view().Session(id[directory.SessionID](4)); s.Standing() || !s.Single {
		t.Errorf("one with a token of its own: %+v", s)
	}
}

// TestClientThatMayDoLessLosesItsSessions, and one that may do more keeps them.
func TestClientThatMayDoLessLosesItsSessions(t *testing.T) {
	more, less, name := []directory.Permission{seePatients, "write:*", "read:x"}, []directory.Permission{"write:*"}, "renamed"
	for what, row := range map[string]struct {
		command fsm.UpdateClient
		ends    bool
	}{
		"another name":     {fsm.UpdateClient{Name: &name}, false},
		"more permissions": {fsm.UpdateClient{Permissions: &more}, false},
		"fewer":            {fsm.UpdateClient{Permissions: &less}, true},
	} {
		w := newClients(t)
		w.mustAsNode(authorize(w, 3))
		w.mustAsNode(redeem(3))
		row.command.ID = id[directory.ClientID](0)
		w.must(&row.command)
		if ended := w.ended(3) != ""; ended != row.ends {
			t.Errorf("%s: ended %v", what, ended)
		}
	}
}

// TestClientCheck: each differs from a good client in one thing.
func TestClientCheck(t *testing.T) {
	redirects := func(uris ...string) func(*directory.Client) {
		return func(c *directory.Client) { c.Redirects = uris }
	}
	many := make([]string, directory.RedirectsPerClientMax)
	for i := range many {
		many[i] = fmt.Sprintf("https://app.example/%d", i)
	}
	for what, row := range map[string]struct {
		change func(*directory.Client)
		good   bool
	}{
		"as it is":             {func(*directory.Client) {}, true},
		"public":               {func(c *directory.Client) { c.Public, c.Secret = true, [32]byte{} }, true},
		"with keys":            {func(c *directory.Client) { c.Secret, c.Keys = [32]byte{}, make([]byte, directory.ClientKeysMax) }, true},
		"keys too long":        {func(c *directory.Client) { c.Secret, c.Keys = [32]byte{}, make([]byte, directory.ClientKeysMax+1) }, false},
		"public with a secret": {func(c *directory.Client) { c.Public = true }, false},
		"secret and keys":      {func(c *directory.Client) { c.Keys = []byte{1} }, false},
		"neither":              {func(c *directory.Client) { c.Secret = [32]byte{} }, false},
		"no name":              {func(c *directory.Client) { c.Name = " " }, false},
		"no id":                {func(c *directory.Client) { c.ID = directory.ClientID{} }, false},
		"no grant":             {func(c *directory.Client) { c.Grants = nil }, false},
		"the password grant":   {func(c *directory.Client) { c.Grants = append(c.Grants, "password") }, false},
		"refresh alone":        {func(c *directory.Client) { c.Grants, c.Redirects = c.Grants[1:], nil }, false},
		"account of nothing":   {func(c *directory.Client) { c.Account = userID(2) }, false},
		"everything and some":  {func(c *directory.Client) { c.Unbounded = true }, false},
		"most permissions":     {func(c *directory.Client) { c.Permissions = manyPermissions(directory.PermissionsPerClientMax) }, true},
		"too many permissions": {func(c *directory.Client) { c.Permissions = manyPermissions(directory.PermissionsPerClientMax + 1) }, false},
		"no permission's name": {func(c *directory.Client) { c.Permissions = []directory.Permission{"all"} }, false},
		"most redirect URIs":   {redirects(many...), true},
		"too many":             {redirects(append(many, "https://app.example/")...), false},
		"none":                 {redirects(), false},
		"loopback":             {redirects("http://127.0.0.1/back", "http://[::1]:99/back", "http://localhost:3000/"), true},
		"a native scheme":      {redirects("com.example.app:/back"), true},
		"a scheme of one word": {redirects("myapp:/back"), false},
		"http":                 {redirects("http://app.example/back"), false},
		"script":               {redirects("javascript:alert(1)"), false},
		"a fragment":           {redirects(webRedirect + "#x"), false},
		"an empty fragment":    {redirects(webRedirect + "#"), false},
		"a user":               {redirects("https://app.example@evil.example/"), false},
		"a wildcard":           {redirects("https://*.example/"), false},
		"a backslash":          {redirects(`https://app.example\@evil.example/`), false},
		"no host":              {redirects("https:///back"), false},
		"no URI":               {redirects("back"), false},
	} {
		w := newSignIns(t)
		c := webClient(0)
		row.change(&c)
		if err := w.try(&fsm.CreateClient{Client: c}); (err == nil) != row.good {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAllowsRedirect compares byte by byte but for the port of a loopback address.
func TestAllowsRedirect(t *testing.T) {
	c := directory.Client{Redirects: []string{webRedirect, "http://127.0.0.1/back", "http://[::1]:7000/back?x=1", "http://localhost:3000/back"}}
	for uri, want := range map[string]bool{
		webRedirect: true, webRedirect + "/": false, webRedirect + "?x": false, strings.ToUpper(webRedirect): false,
		"https://app.example:443/back": false, "https://app.example/Back": false, "https://app.example@evil.example/back": false,
		"http://127.0.0.1/back": true, "http://127.0.0.1:51004/back": true, "http://127.0.0.1:51004/back/": false,
		"http://127.0.0.1:51004/back#x": false, "http://u@127.0.0.1:51004/back": false, "http://127.0.0.1@evil.example/back": false,
		"https://127.0.0.1:51004/back": false, "http://127.0.0.2:51004/back": false, "http://127.0.0.1:51004.evil.example/back": false,
		"http://[::1]:8000/back?x=1": true, "http://[::1]:8000/back": false, "http://localhost:3000/back": true,
		"http://localhost:3001/back": false, "": false, "http://127.0.0.1:1/back\n": false,
	} {
		if c.AllowsRedirect(uri) != want {
			t.Errorf("%q: %v", uri, !want)
		}
	}
}

// TestSessionsOfAServiceAccount: as many as its clients may open.
func TestSessionsOfAServiceAccount(t *testing.T) {
	w := newClients(t)
	var envs []*fsm.Envelope
	for n := range directory.ClientSessionsMax + 1 {
		envs = append(envs, &fsm.Envelope{Actor: asNode, Command: credentials(n)})
	}
	for n, r := range w.send(envs...) {
		if n < directory.ClientSessionsMax && r.Err != nil {
			t.Fatalf("session %d: %v", n, r.Err)
		}
		if n == directory.ClientSessionsMax && directory.KindOf(r.Err) != directory.KindExhausted {
			t.Errorf("one past the limit: %v", r.Err)
		}
	}
	w.pass(directory.AccessTokenLife)
	w.mustAsNode(credentials(directory.ClientSessionsMax))
}
