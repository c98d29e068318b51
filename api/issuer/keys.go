package issuer

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Bounds of what is fetched and kept.
const (
	issuersMax    = 1024      // a set of keys is some 2 KB; of more issuers any one is fetched again
	metadataMax   = 64 << 10  // bytes; Entra's has 2 KB
	keySetMax     = 256 << 10 // bytes; Entra's has 20 KB, with the certificates of its keys
	keysMax       = 64        // of one issuer; Entra has some 6
	modulusMin    = 2048      // bits
	modulusMax    = 8192      // bits: what verifies a larger one costs more than a request
	fetchTimeout  = 5 * time.Second
	handshakeTime = 5 * time.Second
)

// Ages of keys.
const (
	// keysFresh is how long keys are used without asking again.
	keysFresh = time.Hour
	// keysLife is how long they are used while the issuer does not answer. A key that
	// the issuer has withdrawn is good for no longer.
	keysLife = 24 * time.Hour
	// askEvery bounds how often one issuer is asked for a key that it did not have, or
	// did not answer for: whoever sends made-up tokens must not make a node busy.
	askEvery = 30 * time.Second
)

// keys are those of one issuer.
type keys struct {
	turn    chan struct{} // holds one token: who has it may change the rest
	byName  map[string]*rsa.PublicKey
	fetched time.Time // when byName was; zero: never
	asked   time.Time // the last attempt
	failed  bool      // it did
}

// of finds an issuer's keys or begins with none.
func (i *Issuers) of(issuer string) *keys {
	i.mu.Lock()
	defer i.mu.Unlock()
	k, ok := i.known[issuer]
	if ok {
		return k
	}
	for other := range i.known {
		if len(i.known) < issuersMax {
			break
		}
		delete(i.known, other)
	}
	k = &keys{turn: make(chan struct{}, 1)}
	i.known[issuer] = k
	return k
}

// key finds a key by its name, and asks the issuer when that may help. Those who come
// meanwhile wait for the one answer.
func (i *Issuers) key(ctx context.Context, issuer, name string) (*rsa.PublicKey, error) {
	k := i.of(issuer)
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := i.now()
	found, ok := k.byName[name]
	if ok && now.Sub(k.fetched) < keysFresh {
		return found, nil
	}
	if k.asked.IsZero() || now.Sub(k.asked) >= askEvery {
		k.asked = now
		fetched, err := i.fetch(ctx, issuer)
		if k.failed = err != nil; k.failed {
			i.log.WarnContext(ctx, "an issuer's keys cannot be had", "issuer", issuer, "error", err)
		} else {
			k.byName, k.fetched = fetched, now
		}
	}
	found, ok = k.byName[name]
	switch {
	case ok && now.Sub(k.fetched) < keysLife:
		return found, nil
	case !k.failed:
		return nil, errRefused() // issuers publish a key long before they sign with it
	}
	return nil, directory.Unavailable("the keys of the token's issuer cannot be had; try again")
}

// newClient follows no redirection: it would lead to another host.
func newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: handshakeTime,
			MaxIdleConns:        1, // each issuer is asked once an hour
			IdleConnTimeout:     time.Second,
		},
	}
}

const metadataPath = ".well-known/openid-configuration"

// fetch reads the metadata of an issuer and the keys that it names. A client that goes
// away does not end it, for others wait for it, too.
func (i *Issuers) fetch(ctx context.Context, issuer string) (map[string]*rsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	body, err := i.get(ctx, strings.TrimSuffix(issuer, "/")+"/"+metadataPath, metadataMax)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return nil, errors.New("metadata: not JSON")
	}
	if metadata.Issuer != issuer {
		return nil, fmt.Errorf("metadata: of the issuer %.200q", metadata.Issuer)
	}
	if err := checkKeysAddress(issuer, metadata.Keys); err != nil {
		return nil, err
	}
	if body, err = i.get(ctx, metadata.Keys, keySetMax); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return parseKeys(body)
}

// checkKeysAddress wants the keys at the issuer's own host.
func checkKeysAddress(issuer, address string) error {
	from, err := url.Parse(issuer)
	if err != nil {
		return errors.New("the issuer is no URL")
	}
	at, err := url.Parse(address)
	if err != nil || at.Scheme != "https" || at.User != nil {
		return errors.New("metadata: jwks_uri is not an https URL")
	}
	if at.Host == from.Host || at.Host == microsoft[from.Host] {
		return nil
	}
	return fmt.Errorf("metadata: jwks_uri is at the host %.200q and not at the issuer's", at.Host)
}

func (i *Issuers) get(ctx context.Context, address string, limit int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := i.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered with %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("longer than %d bytes", limit)
	}
	return body, err
}

// parseKeys takes the RSA keys for signatures that have a name, and passes over all
// others.
func parseKeys(body []byte) (map[string]*rsa.PublicKey, error) {
	set, err := jwk.Parse(body, jwk.WithIgnoreParseError(true)) // one key that it cannot read must not cost the others
	if err != nil {
		return nil, errors.New("keys: not a set of keys")
	}
	if set.Len() > keysMax {
		return nil, fmt.Errorf("keys: %d, more than %d", set.Len(), keysMax)
	}
	found := map[string]*rsa.PublicKey{}
	for n := range set.Len() {
		key, _ := set.Key(n)
		name, named := key.KeyID()
		use, restricted := key.KeyUsage()
		var public rsa.PublicKey
		if !named || name == "" || restricted && use != "sig" || jwk.Export(key, &public) != nil {
			continue
		}
		if bits := public.N.BitLen(); bits < modulusMin || bits > modulusMax {
			continue
		}
		found[name] = &public
	}
	if len(found) == 0 {
		return nil, errors.New("keys: none that verifies")
	}
	return found, nil
}
