package login_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/sdk/conformance"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func names(o map[string]any) []string { return slices.Sorted(maps.Keys(o)) }

// TestHeartbeat names the index and is verified by the key set; it is no other token,
// and no other token is one.
func TestHeartbeat(t *testing.T) {
	w := newWorld(t)
	grant := w.signIn(0)
	org, _ := w.gate.Root().Org(w.orgs[0])
	beat, err := w.tokens.Heartbeat(org)
	must(t, err)
	set, err := jwk.Parse(outsider(t, w.handler(), http.MethodGet, "/o/north/.well-known/jwks.json", "").Body.Bytes())
	must(t, err)
	for what, row := range map[string]struct {
		at   time.Time
		good bool
	}{"now": {w.clock, true}, "14 seconds later": {w.clock.Add(14 * time.Second), true}, "15": {w.clock.Add(15 * time.Second), false}} {
		_, err := jwt.Parse([]byte(beat), jwt.WithKeySet(set), jwt.WithIssuer(issuer+"/o/north"), jwt.WithClock(jwt.ClockFunc(func() time.Time { return row.at })))
		if (err == nil) != row.good {
			t.Errorf("%s: %v", what, err)
		}
	}
	claims := part(t, beat, 1)
	if part(t, beat, 0)["typ"] != "heartbeat+jwt" || claims["index"] != float64(org.Applied()) || claims["org_id"] != org.ID().String() || claims["sub"] != nil {
		t.Errorf("%v", claims)
	}
	if want := conformance.NewKey("k1").Prove(uint64(org.Applied()), w.clock.Unix()); !slices.Equal(names(part(t, beat, 0)), names(part(t, want, 0))) ||
		!slices.Equal(names(claims), names(part(t, want, 1))) {
		t.Errorf("the SDKs' vectors have others: %v", claims)
	}
	w.refused("a heartbeat", beat)
	w.accepted("a token", grant.AccessToken)
}
