package authfitest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authfi/authfi/sdk/go/internal/rehearsal"
)

// heartbeatEvery is a node's.
const heartbeatEvery = 5 * time.Second

// transport answers what a service asks a node.
type transport struct{ issuer *Issuer }

var _ rehearsal.Transport = transport{}

func (t transport) Rehearse(rehearsal.Mark) {}

// Serve is called when a service begins to trust the issuer.
func (t transport) Serve(s rehearsal.Service) {
	t.issuer.mu.Lock()
	defer t.issuer.mu.Unlock()
	if s.Follows() {
		t.issuer.services = append(t.issuer.services, s)
	}
}

func (t transport) Now() time.Time { return t.issuer.Now() }

func (i *Issuer) client() *http.Client { return &http.Client{Transport: transport{i}} }

var errOffline = errors.New("the test issuer is offline")

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	i := t.issuer
	i.mu.Lock()
	offline := i.offline
	i.mu.Unlock()
	if offline {
		return nil, errOffline
	}
	w := httptest.NewRecorder()
	switch {
	case r.URL.Path == "/o/test/.well-known/jwks.json":
		i.serveKeys(w)
	case r.URL.Path == "/api/v1/events" && r.Header.Get("Authorization") == "Bearer "+apiKey:
		if r.Method == http.MethodGet {
			return i.stream(r), nil
		}
		w.Header().Set("X-Authfi-Index", strconv.FormatUint(i.appliedIndex(), 10))
	case r.URL.Path == "/o/test/oauth2/permissions":
		i.servePermissions(w, r)
	default:
		w.WriteHeader(http.StatusForbidden)
	}
	return w.Result(), nil
}

func (i *Issuer) appliedIndex() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.index
}

func (i *Issuer) serveKeys(w http.ResponseWriter) {
	i.mu.Lock()
	defer i.mu.Unlock()
	point, err := i.signing.private.PublicKey.Bytes()
	if err != nil {
		panic(err) // no point of the curve
	}
	w.Header().Set("Date", i.now().UTC().Format(http.TimeFormat))
	json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": i.signing.id,
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
}

// servePermissions says of a token what is true now.
func (i *Issuer) servePermissions(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims := claimsOf(token)
	i.mu.Lock()
	defer i.mu.Unlock()
	if user, there := i.sessions[claims.Session]; !there || user != claims.Subject {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	held := i.held[claims.Subject]
	json.NewEncoder(w).Encode(map[string]any{
		"permissions": listed(held.permissions), "roles": listed(held.roles), "groups": listed(held.groups), "index": i.index,
	})
}

// named is what the issuer reads of its own tokens.
type named struct {
	Subject string `json:"sub"`
	Session string `json:"sid"`
}

// claimsOf reads a token that the issuer has signed; of another it reads nothing.
func claimsOf(token string) (claims named) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims
	}
	if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
		_ = json.Unmarshal(text, &claims) // what cannot be read names nobody
	}
	return claims
}

// stream sends the events after a place, and then those that come.
func (i *Issuer) stream(r *http.Request) *http.Response {
	after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64) // from the first without one
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(i.send(r.Context(), writer, after)) }()
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: reader, Request: r,
	}
}

func (i *Issuer) send(ctx context.Context, w io.Writer, after uint64) error {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for {
		i.mu.Lock()
		begin, _ := slices.BinarySearchFunc(i.events, after+1, func(e event, index uint64) int { return int(e.Index) - int(index) })
		events, changed, offline := slices.Clone(i.events[begin:]), i.changed, i.offline
		after = i.index
		events = append(events, i.heartbeat())
		i.mu.Unlock()
		if offline {
			return errOffline
		}
		for _, e := range events {
			text, err := json.Marshal(e)
			if err == nil {
				_, err = fmt.Fprintf(w, "data: %s\n\n", text)
			}
			if err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
