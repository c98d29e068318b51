package watch

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// lossMax is how long a stream may outlive the right to it.
const lossMax = time.Second

// losses are the ways in which a user loses the right to watch. Each returns the
// first index that must not arrive.
var losses = []struct {
	name string
	code string
	lose func(w *world, org directory.OrgID, u watcherUser) directory.Index
}{
	{"the role loses the permission", "permission_denied", func(w *world, org directory.OrgID, u watcherUser) directory.Index {
		return w.change(org, &fsm.UpdateRole{Role: u.role, SetPermissions: true, Permissions: []directory.Permission{"read:patients"}})
	}},
	{"the role is taken away", "permission_denied", func(w *world, org directory.OrgID, u watcherUser) directory.Index {
		return w.change(org, &fsm.UnassignRole{Role: u.role, User: u.id})
	}},
	{"the role is deleted", "permission_denied", func(w *world, org directory.OrgID, u watcherUser) directory.Index {
		return w.change(org, &fsm.DeleteRole{Role: u.role})
	}},
	{"the user is deactivated", "unauthenticated", func(w *world, org directory.OrgID, u watcherUser) directory.Index {
		return w.change(org, &fsm.SetUserActive{User: u.id})
	}},
	{"the user is deleted", "unauthenticated", func(w *world, org directory.OrgID, u watcherUser) directory.Index {
		return w.change(org, &fsm.DeleteUser{User: u.id})
	}},
	{"the session is ended", "unauthenticated", func(w *world, org directory.OrgID, u watcherUser) directory.Index {
		return w.change(org, &fsm.EndSession{ID: u.grant.Session})
	}},
	{"the organization is suspended", "unauthenticated", func(w *world, org directory.OrgID, _ watcherUser) directory.Index {
		return w.change(org, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	}},
	{"the organization is deleted", "unauthenticated", func(w *world, org directory.OrgID, _ watcherUser) directory.Index {
		return w.applied(
			w.envelope(org, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended}),
			w.envelope(directory.OrgID{}, &fsm.DeleteOrganization{ID: org}))
	}},
	{"the token expires", "unauthenticated", func(w *world, _ directory.OrgID, _ watcherUser) directory.Index {
		w.skipped.Store(int64(directory.AccessTokenLife + time.Minute))
		return w.log.machine.Applied() + 1
	}},
}

// TestStreamEndsWithTheRight, within a second and before anything that happened
// after it is shown.
func TestStreamEndsWithTheRight(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		for _, loss := range losses {
			w := newWorld(t)
			org := w.orgs[0]
			u := w.reader(org, "ines")
			f := follow(w, u.grant.AccessToken, &authfiv1.WatchRequest{OrgId: org.String()})
			takeUntil(t, f, typeHeartbeat)
			index := loss.lose(w, org, u)
			lost := time.Now()
			if _, ok := w.log.machine.Root().Org(org); ok {
				w.change(org, newUser("after"))
			}
			taken, err := ends(f)
			if codeOf(err) != loss.code {
				t.Errorf("%s: the stream ends with %v, want %s", loss.name, err, loss.code)
			}
			if took := time.Since(lost); took > lossMax {
				t.Errorf("%s: the stream ends after %s", loss.name, took)
			}
			if slices.ContainsFunc(taken, func(m *authfiv1.Event) bool { return m.GetIndex() >= uint64(index) && m.GetType() != typeHeartbeat }) && loss.name != "the token expires" {
				t.Errorf("%s at %d, and there came %v", loss.name, index, names(taken))
			}
			again := follow(w, u.grant.AccessToken, &authfiv1.WatchRequest{OrgId: org.String()})
			if m, err := again.next(); codeOf(err) != loss.code {
				t.Errorf("%s: a new stream begins with %v %v", loss.name, m, err)
			}
		}
	})
}

// TestStreamEndsWithTheKey does the same for API keys, and for operators, whose end
// no entry of the organization tells.
func TestStreamEndsWithTheKey(t *testing.T) {
	for name, c := range map[string]struct {
		code string
		lose func(w *world, u watcherUser, key directory.APIKeyID)
	}{
		"the key is revoked": {"unauthenticated", func(w *world, _ watcherUser, key directory.APIKeyID) {
			w.change(w.orgs[0], &fsm.RevokeAPIKey{ID: key})
		}},
		"the key's time is over": {"unauthenticated", func(w *world, _ watcherUser, _ directory.APIKeyID) {
			w.skipped.Store(int64(time.Hour))
		}},
		"the owner loses the permission": {"permission_denied", func(w *world, u watcherUser, _ directory.APIKeyID) {
			w.change(w.orgs[0], &fsm.UnassignRole{Role: u.role, User: u.id})
		}},
		"the owner is deactivated": {"unauthenticated", func(w *world, u watcherUser, _ directory.APIKeyID) {
			w.change(w.orgs[0], &fsm.SetUserActive{User: u.id})
		}},
		"the operator is deleted": {"unauthenticated", func(w *world, _ watcherUser, _ directory.APIKeyID) {
			second := access.NewID[directory.OperatorID](w.now())
			w.applied(w.envelope(directory.OrgID{}, &fsm.CreateOperator{Operator: directory.Operator{ID: second, Name: "second", Token: [32]byte{1}}}))
			w.applied(w.envelope(directory.OrgID{}, &fsm.DeleteOperator{ID: directory.OperatorID(w.operator.ID)}))
		}},
	} {
		for _, d := range []int{0, 4} {
			w := newWorld(t)
			u := w.reader(w.orgs[0], "ines")
			id := access.NewID[directory.APIKeyID](w.now())
			token, hash := access.NewAPIKey(w.orgs[0], id)
			w.change(w.orgs[0], &fsm.CreateAPIKey{Key: directory.APIKey{
				ID: id, Name: "bridge", Owner: u.id, Permissions: []directory.Permission{directory.ReadAuditLogs}, Token: hash,
				Expires: directory.TimeOf(w.now().Add(time.Hour)),
			}})
			if name == "the operator is deleted" {
				token = w.token
			}
			f := dialects[d].follow(t, w.server, token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String()})
			takeUntil(t, f, typeHeartbeat)
			c.lose(w, u, id)
			lost := time.Now()
			taken, err := ends(f)
			if codeOf(err) != c.code || len(taken) > 0 {
				t.Errorf("%s: after %v the stream ends with %v, want %s", name, names(taken), err, c.code)
			}
			if took := time.Since(lost); took > lossMax {
				t.Errorf("%s: the stream ends after %s", name, took)
			}
		}
	}
}

