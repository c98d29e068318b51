package dev

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// story plays the contract's nine steps on a running cluster. What a step
// learned is kept for the next; the first failure ends it.
type story struct {
	*Cluster
	org   named
	entra entra
	alice person
	nora  person
	plain *http.Client // no TLS: the services speak plain HTTP/1.1
}

type person struct {
	id      string
	session session
}

type session struct {
	SessionID    string `json:"session_id"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// Play tells the story and prints each step with its measured time.
func (c *Cluster) Play(ctx context.Context) error {
	s := &story{Cluster: c, plain: &http.Client{Timeout: 5 * time.Second}}
	steps := []struct {
		title string
		run   func(context.Context) (string, error)
	}{
		{"three nodes, one leader, the organizations exist", s.members},
		{"Entra ID provisions alice into group doctors", s.provision},
		{"her effective permissions and their reasons, from each node", s.permissions},
		{"a session: the access token holds organization, roles, permissions", s.signIn},
		{"GET and POST through the gate on each node: 200", s.allowed},
		{"a nurse's POST: 403 from the gate, the service never saw it", s.refused},
		{"Entra deactivates alice: dead everywhere", s.deactivate},
		{"the sync log of all that", s.syncLog},
		{"kill -9 of the leader during SCIM writes: nothing acknowledged is lost", s.killLeader},
	}
	for i, step := range steps {
		began := time.Now()
		detail, err := step.run(ctx)
		took := time.Since(began)
		if err != nil {
			fmt.Fprintf(c.opts.Out, "%d. %s: FAILED after %s\n", i+1, step.title, took.Round(time.Microsecond))
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		fmt.Fprintf(c.opts.Out, "%d. %-68s %8.1f ms\n", i+1, step.title, float64(took.Microseconds())/1000)
		for _, line := range strings.Split(detail, "\n") {
			fmt.Fprintf(c.opts.Out, "     %s\n", line)
		}
	}
	return nil
}

func (s *story) members(ctx context.Context) (string, error) {
	status, err := s.status(ctx, 0)
	if err != nil {
		return "", err
	}
	voters := 0
	for _, m := range status.Members {
		if m.Voter {
			voters++
		}
	}
	if len(status.Members) != Nodes || voters != Nodes || status.Leader == "" {
		return "", fmt.Errorf("members %+v, leader %q", status.Members, status.Leader)
	}
	if s.org, err = s.hospital(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("leader %s, applied index %v, organization %s", status.Leader, status.AppliedIndex, s.org.Slug), nil
}

type status struct {
	NodeID       string `json:"node_id"`
	Leader       string `json:"leader"`
	AppliedIndex uint64 `json:"applied_index"`
	Members      []struct {
		ID    string `json:"id"`
		Voter bool   `json:"voter"`
	} `json:"members"`
}

func (s *story) status(ctx context.Context, node int) (st status, err error) {
	err = s.client(node).do(ctx, http.MethodGet, "/api/v1/status", nil, &st)
	return st, err
}

// provision is an Entra cycle: test connection, match, create, group, member;
// the administrator maps the group to its role.
func (s *story) provision(ctx context.Context) (string, error) {
	var connection struct {
		BaseURL string `json:"base_url"`
		Token   string `json:"token"`
	}
	path := "/api/v1/organizations/" + s.org.ID + "/scim-connections"
	if err := s.client(0).do(ctx, http.MethodPost, path, map[string]string{"provider": "entra"}, &connection); err != nil {
		return "", err
	}
	s.entra = entra{newClient(s.API(1)+"/scim/v2/"+s.org.Slug, connection.Token, s.http)}
	if err := s.entra.probe(ctx); err != nil {
		return "", fmt.Errorf("test connection: %w", err)
	}
	began := time.Now()
	if err := s.enroll(ctx, "alice", "doctors", "doctor", &s.alice); err != nil {
		return "", err
	}
	took := time.Since(began)
	if err := s.enroll(ctx, "nora", "nurses", "nurse", &s.nora); err != nil {
		return "", err
	}
	return fmt.Sprintf("alice: user, group, role and membership in %.1f ms (SCIM on node-2)", float64(took.Microseconds())/1000), nil
}

func (s *story) enroll(ctx context.Context, name, group, role string, p *person) (err error) {
	if p.id, err = s.entra.user(ctx, name); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	groupID, err := s.entra.group(ctx, group)
	if err != nil {
		return fmt.Errorf("create group %s: %w", group, err)
	}
	// The directory's own ids are what SCIM calls id.
	if err := s.client(0).do(ctx, http.MethodPost, "/api/v1/groups/"+groupID+"/roles", map[string]string{"role_name": role}, nil); err != nil {
		return fmt.Errorf("map group %s to role %s: %w", group, role, err)
	}
	if err := s.entra.addMember(ctx, groupID, p.id); err != nil {
		return fmt.Errorf("add %s to %s: %w", name, group, err)
	}
	return nil
}

type effective struct {
	Effective []string `json:"effective"`
	Source    map[string][]struct {
		Role string `json:"role"`
		Via  string `json:"via"`
	} `json:"source"`
	Index uint64 `json:"index"`
}

func (s *story) permissions(ctx context.Context) (string, error) {
	var lines []string
	for i := range Nodes {
		e, err := s.permissionsAt(ctx, i)
		if err != nil {
			return "", fmt.Errorf("node-%d: %w", i+1, err)
		}
		why := e.Source["read:patients"]
		if !slices.Contains(e.Effective, "read:patients") || len(why) == 0 || why[0].Role != "doctor" || why[0].Via != "doctors" {
			return "", fmt.Errorf("node-%d answers %+v", i+1, e)
		}
		lines = append(lines, fmt.Sprintf("node-%d: %s (read:patients: role %s via %s)", i+1, strings.Join(e.Effective, " "), why[0].Role, why[0].Via))
	}
	return strings.Join(lines, "\n"), nil
}

// permissionsAt asks a node for its state at or after the newest index that the
// leader acknowledged to node 1, so that the answer cannot be from before.
func (s *story) permissionsAt(ctx context.Context, node int) (e effective, err error) {
	status, err := s.status(ctx, 1)
	if err != nil {
		return e, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.API(node)+"/api/v1/users/"+s.alice.id+"/permissions", nil)
	if err != nil {
		return e, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("X-Authfi-Index", fmt.Sprint(status.AppliedIndex))
	res, err := s.client(node).http.Do(req)
	if err != nil {
		return e, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return e, &answerError{res.StatusCode, string(b)}
	}
	return e, json.NewDecoder(res.Body).Decode(&e)
}

func (s *story) signIn(ctx context.Context) (string, error) {
	for _, p := range []*person{&s.alice, &s.nora} {
		body := map[string]any{"org_id": s.org.ID, "user_id": p.id, "amr": []string{"pwd", "otp"}}
		if err := s.client(0).do(ctx, http.MethodPost, "/api/v1/sessions", body, &p.session); err != nil {
			return "", err
		}
	}
	claims, err := claimsOf(s.alice.session.AccessToken)
	if err != nil {
		return "", err
	}
	if claims.OrgID != s.org.ID || !slices.Contains(claims.Roles, "doctor") || !slices.Contains(claims.Permissions, "read:patients") {
		return "", fmt.Errorf("claims %+v", claims)
	}
	return fmt.Sprintf("%d bytes, roles %v, permissions %v, ri %d", len(s.alice.session.AccessToken), claims.Roles, claims.Permissions, claims.Index), nil
}

type claims struct {
	OrgID       string   `json:"org_id"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	Index       uint64   `json:"ri"`
}

func claimsOf(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("the access token is not a JWT")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(b, &c)
}
