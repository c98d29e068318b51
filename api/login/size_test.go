package login_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// rightsIn reads what a token says its user may do, as somebody does who verifies it.
func rightsIn(t testing.TB, w *world, token string) (found []string, how string) {
	t.Helper()
	claims := part(t, token, 1)
	address, referred := claims["permissions_ref"].(string)
	switch said := claims["permissions"].(type) {
	case map[string]any:
		for noun, verbs := range said {
			for verb := range strings.FieldsSeq(verbs.(string)) {
				found = append(found, verb+":"+noun)
			}
		}
		return found, "grouped"
	case []any:
		if !referred {
			return texts(said), "listed"
		}
		if len(said) != 0 {
			t.Errorf("a claim that refers holds %v", said)
		}
	default:
		t.Fatalf("permissions are %v", claims["permissions"])
	}
	path, ours := strings.CutPrefix(address, issuer)
	if !ours {
		t.Fatalf("the reference is %q", address)
	}
	answer := outsider(t, w.handler(), http.MethodGet, path, "", bearer(token)...)
	said := told(t, answer)
	if answer.Code != http.StatusOK || said["index"] == nil {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if claims["roles_ref"] == nil {
		return texts(said["permissions"]), "referred"
	}
	if len(texts(claims["roles"]))+len(texts(claims["groups"])) != 0 || len(texts(said["groups"])) == 0 {
		t.Errorf("a bare token has %v and %v, the address says %v", claims["roles"], claims["groups"], said["groups"])
	}
	return texts(said["permissions"]), "bare"
}

func texts(list any) (all []string) {
	for _, one := range list.([]any) {
		all = append(all, one.(string))
	}
	return all
}

// TestTokenSize: whatever its user holds, a token has at most 4,096 bytes and says what
// the user may do, in the first wording that fits.
func TestTokenSize(t *testing.T) {
	const most = 4096
	w := newWorld(t)
	role := directory.RoleID{7}
	w.change(0, "roles.create", &fsm.CreateRole{Role: directory.Role{ID: role, Name: "many"}})
	w.change(0, "roles.assign", &fsm.AssignRole{ID: directory.AssignmentID{7}, Role: role, User: w.users[0]})
	seen, longest := map[string]int{}, 0
	last := "listed"
	for n := 0; n <= 600; n += 10 {
		var held []directory.Permission
		for i := range n {
			held = append(held, directory.Permission(fmt.Sprintf("%s:resource-%03d", []string{"read", "write", "delete"}[i%3], i/3)))
		}
		w.change(0, "roles.update", &fsm.UpdateRole{Role: role, SetPermissions: true, Permissions: held})
		grant := w.signIn(0)
		w.change(0, "sessions.end", &fsm.EndSession{ID: grant.Session})
		grant = w.signIn(0)
		found, how := rightsIn(t, w, grant.AccessToken)
		w.change(0, "sessions.end", &fsm.EndSession{ID: grant.Session})
		seen[how], longest, last = seen[how]+1, max(longest, len(grant.AccessToken)), how
		if len(found) != n || len(grant.AccessToken) > most {
			t.Errorf("%d permissions: %s, %d of them, in %d bytes", n, how, len(found), len(grant.AccessToken))
		}
	}
	if seen["listed"] == 0 || seen["grouped"] == 0 || last != "referred" || longest < most-100 {
		t.Errorf("the wordings are %v, the longest token has %d bytes", seen, longest)
	}
	for i := range 60 {
		w.change(0, "groups.create", &fsm.CreateGroup{
			Group: directory.Group{ID: directory.GroupID{9, byte(i)}, Name: fmt.Sprint(i, strings.Repeat("x", 100))}, Members: w.users[:1],
		})
	}
	grant := w.signIn(0)
	if found, how := rightsIn(t, w, grant.AccessToken); how != "bare" || len(found) != 600 || len(grant.AccessToken) > most {
		t.Errorf("of many groups: %s, %d permissions, in %d bytes", how, len(found), len(grant.AccessToken))
	}
	w.accepted("a bare token", grant.AccessToken)
}

// TestTokenIsFilled: a list stays a list until one more byte would be one too many.
func TestTokenIsFilled(t *testing.T) {
	w := newWorld(t)
	role := directory.RoleID{7}
	w.change(0, "roles.create", &fsm.CreateRole{Role: directory.Role{ID: role, Name: "many"}})
	w.change(0, "roles.assign", &fsm.AssignRole{ID: directory.AssignmentID{7}, Role: role, User: w.users[0]})
	var filled int
	for length := 1; length <= 100; length++ {
		held := []directory.Permission{directory.Permission("a:" + strings.Repeat("z", length))}
		for i := range 29 {
			held = append(held, directory.Permission(fmt.Sprintf("a:%02d%s", i, strings.Repeat("y", 80))))
		}
		w.change(0, "roles.update", &fsm.UpdateRole{Role: role, SetPermissions: true, Permissions: held})
		grant := w.signIn(0)
		w.change(0, "sessions.end", &fsm.EndSession{ID: grant.Session})
		payload, err := json.Marshal(part(t, grant.AccessToken, 1)["permissions"])
		must(t, err)
		if payload[0] == '[' {
			filled = max(filled, len(grant.AccessToken))
		}
	}
	if filled < 4093 || filled > 4096 { // three bytes are four characters
		t.Errorf("the fullest list has %d bytes", filled)
	}
}

// TestPermissionsAreForTheToken: the address answers to a token that lives alone.
func TestPermissionsAreForTheToken(t *testing.T) {
	w := newWorld(t)
	own, other := w.signIn(0), w.signIn(1)
	const path = "/o/north/oauth2/permissions"
	for what, row := range map[string]struct {
		token  string
		status int
	}{"its own": {own.AccessToken, 200}, "another's": {other.AccessToken, 401}, "nothing": {"", 401}, "a refresh token": {own.RefreshToken, 401}} {
		if answer := outsider(t, w.handler(), http.MethodGet, path, "", bearer(row.token)...); answer.Code != row.status {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
	}
	if answer := outsider(t, w.without(), http.MethodGet, path, "", bearer(own.AccessToken)...); answer.Code != 503 {
		t.Errorf("without a quorum: %d", answer.Code)
	}
	w.change(0, "sessions.end", &fsm.EndSession{ID: own.Session})
	if answer := outsider(t, w.handler(), http.MethodGet, path, "", bearer(own.AccessToken)...); answer.Code != 401 {
		t.Errorf("an ended session: %d", answer.Code)
	}
}
