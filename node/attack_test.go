package node_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

// attack tries one thing at node i of a site of its own.
type attack func(s *site, i int)

// attacks are the cases of the rows in testdata/attacks.txt, by class.
var attacks = map[string]map[string]attack{
	"F": codeAttacks,
	"G": textAttacks,
	"P": exchangeAttacks,
	"Q": claimAttacks,
	"R": keyAttacks,
	"T": revocationAttacks,
}

// TestAttackRows: each row has a case, and each case a row.
func TestAttackRows(t *testing.T) {
	for _, finding := range uncovered(t, attacks) {
		t.Error(finding)
	}
	if len(uncovered(t, map[string]map[string]attack{"F": {"no such row": nil}})) < 2 {
		t.Error("the comparison finds nothing where nothing fits")
	}
}

func uncovered(t *testing.T, cases map[string]map[string]attack) (found []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/attacks.txt")
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]map[string]bool{}
	for line := range strings.Lines(string(text)) {
		class, row, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || class == "#" {
			continue
		}
		if wanted[class] == nil {
			wanted[class] = map[string]bool{}
		}
		wanted[class][row] = true
		if cases[class][row] == nil {
			found = append(found, fmt.Sprintf("class %s: %q has no case", class, row))
		}
	}
	if len(wanted) == 0 {
		t.Fatal("the list has no rows")
	}
	for class, rows := range cases {
		for row := range rows {
			if !wanted[class][row] {
				found = append(found, fmt.Sprintf("class %s: the case %q has no row", class, row))
			}
		}
	}
	return found
}

// withstand tries the attacks of a class at the leader and at a follower.
func withstand(t *testing.T, class string) {
	c := nodetest.Start(t, developing)
	lead := leader(t, c, 0)
	at := map[string]int{"leader": lead, "follower": (lead + 1) % nodetest.Size}
	n := 0
	for _, row := range slices.Sorted(maps.Keys(attacks[class])) {
		for _, where := range slices.Sorted(maps.Keys(at)) {
			n++
			t.Run(row+"/"+where, func(t *testing.T) {
				attacks[class][row](newSite(t, c, fmt.Sprintf("%s-%d", strings.ToLower(class), n)), at[where])
			})
		}
	}
}

// neighbour is another site of the same cluster.
func (s *site) neighbour() *site { return newSite(s.t, s.c, s.slug+"-neighbour") }

// newClient makes one more client of the site.
func (s *site) newClient(name, fields string) struct{ ID, Secret string } {
	s.t.Helper()
	var made newClient
	s.at(0, http.MethodPost, "/organizations/"+s.org+"/clients", &made, `{"name":%q,"permissions":["read:patients","write:notes"],%s}`, name, fields)
	return struct{ ID, Secret string }{made.Client.ID, made.ClientSecret}
}

// as is a form with the proof of another client.
func as(fields url.Values, client struct{ ID, Secret string }) url.Values {
	return altered(fields, "client_id", client.ID, "client_secret", client.Secret)
}

// altered is a copy of a form with other values; an empty one takes a field away.
func altered(fields url.Values, more ...string) url.Values {
	out := maps.Clone(fields)
	for n := 0; n < len(more); n += 2 {
		if out.Set(more[n], more[n+1]); more[n+1] == "" {
			out.Del(more[n])
		}
	}
	return out
}

// refused demands an error of the token endpoint, and no token.
func (s *site) refused(i int, what string, fields url.Values, want string) {
	s.t.Helper()
	said := s.tokens(i, fields)
	if said["error"] != want || said["access_token"] != nil {
		s.t.Errorf("%s: %v, want %s", what, said, want)
	}
}

// given demands tokens of the token endpoint.
func (s *site) given(i int, what string, fields url.Values) map[string]any {
	s.t.Helper()
	said := s.tokens(i, fields)
	if said["access_token"] == nil {
		s.t.Errorf("%s: %v", what, said)
	}
	return said
}
