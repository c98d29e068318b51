package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/dev"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node/nodetest"
)

// Class T: a revocation that is only said.
var revocationAttacks = map[string]attack{
	"sibling of a revoked token": siblingRevoked,
	"no quorum":                  revokedAlone,
	"kill -9 all and restart":    revokedAndKilled,
}

func TestAttacksOnRevocation(t *testing.T) { withstand(t, "T") }

// siblingRevoked revokes one of several tokens that stand in one session, of which the log
// holds none: all of them die, at every node, and the next one stands elsewhere.
func siblingRevoked(s *site, i int) {
	fields, first := s.begin(i, directory.GrantClientCredentials)
	tokens := []string{first}
	for n := range nodetest.Size {
		tokens = append(tokens, fmt.Sprint(s.given(n, "a sibling", fields)["access_token"]))
	}
	for _, token := range tokens {
		if sid := s.claims(token)["sid"]; sid != s.claims(first)["sid"] {
			s.t.Errorf("a node has a session of its own: %v", sid)
		}
	}
	if status := s.revoke(i, tokens[2], s.robot); status != http.StatusOK {
		s.t.Fatalf("revocation: %d", status)
	}
	for n := range nodetest.Size {
		for k, token := range tokens {
			if s.active(n, token) {
				s.t.Errorf("token %d lives at node-%d", k, n+1)
			}
		}
		if next := fmt.Sprint(s.given(n, "the next", fields)["access_token"]); !s.active((n+1)%nodetest.Size, next) || s.claims(next)["sid"] == s.claims(first)["sid"] {
			s.t.Errorf("the next token of node-%d is %v", n+1, s.claims(next))
		}
	}
}

// revokedAlone takes the others away from node i of a cluster of its own: neither a
// client, nor a person who signs out, nor an administrator hears that anything has ended.
func revokedAlone(s *site, i int) {
	s = newSite(s.t, nodetest.Start(s.t, developing), "alone")
	if lead := leader(s.t, s.c, 0); i != lead { // what was the leader there is the leader here
		i = (lead + 1) % nodetest.Size
	}
	fields, token := s.begin(i, directory.GrantRefreshToken)
	said := s.looks(i, "a nonce", "openid")
	session := fmt.Sprint(said["access"]["sid"])
	for n := range nodetest.Size {
		if n != i {
			s.c.Stop(n)
		}
	}
	var asking sync.WaitGroup // each waits for a quorum as long as it may
	for what, text := range map[string]string{"an access token": token, "a refresh token": fields.Get("refresh_token")} {
		asking.Go(func() {
			if status := s.revoke(i, text, s.web); status != http.StatusServiceUnavailable {
				s.t.Errorf("revoking %s alone: %d", what, status)
			}
		})
	}
	for _, path := range []string{"/sessions/" + session, "/users/" + s.user + "/sessions", "/organizations/" + s.org + "/sessions"} {
		asking.Go(func() {
			if answer := s.c.Call(i, http.MethodDelete, "/api/v1"+path, ""); answer.Status != http.StatusServiceUnavailable {
				s.t.Errorf("DELETE %s alone: %d %s", path, answer.Status, answer.Body)
			}
		})
	}
	asking.Go(func() {
		status, told, _ := s.try(i, "introspect", url.Values{"token": {token}})
		if status != http.StatusServiceUnavailable || told["active"] != nil {
			s.t.Errorf("introspection alone: %d %v", status, told)
		}
	})
	asking.Wait()
}

// processes are three nodes that can be killed.
type processes struct {
	t    *testing.T
	c    *dev.Cluster
	http *http.Client
	root string // the operator's token
}

func startProcesses(t *testing.T) *processes {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "authfi")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/authfi").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cluster := filepath.Join(dir, "cluster")
	c, err := dev.StartProgram(t.Context(), program, dev.Options{Dir: cluster, Mode: "gate", Out: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	transport, err := c.Transport()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(cluster, "root.token"))
	if err != nil {
		t.Fatal(err)
	}
	return &processes{t, c, &http.Client{Transport: transport, Timeout: time.Minute}, strings.TrimSpace(string(root))}
}

// ask sends a request to node i; a form if it has fields, and else JSON.
func (p *processes) ask(i int, method, path, body string, out any) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.c.API(i)+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/o/") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if !strings.HasSuffix(path, "/revoke") && !strings.HasSuffix(path, "/token") { // a client proves itself there
		r.Header.Set("Authorization", "Bearer "+p.root)
	}
	res, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if out != nil && json.Unmarshal(text, out) != nil {
		p.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, text)
	}
	return res.StatusCode
}

// revokedAndKilled kills all nodes as soon as the revocation is answered.
func revokedAndKilled(s *site, i int) {
	p := startProcesses(s.t)
	org, slug, err := p.c.Hospital(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var owner, account named
	var client newClient
	p.ask(0, http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"org_id":%q,"email":"owner@kill.example"}`, org), &owner)
	p.ask(0, http.MethodPost, "/api/v1/service-accounts", fmt.Sprintf(`{"org_id":%q,"user_name":"robot","owner_id":%q}`, org, owner.ID), &account)
	p.ask(0, http.MethodPost, "/api/v1/organizations/"+org+"/clients",
		fmt.Sprintf(`{"name":"robot","grant_types":["client_credentials"],"account_id":%q,"permissions":["read:patients"]}`, account.ID), &client)
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	proof := url.Values{"client_id": {client.Client.ID}, "client_secret": {client.ClientSecret}}
	p.ask(i, http.MethodPost, "/o/"+slug+"/oauth2/token", altered(proof, "grant_type", "client_credentials").Encode(), &tokens)
	active := func(node int) bool {
		var told struct{ Active bool }
		if status := p.ask(node, http.MethodPost, "/o/"+slug+"/oauth2/introspect", url.Values{"token": {tokens.AccessToken}}.Encode(), &told); status != http.StatusOK {
			s.t.Fatalf("introspection: %d", status)
		}
		return told.Active
	}
	if !active(i) {
		s.t.Fatal("the token does not live")
	}
	if status := p.ask(i, http.MethodPost, "/o/"+slug+"/oauth2/revoke", altered(proof, "token", tokens.AccessToken).Encode(), nil); status != http.StatusOK {
		s.t.Fatalf("revocation: %d", status)
	}
	for n := range dev.Nodes {
		if err := p.c.Kill(n); err != nil {
			s.t.Fatal(err)
		}
	}
	p.startAll()
	for n := range dev.Nodes {
		if active(n) {
			s.t.Errorf("node-%d lets a revoked token live again", n+1)
		}
	}
}

// startAll starts the nodes together: one alone has no quorum and is not ready.
func (p *processes) startAll() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	var starting sync.WaitGroup
	for n := range dev.Nodes {
		starting.Go(func() {
			if err := p.c.Start(ctx, n); err != nil {
				p.t.Errorf("node-%d: %v", n+1, err)
			}
		})
	}
	starting.Wait()
}
