package access

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

var update = flag.Bool("update", false, "write testdata/rules.golden")

const rulesGolden = "testdata/rules.golden"

// rulesText is the table as a reviewer reads it: a line per operation.
func rulesText() string {
	var lines []string
	for op, r := range rules {
		scope := map[Scope]string{Instance: "instance", Organization: "organization", Parts: "parts"}[r.Scope]
		var callers []string
		if r.Scope == Parts {
			callers = append(callers, "whoever may do the part")
		}
		if r.Operator {
			callers = append(callers, "operator")
		}
		if r.Connection {
			callers = append(callers, "connection")
		}
		if r.Permission != "" {
			callers = append(callers, "user with "+string(r.Permission))
		}
		if r.NoAPIKey {
			callers = append(callers, "no API key")
		}
		switch {
		case r.SelfWrites:
			callers = append(callers, "user about themselves, also to change it")
		case r.Self:
			callers = append(callers, "user about themselves")
		}
		lines = append(lines, fmt.Sprintf("%-22s %-12s %s\n", op, scope, strings.Join(callers, ", ")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestRulesGolden: whoever opens an operation to somebody sees it in the diff
// of a file that holds nothing else.
func TestRulesGolden(t *testing.T) {
	if *update {
		if err := os.WriteFile(rulesGolden, []byte(rulesText()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(rulesGolden)
	if err != nil {
		t.Fatal(err)
	}
	if got := rulesText(); got != string(want) {
		t.Errorf("the table has changed; if that is meant, run with -update\n%s", got)
	}
}

// TestRulesAreSound: no row admits nobody, no user reaches the instance, and
// identity providers reach SCIM and nothing else.
func TestRulesAreSound(t *testing.T) {
	for op, r := range rules {
		scim := strings.HasPrefix(string(op), "scim.")
		switch {
		case r.Scope == Parts:
			if r != (Rule{Scope: Parts}) {
				t.Errorf("%s has a right of its own beside those of its parts", op)
			}
		case r.Scope != Instance && r.Scope != Organization:
			t.Errorf("%s has no scope", op)
		case r.Scope == Instance && (!r.Operator || r.Connection || r.Self || r.Permission != ""):
			t.Errorf("%s on the instance is open to others than operators", op)
		case r.SelfWrites && !r.Self, r.NoAPIKey && r.Permission == "":
			t.Errorf("%s makes an exception from nothing", op)
		case r.Connection != scim:
			t.Errorf("%s: connection %v", op, r.Connection)
		case scim && (r.Operator || r.Self || r.Permission != ""):
			t.Errorf("%s is open to others than identity providers", op)
		}
	}
	if r, ok := RuleOf("users.burn"); ok || r != (Rule{}) || r.Permission != directory.Permission("") {
		t.Errorf("an operation without a row has the rule %+v", r)
	}
}
