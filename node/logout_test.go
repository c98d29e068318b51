package node_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// allowDevice lets Alice allow what a device asks for, at node i.
func (s *site) allowDevice(i int, code string) {
	s.t.Helper()
	form := url.Values{"user_code": {code}, "decision": {"allow"}, "user_name": {"alice@site.example"}}
	answer := s.c.Call(i, http.MethodPost, "/o/"+s.slug+"/oauth2/device", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	if answer.Status != http.StatusOK || !strings.Contains(string(answer.Body), "signed in") {
		s.t.Fatalf("the device page: %d %s", answer.Status, answer.Body)
	}
}

// TestDeviceOnThreeNodes: asked for at one, allowed at another, fetched at the third.
func TestDeviceOnThreeNodes(t *testing.T) {
	c := nodetest.Start(t, developing)
	s := newSite(t, c, "devices")
	fields := url.Values{"client_id": {s.web.ID}, "client_secret": {s.web.Secret}, "scope": {"openid"}}
	_, asked := s.postAs(0, "device_authorization", fields)
	fields.Set("grant_type", string(directory.GrantDevice))
	fields.Set("device_code", fmt.Sprint(asked["device_code"]))
	if said := s.tokens(2, fields); said["error"] != "authorization_pending" {
		t.Errorf("before anybody has decided: %v", said)
	}
	s.allowDevice(1, fmt.Sprint(asked["user_code"]))
	if said := s.tokens(2, fields); said["id_token"] == nil {
		t.Errorf("%v", said)
	}
}

// listener is an application that is told of the ends of its sessions.
type listener struct {
	*httptest.Server
	mu      sync.Mutex
	failing bool                // guarded by mu
	tried   int                 // guarded by mu
	heard   map[string][]string // guarded by mu; by session, who it was of
	keys    func() jwk.Set
	problem string // guarded by mu
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, err := jwt.Parse([]byte(r.FormValue("logout_token")), jwt.WithKeySet(l.keys()))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried++
	var session string
	if err == nil {
		err = token.Get("sid", &session)
	}
	subject := ""
	if err != nil {
		l.problem = err.Error()
	} else {
		subject, _ = token.Subject()
	}
	if l.failing {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	l.heard[session] = append(l.heard[session], subject)
}

func (l *listener) has(session string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.heard[session]) > 0
}

// TestClientsAreToldOfLogout: whatever ended a session, its client hears of it; one that
// is out of reach hears later, from another leader if the first is lost.
func TestClientsAreToldOfLogout(t *testing.T) {
	l := &listener{heard: map[string][]string{}}
	l.Server = httptest.NewTLSServer(l)
	defer l.Close()
	ca := filepath.Join(t.TempDir(), "receiver.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, developing, func(cfg *node.Config) { cfg.Push = node.PushConfig{Private: true, CAFile: ca} })
	s := newSite(t, c, "leaving")
	set, err := jwk.Parse(c.Do(0, "GET", "/o/leaving/.well-known/jwks.json", "", nil).Body)
	if err != nil {
		t.Fatal(err)
	}
	l.keys = func() jwk.Set { return set }
	s.at(0, "PATCH", "/organizations/"+s.org+"/clients/"+s.web.ID, nil, `{"backchannel_logout_uri":%q}`, l.URL+"/logout")
	open := func() (session string) {
		before := s.sessions()
		fields, _ := s.begin(0, directory.GrantRefreshToken)
		if fields.Get("refresh_token") == "" {
			t.Fatal("nobody is signed in")
		}
		for id := range s.sessions() {
			if !before[id] {
				session = id
			}
		}
		return session
	}
	first := open()
	s.at(1, "DELETE", "/sessions/"+first, nil, "")
	until(t, "the client has not heard of a session that was ended", func() bool { return l.has(first) })

	l.mu.Lock()
	l.failing, l.tried = true, 0
	l.mu.Unlock()
	second := open()
	s.at(1, "DELETE", "/users/"+s.user, nil, "")
	until(t, "nobody has tried a client that fails", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.tried > 0
	})
	lost := leader(t, c, 0)
	c.Stop(lost)
	l.mu.Lock()
	l.failing = false
	l.mu.Unlock()
	until(t, "the client has not heard of a user who was deleted", func() bool { return l.has(second) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.problem != "" || l.heard[second][0] != s.user {
		t.Errorf("told %v, with %q", l.heard, l.problem)
	}
}

// sessions are those of the site's user.
func (s *site) sessions() map[string]bool {
	s.t.Helper()
	var list struct{ Sessions []named }
	s.at(0, "GET", "/sessions?user_id="+s.user, &list, "")
	all := map[string]bool{}
	for _, one := range list.Sessions {
		all[one.ID] = true
	}
	return all
}
