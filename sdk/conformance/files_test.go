package conformance_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/authfi/authfi/sdk/conformance"
)

var update = flag.Bool("update", false, "write the files anew")

// TestFiles: the files are what the package makes, byte for byte.
func TestFiles(t *testing.T) {
	for name, value := range map[string]any{
		"tokens.json": conformance.MakeTokens(), "permissions.json": conformance.MakePermissions(), "keys.json": conformance.MakeKeys(),
		"feed.json": conformance.MakeFeed(), "postures.json": conformance.MakePostures(), "http.json": conformance.MakeAnswers(),
		"rights.json": conformance.MakeRights(), "heartbeats.json": conformance.MakeHeartbeats(),
	} {
		made, err := json.MarshalIndent(value, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, '\n')
		if *update {
			if err := os.WriteFile(name, made, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if kept, err := os.ReadFile(name); err != nil || !bytes.Equal(kept, made) {
			t.Errorf("%s is not what the package makes: %v; go test ./sdk/conformance -update", name, err)
		}
	}
}

// TestNames: a case that is named like another hides it in a report.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range conformance.MakeTokens().Cases {
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	for _, c := range conformance.MakeHeartbeats().Cases {
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	for _, c := range conformance.MakeRights() {
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	for _, all := range [][]conformance.Timeline{conformance.MakeKeys(), conformance.MakeFeed()} {
		for _, line := range all {
			if seen[line.Name] {
				t.Errorf("%s is there twice", line.Name)
			}
			seen[line.Name] = true
		}
	}
}
