package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authfi/authfi/bpf/policy"
)

const pageOfPolicies = "../docs/reference/policies.md"

// TestExampleOfThePage runs the file that the reference shows, and holds the page to
// the codes that there are.
func TestExampleOfThePage(t *testing.T) {
	content, err := os.ReadFile(pageOfPolicies)
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	begin, end := strings.Index(page, "\n    {\n"), strings.Index(page, "\n    }\n")
	if begin < 0 || end < begin {
		t.Fatal("the page shows no file")
	}
	file := filepath.Join(t.TempDir(), "examples.json")
	if err := os.WriteFile(file, []byte(page[begin:end+len("\n    }\n")]), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := invoke(t, "authfi", "policy", "test", file, "--no-headers")
	if code != 0 || strings.Count(stdout, "true  ") != strings.Count(page, `{"name": "`) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, code := range []string{
		policy.CodeEmpty, policy.CodeUnreachable, policy.CodeShadowed, policy.CodeWeaker, policy.CodeBroad, policy.CodePublicWrite,
		policy.CodeFolding, policy.CodeUnknownRole, policy.CodeUnknownPermission, policy.CodeMore,
	} {
		if !strings.Contains(page, "`"+code+"`") {
			t.Errorf("%s has no line", code)
		}
	}
}
