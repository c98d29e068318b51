package node_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

// stays is the one finding of the suite that is as it should be: whoever is
// deactivated is not let in again because a client removes active, which is true
// when it is unassigned (docs/reference/scim.md).
const stays = "PATCH modify() did not remove attribute 'active'"

// suite is a follower of three nodes with an organization for somebody else's suite.
type suite struct {
	url, token, ca string
	bin            string // of the suite's own environment
}

// suiteOf installs what a list of requirements names, all of it by exact version.
func suiteOf(t *testing.T, requirements string) suite {
	t.Helper()
	c := nodetest.Start(t)
	org := organization(c, "conformance")
	var connection object
	c.Do(0, http.MethodPost, "/api/v1/organizations/"+org.ID+"/scim-connections", `{"provider":"generic"}`, &connection)

	venv := filepath.Join(t.TempDir(), "venv")
	bin := filepath.Join(venv, "bin")
	for _, step := range [][]string{
		{"python3", "-m", "venv", venv},
		{filepath.Join(bin, "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements},
	} {
		if out, err := exec.CommandContext(t.Context(), step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", step, err, out)
		}
	}
	follower := (leader(t, c, 0) + 1) % nodetest.Size
	return suite{c.URL(follower) + "/scim/v2/conformance", connection.Token, c.CA(), bin}
}

// TestConformanceSuiteOfOthers runs the scim2 project's suite, which reads the
// discovery documents and then tries every attribute of every resource type, against
// a follower over TLS.
func TestConformanceSuiteOfOthers(t *testing.T) {
	s := suiteOf(t, "testdata/scim/requirements.txt")
	run := exec.CommandContext(t.Context(), filepath.Join(s.bin, "python"), "testdata/scim/check.py")
	run.Env = append(os.Environ(), "SCIM_URL="+s.url, "SCIM_TOKEN="+s.token, "AUTHFI_CACERT="+s.ca)
	var failed bytes.Buffer
	run.Stderr = &failed
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, failed.Bytes())
	}
	passed := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var result struct{ Title, Status, Reason string }
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		switch {
		case result.Status == "SUCCESS":
			passed++
		case !strings.Contains(result.Reason, stays):
			t.Errorf("%s %s: %s", result.Status, result.Title, result.Reason)
		}
	}
	const atLeast = 130 // 134 when this was written; a suite that tries nothing finds nothing
	if passed < atLeast {
		t.Errorf("only %d checks have passed", passed)
	}
	t.Logf("%d checks have passed", passed)
}

// withoutBody begins what the probe says of a PATCH of a group, which is answered by 204:
// Entra asks for it, and the RFC leaves the choice (docs/reference/scim.md).
const withoutBody = "PATCH /Groups/{id}"

// TestProbeOfOthers runs scim-sanity, which leads users and groups through their lives
// and looks at every answer, strictly.
func TestProbeOfOthers(t *testing.T) {
	s := suiteOf(t, "testdata/scim/sanity.txt")
	run := exec.CommandContext(t.Context(), filepath.Join(s.bin, "scim-sanity"), "probe", s.url,
		"--token", s.token, "--ca-bundle", s.ca, "--strict", "--json-output", "--i-accept-side-effects")
	out, failed := run.Output() // fails because of what it finds
	var report struct {
		Results []struct{ Name, Status, Message string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v, %v\n%s", failed, err, out)
	}
	passed := 0
	for _, result := range report.Results {
		switch {
		case result.Status == "pass":
			passed++
		case result.Status == "skip", strings.HasPrefix(result.Name, withoutBody) && strings.Contains(result.Message, "got 204"):
		default:
			t.Errorf("%s %s: %s", result.Status, result.Name, result.Message)
		}
	}
	const atLeast = 24 // 25 when this was written
	if passed < atLeast {
		t.Errorf("only %d checks have passed", passed)
	}
}
