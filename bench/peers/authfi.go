package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
)

func newAuthFI(plan *Plan) (*service, error) {
	pem, err := os.ReadFile(plan.AuthFI.CA)
	if err != nil {
		return nil, err
	}
	addresses := make([]string, len(plan.AuthFI.Bases))
	for i, base := range plan.AuthFI.Bases {
		at, err := url.Parse(base)
		if err != nil {
			return nil, err
		}
		addresses[i] = at.Host
	}
	requests, err := writtenOut(plan, addresses[0], "/api/v1/check", plan.AuthFI.Token, func(q Question) any {
		return map[string]string{"user_id": plan.AuthFI.Users[q.User], "permission": plan.Permissions[q.Permission]}
	})
	if err != nil {
		return nil, err
	}
	clients, err := newLean(plan, pem, addresses, requests, verdictOf("allowed", "true", "false"))
	if err != nil {
		return nil, err
	}
	setting := fmt.Sprintf("%d nodes, every answer with its sources and from the newest state", len(addresses))
	return newService("authfi", overHTTPS+setting, clients.check, plan.AuthFI.PIDs), nil
}

// overHTTPS begins the setting of every service that lean asks.
const overHTTPS = "Over HTTPS, HTTP/1.1, each client keeping one connection; "

// writtenOut are the requests of all questions.
func writtenOut(plan *Plan, host, path, token string, body func(Question) any) ([][]byte, error) {
	requests := make([][]byte, len(plan.Questions))
	for i, q := range plan.Questions {
		text, err := json.Marshal(body(q))
		if err != nil {
			return nil, err
		}
		requests[i] = leanRequest(host, path, token, text)
	}
	return requests, nil
}

// newLean asks a service whose certificate pem vouches for.
func newLean(plan *Plan, pem []byte, addresses []string, requests [][]byte, verdict func([]byte) (bool, error)) (*lean, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate for %v", addresses)
	}
	return &lean{
		config:    &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		addresses: addresses, requests: requests, verdict: verdict,
		slots: make([]leanConn, slices.Max(plan.Clients)),
	}, nil
}
