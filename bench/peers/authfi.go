package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"
)

// answerWait bounds one answer; one that late is a failed run.
const answerWait = 30 * time.Second

// authfiClient asks as an application would: over HTTPS with net/http and
// encoding/json, HTTP/1.1 and connections that stay open. A client keeps to one
// node, as a connection through a load balancer does.
type authfiClient struct {
	plan *Plan
	http *http.Client
}

func newAuthFI(plan *Plan) (*service, error) {
	pem, err := os.ReadFile(plan.AuthFI.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", plan.AuthFI.CA)
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: slices.Max(plan.Clients),
	}
	a := &authfiClient{plan: plan, http: &http.Client{Transport: transport, Timeout: answerWait}}
	setting := fmt.Sprintf("%d nodes over HTTPS, each client keeping one HTTP/1.1 connection, every answer with its sources and from the newest state", len(plan.AuthFI.Bases))
	return newService("authfi", setting, a.check, plan.AuthFI.PIDs), nil
}

func (a *authfiClient) check(ctx context.Context, client int, q Question) (bool, error) {
	body, err := json.Marshal(struct {
		UserID     string `json:"user_id"`
		Permission string `json:"permission"`
	}{a.plan.AuthFI.Users[q.User], a.plan.Permissions[q.Permission]})
	if err != nil {
		return false, err
	}
	base := a.plan.AuthFI.Bases[client%len(a.plan.AuthFI.Bases)]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/check", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+a.plan.AuthFI.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := a.http.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return false, err
	}
	var answer struct {
		Allowed *bool `json:"allowed"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return false, err
	}
	if res.StatusCode != http.StatusOK || answer.Allowed == nil {
		return false, errors.New(res.Status + ": " + string(text))
	}
	return *answer.Allowed, nil
}
