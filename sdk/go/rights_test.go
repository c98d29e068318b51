package authfi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/authfi/authfi/sdk/conformance"
)

// referredToken is a good one now that leaves out its permissions.
func (i *issuer) referredToken() string {
	return i.tokenWith(map[string]any{
		"permissions": []string{}, "permissions_ref": conformance.Issuer + pathPermissions, "jti": fmt.Sprint("referred-", i.asked),
	})
}

// TestByReference: what a token leaves out a node is asked once, and again when the
// feed says that it has changed.
func TestByReference(t *testing.T) {
	i := newIssuer(t)
	a, token := i.follow(), i.referredToken()
	for _, method := range []string{"GET", "POST", "GET"} {
		if w := i.request(a, method, token); w.Code != 200 || w.Body.String() != "true false false" {
			t.Fatalf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	if i.set(func() { i.held, i.told = []string{"write:notes"}, 100 }); i.asked != 1 {
		t.Errorf("asked %d times", i.asked)
	}
	i.messages <- `{"type":"role.updated","index":100,"ordinal":0,"user_ids":["` + conformance.User + `"]}`
	until(t, "the permission is missing", func() bool {
		w := i.request(a, "GET", token)
		return w.Code == 403 && strings.Contains(w.Body.String(), `"missing":["read:patients"]`)
	})
	if i.set(func() {}); i.asked != 2 {
		t.Errorf("asked %d times", i.asked)
	}
}

// TestByReferenceWithoutAnAnswer: what is not told is not held, and the refusal says
// that it was not told.
func TestByReferenceWithoutAnAnswer(t *testing.T) {
	i := newIssuer(t)
	a := i.follow()
	for _, row := range []struct {
		what   string
		spoil  func()
		status int
		code   Code
	}{
		{"a node without a quorum", func() { i.vouched = 503 }, 503, PermissionsUnavailable},
		{"a node that forbids it", func() { i.vouched = 403 }, 503, PermissionsUnavailable},
		{"a node that is behind the feed", func() { i.vouched, i.told = 200, 1 }, 503, PermissionsUnavailable},
		{"a session that has ended", func() { i.vouched = 401 }, 401, TokenRevoked},
	} {
		i.set(row.spoil)
		token := i.referredToken()
		for _, method := range []string{"GET", "POST"} {
			if w := i.request(a, method, token); w.Code != row.status || !strings.Contains(w.Body.String(), string(row.code)) {
				t.Errorf("%s, %s: %d %s", row.what, method, w.Code, w.Body)
			}
		}
	}
	i.set(func() { i.vouched, i.told = 200, 99 })
	if w := i.request(a, "GET", i.referredToken()); w.Code != 200 {
		t.Errorf("a node that answers: %d %s", w.Code, w.Body)
	}
}

// TestByReferenceOffline: nobody is asked, so nothing is held.
func TestByReferenceOffline(t *testing.T) {
	i := newIssuer(t)
	c := i.config()
	c.Posture, c.APIKey = Offline, ""
	a, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	w := i.request(a, "GET", i.referredToken())
	if i.set(func() {}); w.Code != 503 || !strings.Contains(w.Body.String(), string(PermissionsUnavailable)) || i.asked != 0 {
		t.Errorf("%d %s, asked %d times", w.Code, w.Body, i.asked)
	}
	if w := i.request(a, "GET", i.token(i.keys[0], "permissions", map[string]string{"patients": "read"})); w.Code != 200 {
		t.Errorf("a token that holds them: %d %s", w.Code, w.Body)
	}
}

// TestByReferenceWatched: a call that was let in by rights that are others now ends; one
// whose rights are the same after a change goes on.
func TestByReferenceWatched(t *testing.T) {
	i := newIssuer(t)
	a, token := i.follow(), i.referredToken()
	ctx, leave, err := a.Enter(t.Context(), Call{Authorization: []string{"Bearer " + token}, Permissions: []string{"read:patients"}})
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	change := func(index int) {
		i.messages <- fmt.Sprintf(`{"type":"role.updated","index":%d,"ordinal":0,"user_ids":[%q]}`, index, conformance.User)
	}
	i.set(func() { i.told = 100 })
	change(100)
	until(t, "a node is asked again", func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.asked == 2
	})
	if u, ok := UserFrom(ctx); !ok || !u.Can("read:patients") || ctx.Err() != nil {
		t.Errorf("with the same rights: %v", ctx.Err())
	}
	i.set(func() { i.held, i.told = []string{"write:notes"}, 101 })
	change(101)
	if code := causeOf(t, ctx); code != TokenStale {
		t.Errorf("with others: %s", code)
	}
}

// TestClientsTokensFromBefore: a client's token is vouched for, too.
func TestClientsTokensFromBefore(t *testing.T) {
	i := newIssuer(t)
	a := i.follow()
	token := i.tokenWith(map[string]any{"ri": 1, "client_id": "cli-1", "scope": "read:patients", "roles": []string{}, "groups": []string{}})
	if w := i.request(a, "POST", token); w.Code != 200 || i.asked != 1 {
		t.Errorf("%d %s, asked %d times", w.Code, w.Body, i.asked)
	}
}
