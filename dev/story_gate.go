package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// request sends one request to the service that node i protects.
func (s *story) request(ctx context.Context, node int, method, path, token string) (status int, verdict string, body []byte, err error) {
	var content io.Reader
	if method == http.MethodPost {
		content = strings.NewReader(`{"note":"stable"}`)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.Service(node)+path, content)
	if err != nil {
		return 0, "", nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := s.plain.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, res.Header.Get("X-Authfi-Verdict"), body, err
}

func (s *story) served(ctx context.Context, node int) (int, error) {
	status, verdict, body, err := s.request(ctx, node, http.MethodGet, "/demo/served", "")
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("GET /demo/served on node-%d: %d %s", node+1, status, verdict)
	}
	var answer struct{ Served int }
	return answer.Served, json.Unmarshal(body, &answer)
}

func (s *story) allowed(ctx context.Context) (string, error) {
	var lines []string
	for i := range Nodes {
		line := fmt.Sprintf("node-%d:", i+1)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			began := time.Now()
			status, verdict, _, err := s.request(ctx, i, method, "/api/patients/7", s.alice.session.AccessToken)
			if err != nil || status != http.StatusOK {
				return "", fmt.Errorf("%s on node-%d: %d %s %w", method, i+1, status, verdict, err)
			}
			line += fmt.Sprintf(" %s 200 in %.2f ms", method, float64(time.Since(began).Microseconds())/1000)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), nil
}

func (s *story) refused(ctx context.Context) (string, error) {
	var lines []string
	for i := range Nodes {
		before, err := s.served(ctx, i)
		if err != nil {
			return "", err
		}
		began := time.Now()
		status, verdict, _, err := s.request(ctx, i, http.MethodPost, "/api/patients/7", s.nora.session.AccessToken)
		took := time.Since(began)
		if err != nil || status != http.StatusForbidden || verdict == "" {
			return "", fmt.Errorf("nurse's POST on node-%d: %d %q %w", i+1, status, verdict, err)
		}
		after, err := s.served(ctx, i)
		if err != nil || after != before {
			return "", fmt.Errorf("node-%d served %d before and %d after a refusal: %w", i+1, before, after, err)
		}
		lines = append(lines, fmt.Sprintf("node-%d: 403 %s in %.2f ms, served still %d", i+1, verdict, float64(took.Microseconds())/1000, after))
	}
	return strings.Join(lines, "\n"), nil
}

// refusalWait bounds how long a deactivation may take to bite before the story
// has failed.
const refusalWait = 5 * time.Second

// deactivate measures, on every node at once, the time from the SCIM answer to
// the first refusal of the same access token.
func (s *story) deactivate(ctx context.Context) (string, error) {
	if err := s.entra.disable(ctx, s.alice.id); err != nil {
		return "", err
	}
	answered := time.Now()
	var wait sync.WaitGroup
	lines, errs := make([]string, Nodes), make([]error, Nodes)
	for i := range Nodes {
		wait.Go(func() { lines[i], errs[i] = s.untilRefused(ctx, i, answered) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	if err := s.signedOut(ctx); err != nil {
		return "", err
	}
	return strings.Join(append(lines, "session ended, refresh token dead"), "\n"), nil
}

func (s *story) untilRefused(ctx context.Context, node int, answered time.Time) (string, error) {
	for served := 0; ; served++ {
		sent := time.Since(answered)
		status, verdict, _, err := s.request(ctx, node, http.MethodGet, "/api/patients/7", s.alice.session.AccessToken)
		if err != nil {
			return "", fmt.Errorf("node-%d: %w", node+1, err)
		}
		if status == http.StatusUnauthorized {
			ms := float64(time.Since(answered).Microseconds()) / 1000
			return fmt.Sprintf("node-%d: 401 %s, %.1f ms after the SCIM answer (%d requests in between)", node+1, verdict, ms, served), nil
		}
		if sent > refusalWait {
			return "", fmt.Errorf("node-%d still answers %d to a deactivated user", node+1, status)
		}
	}
}

// signedOut: the session shows as ended and its refresh token buys nothing, on
// a node that had no part in the deactivation.
func (s *story) signedOut(ctx context.Context) error {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.alice.session.RefreshToken}}
	res, err := s.client(2).http.PostForm(s.API(2)+"/o/"+s.org.Slug+"/oauth2/token", form)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("the refresh token of a deactivated user: %d", res.StatusCode)
	}
	return nil
}

func (s *story) syncLog(ctx context.Context) (string, error) {
	var log struct {
		Entries []struct {
			Time, Source, Event, Detail, Status string
			LatencyMS                           *float64 `json:"latency_ms"`
		}
	}
	if err := s.client(1).do(ctx, http.MethodGet, "/api/v1/sync-log?org_id="+s.org.ID+"&limit=12", nil, &log); err != nil {
		return "", err
	}
	var lines []string
	deactivated := false
	for _, e := range log.Entries {
		latency := "–"
		if e.LatencyMS != nil {
			latency = fmt.Sprintf("%.1f ms", *e.LatencyMS)
		}
		lines = append(lines, fmt.Sprintf("%s  %-7s %-22s %-34s %-4s %s", e.Time, e.Source, e.Event, e.Detail, e.Status, latency))
		deactivated = deactivated || e.Event == "user.deactivated" && e.Source == "entra"
	}
	if !deactivated {
		return "", fmt.Errorf("the log does not show the deactivation: %v", lines)
	}
	return strings.Join(lines, "\n"), nil
}
