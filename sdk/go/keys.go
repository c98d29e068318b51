package authfi

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Times and bounds of the keys.
const (
	setMax         = 256 << 10 // bytes of a key set
	refreshDefault = 5 * time.Minute
	refreshMin     = time.Minute
	refreshMax     = time.Hour
	retryAfter     = 10 * time.Second // a fetch that has failed
	staleMax       = 24 * time.Hour   // keys serve so long while their source fails
	tokensMax      = 3                // refetches for unknown kids at once; a forged kid cannot take all
	tokenEvery     = 10 * time.Second // and one more
	missesMax      = 128
	missLife       = 60 * time.Second
)

const (
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

type key struct {
	alg string
	ec  *ecdsa.PublicKey
	ed  ed25519.PublicKey
}

var errSet = errors.New("not a key set with a usable key")

// parseSet reads the keys that are of use here and leaves out those of other types
// and purposes. A set that names two keys alike, or none, is not taken.
func parseSet(body []byte) (map[string]*key, error) {
	if len(body) > setMax {
		return nil, errSet
	}
	o, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	list, _ := o["keys"].([]any)
	keys := map[string]*key{}
	for _, item := range list {
		jwk, _ := item.(object)
		kid, ok := text(jwk["kid"])
		k := parseKey(jwk)
		if k == nil || !ok || len(kid) > kidMax {
			continue
		}
		if keys[kid] != nil {
			return nil, errSet
		}
		keys[kid] = k
	}
	if len(keys) == 0 {
		return nil, errSet
	}
	return keys, nil
}

func parseKey(jwk object) *key {
	if _, private := jwk["d"]; private {
		return nil // whoever publishes it has lost it
	}
	if use, there := jwk["use"]; there && use != "sig" {
		return nil
	}
	if ops, there := jwk["key_ops"]; there {
		if list, ok := texts(ops); !ok || !slices.Contains(list, "verify") {
			return nil
		}
	}
	var k *key
	switch {
	case jwk["kty"] == "EC" && jwk["crv"] == "P-256":
		k = pointKey(jwk)
	case jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519":
		if x, ok := coordinate(jwk["x"]); ok {
			k = &key{alg: algEdDSA, ed: x}
		}
	}
	if alg, there := jwk["alg"]; k == nil || there && alg != k.alg {
		return nil
	}
	return k
}

func pointKey(jwk object) *key {
	x, okX := coordinate(jwk["x"])
	y, okY := coordinate(jwk["y"])
	if !okX || !okY {
		return nil
	}
	point := slices.Concat([]byte{4}, x, y) // uncompressed, SEC 1
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil
	}
	return &key{alg: algES256, ec: public}
}

func coordinate(value any) ([]byte, bool) {
	s, _ := text(value)
	b, ok := decode(s)
	return b, ok && len(b) == 32
}

// finding is what the keys say of a kid.
type finding string

const (
	keyKnown       finding = "known"
	keyFetch       finding = "fetch" // fetch, then settle
	keyUnknown     finding = "unknown"
	keyUnavailable finding = "unavailable" // no keys, or keys that nothing vouches for
)

// keys is the state of the key set. The owner calls it under a lock, fetches when
// it says so, and tells it what came of it.
type keys struct {
	known   map[string]*key
	etag    string
	fetched time.Time // when the set was last vouched for; zero: never
	due     time.Time // when to fetch next; zero: now
	failing bool      // the last fetch has told nothing
	budget  float64   // refetches that unknown kids may cause
	counted time.Time // when budget was last counted
	misses  map[string]time.Time
}

func newKeys(now time.Time) *keys {
	return &keys{budget: tokensMax, counted: now, misses: map[string]time.Time{}}
}

// find looks a kid up. keyFetch spends one refetch of the budget.
func (k *keys) find(kid string, now time.Time) (*key, finding) {
	if k.fetched.IsZero() || now.Sub(k.fetched) > staleMax {
		if k.spend(now) {
			return nil, keyFetch
		}
		return nil, keyUnavailable
	}
	if found := k.known[kid]; found != nil {
		return found, keyKnown
	}
	if missed, there := k.misses[kid]; there && now.Sub(missed) < missLife {
		return nil, keyUnknown
	}
	if k.spend(now) {
		return nil, keyFetch
	}
	if k.failing {
		return nil, keyUnavailable
	}
	return nil, keyUnknown
}

// settle looks again after a fetch and remembers a kid that is not there, unless
// the fetch has failed: that is nobody's forgery.
func (k *keys) settle(kid string, now time.Time) (*key, finding) {
	if k.fetched.IsZero() || now.Sub(k.fetched) > staleMax {
		return nil, keyUnavailable
	}
	if found := k.known[kid]; found != nil {
		return found, keyKnown
	}
	if k.failing {
		return nil, keyUnavailable
	}
	if len(k.misses) >= missesMax {
		k.forgetOldest()
	}
	k.misses[kid] = now
	return nil, keyUnknown
}

func (k *keys) forgetOldest() {
	oldest, when := "", time.Time{}
	for kid, at := range k.misses {
		if oldest == "" || at.Before(when) {
			oldest, when = kid, at
		}
	}
	delete(k.misses, oldest)
}

func (k *keys) spend(now time.Time) bool {
	if gained := now.Sub(k.counted); gained > 0 {
		k.budget = min(tokensMax, k.budget+gained.Seconds()/tokenEvery.Seconds())
		k.counted = now
	}
	if k.budget < 1 {
		return false
	}
	k.budget--
	return true
}

// answer is what the source of the keys has said; status 0: nothing.
type answer struct {
	status int
	body   []byte
	etag   string
	maxAge time.Duration // zero: not said
	date   time.Time     // of the source's clock; zero: not said
}

// take accepts a set or keeps what there is. jitter is within ±0.2. It reports
// whether the keys have changed.
func (k *keys) take(a answer, now time.Time, jitter float64) (changed bool) {
	fresh := a.status == http.StatusNotModified && !k.fetched.IsZero()
	if a.status == http.StatusOK {
		if set, err := parseSet(a.body); err == nil {
			changed, fresh = !sameKeys(k.known, set), true
			k.known, k.etag = set, a.etag
		}
	}
	k.failing = !fresh
	wait := retryAfter
	if fresh {
		k.fetched, wait = now, refreshDefault
		if a.maxAge > 0 {
			wait = min(max(a.maxAge, refreshMin), refreshMax)
		}
	}
	k.due = now.Add(time.Duration(float64(wait) * (1 + jitter)))
	return changed
}

func sameKeys(a, b map[string]*key) bool {
	if len(a) != len(b) {
		return false
	}
	for kid, k := range a {
		if other := b[kid]; other == nil || !k.same(other) {
			return false
		}
	}
	return true
}

func (k *key) same(other *key) bool {
	if k.alg != other.alg {
		return false
	}
	if k.alg == algEdDSA {
		return k.ed.Equal(other.ed)
	}
	return k.ec.Equal(other.ec)
}

// maxAge reads max-age of Cache-Control.
func maxAge(header string) time.Duration {
	for part := range strings.SplitSeq(header, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(part), "max-age="); ok {
			if age, err := time.ParseDuration(value + "s"); err == nil && age > 0 {
				return age
			}
		}
	}
	return 0
}
