package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/dev"
)

// rival is this program as one that others would write instead of a gate: an
// application that checks tokens itself, a reverse proxy before one that does not,
// or the service that a proxy asks. It runs as a process of its own.
type rival struct{ kind, listen, upstream, keys string }

func rivalFlags() *rival {
	r := new(rival)
	flag.StringVar(&r.kind, "rival", "", "what the benchmark itself starts: app, app-uncached, proxy or auth")
	flag.StringVar(&r.listen, "rival-listen", "", "its address")
	flag.StringVar(&r.upstream, "rival-upstream", "", "what a proxy stands before")
	flag.StringVar(&r.keys, "rival-keys", "", "the file of the issuer's key set")
	return r
}

func (r *rival) serve() error {
	text, err := os.ReadFile(r.keys)
	if err != nil {
		return err
	}
	v := &verifier{seen: map[[32]byte]time.Time{}, cached: r.kind != "app-uncached"}
	if v.keys, err = keySet(text); err != nil {
		return err
	}
	var behind http.Handler
	switch r.kind {
	case "app", "app-uncached":
		behind = dev.DemoHandler(0)
	case "proxy":
		to := &url.URL{Scheme: "http", Host: r.upstream}
		proxy := httputil.NewSingleHostReverseProxy(to)
		proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 2 * callers}
		behind = proxy
	case "auth":
		v.cached = false
		behind = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	default:
		return fmt.Errorf("there is no rival %q", r.kind)
	}
	listener, err := net.Listen("tcp", r.listen)
	if err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if err := v.check(q.Header.Get("Authorization")); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		behind.ServeHTTP(w, q)
	}))
}

// verifier checks an access token as an application would, with the standard
// library: signature, times and the permission of the route.
type verifier struct {
	keys   map[string]*ecdsa.PublicKey
	cached bool // a token that was verified is known by its hash until it expires

	mu   sync.RWMutex
	seen map[[32]byte]time.Time // guarded by mu
}

func (v *verifier) check(header string) error {
	token, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return errors.New("no token")
	}
	hash := sha256.Sum256([]byte(token))
	if v.cached {
		v.mu.RLock()
		until, known := v.seen[hash]
		v.mu.RUnlock()
		if known && time.Now().Before(until) {
			return nil
		}
	}
	until, err := v.verify(token)
	if err == nil && v.cached {
		v.mu.Lock()
		v.seen[hash] = until
		v.mu.Unlock()
	}
	return err
}

func (v *verifier) verify(token string) (until time.Time, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return until, errors.New("not a token")
	}
	var raw [3][]byte
	for i := range raw {
		if raw[i], err = base64.RawURLEncoding.DecodeString(parts[i]); err != nil {
			return until, err
		}
	}
	var head struct{ Alg, Kid string }
	var claims struct {
		Exp         int64
		Permissions []string
	}
	if err := errors.Join(json.Unmarshal(raw[0], &head), json.Unmarshal(raw[1], &claims)); err != nil {
		return until, err
	}
	key, ok := v.keys[head.Kid]
	if !ok || head.Alg != "ES256" || len(raw[2]) != 64 {
		return until, errors.New("of another issuer")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:])) {
		return until, errors.New("forged")
	}
	until = time.Unix(claims.Exp, 0)
	if !time.Now().Before(until) || !slices.Contains(claims.Permissions, "read:patients") {
		return until, errors.New("not allowed")
	}
	return until, nil
}

func keySet(text []byte) (map[string]*ecdsa.PublicKey, error) {
	var set struct {
		Keys []struct{ Kid, Kty, Crv, X, Y string }
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		if k.Kty != "EC" || k.Crv != "P-256" {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, err
		}
		keys[k.Kid] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key of P-256")
	}
	return keys, nil
}