// TestOthersLoseNothing: a stream goes on while the rights of everybody else move.
func TestOthersLoseNothing(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	u, other := w.reader(org, "ines"), w.reader(org, "omar")
	f := dialects[0].follow(t, w.server, u.grant.AccessToken, &authfiv1.WatchRequest{OrgId: org.String()})
	before := takeUntil(t, f, typeHeartbeat)
	w.change(org, &fsm.EndSession{ID: other.grant.Session}, &fsm.SetUserActive{User: other.id}, &fsm.DeleteRole{Role: other.role})
	all := append(names(before[:len(before)-1]), names(take(t, f, len(w.logged(org))-len(before)+1))...)
	w.sameNames("the stream", all, w.logged(org))
}

// TestOperatorOutlivesSuspension: who runs the instance sees a suspended
// organization, and its end.
func TestOperatorOutlivesSuspension(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	f := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String()})
	takeUntil(t, f, typeHeartbeat)
	w.change(org, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	take(t, f, 1)
	w.change(directory.OrgID{}, &fsm.DeleteOrganization{ID: org})
	if taken, err := ends(f); codeOf(err) != "not_found" {
		t.Errorf("after %v the stream ends with %v", names(taken), err)
	}
}

// TestRightIsLostAmongTheRows: a reader of rows who has lost the right gets no
// more than what was on its way.
func TestRightIsLostAmongTheRows(t *testing.T) {
	w := newWorld(t)
	org := w.orgs[0]
	u := w.reader(org, "ines")
	w.users(org, "many", blockingRows)
	server := w.serve(w.watcher, narrow)
	f := followEvents(t, http1(server), server.URL, u.grant.AccessToken, &authfiv1.WatchRequest{OrgId: org.String(), Snapshot: true})
	take(t, f, 1)
	w.change(org, &fsm.SetUserActive{User: u.id})
	taken, err := ends(f)
	if codeOf(err) != "unauthenticated" || len(taken) > blockingRows/2 {
		t.Errorf("%d rows, then %v", len(taken), err)
	}
}

// TestWhoMayFollow at all.
func TestWhoMayFollow(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	may := w.reader(org, "ines")
	plain := newUser("plain")
	w.change(org, plain)
	id := access.NewID[directory.ConnectionID](w.now())
	connection, hash := access.NewConnectionToken(org, id)
	w.change(org, &fsm.CreateConnection{Connection: directory.Connection{ID: id, Provider: "entra", Token: hash}})
	unknown := access.NewID[directory.OrgID](w.now())
	for what, c := range map[string]struct {
		token  string
		org    string
		code   string
		status int
	}{
		"nobody":                           {"", org.String(), "unauthenticated", http.StatusUnauthorized},
		"a made-up operator":               {w.token[:len(w.token)-2] + "AA", org.String(), "unauthenticated", http.StatusUnauthorized},
		"a user without the permission":    {w.signIn(org, plain.User.ID).AccessToken, org.String(), "permission_denied", http.StatusForbidden},
		"an identity provider":             {connection, org.String(), "permission_denied", http.StatusForbidden},
		"a user, of the neighbour":         {may.grant.AccessToken, w.orgs[1].String(), "not_found", http.StatusNotFound},
		"a user, of no organization":       {may.grant.AccessToken, unknown.String(), "not_found", http.StatusNotFound},
		"an operator, of no organization":  {w.token, unknown.String(), "not_found", http.StatusNotFound},
		"an operator who names none":       {w.token, "", "invalid_argument", http.StatusBadRequest},
		"a user of their own organization": {may.grant.AccessToken, org.String(), "", http.StatusOK},
		"a user who names none":            {may.grant.AccessToken, "", "", http.StatusOK},
	} {
		for _, d := range dialects {
			f := d.follow(t, w.server, c.token, &authfiv1.WatchRequest{OrgId: c.org})
			_, err := f.next()
			if c.code == "" && err != nil || c.code != "" && codeOf(err) != c.code {
				t.Errorf("%s over %s: %v, want %s", what, d.name, err, c.code)
			}
			if events, ok := f.(*eventsFollower); ok && events.answer.StatusCode != c.status {
				t.Errorf("%s over %s: status %d, want %d", what, d.name, events.answer.StatusCode, c.status)
			}
			f.stop()
		}
	}
}
