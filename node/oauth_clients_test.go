package node_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

// TestOAuthClientsOfOthers: libraries that we did not write, by exact version, do what
// applications do with them, against a follower over TLS.
func TestOAuthClientsOfOthers(t *testing.T) {
	c := nodetest.Start(t, developing)
	dir := filepath.Join(t.TempDir(), "oauth")
	if err := os.CopyFS(dir, os.DirFS("testdata/oauth")); err != nil {
		t.Fatal(err)
	}
	in := func(env []string, name string, args ...string) string {
		t.Helper()
		run := exec.CommandContext(t.Context(), name, args...)
		run.Dir, run.Env = dir, append(os.Environ(), env...)
		out, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	python := filepath.Join(dir, "venv", "bin", "python")
	in(nil, "npm", "ci", "--no-audit", "--no-fund", "--silent")
	in(nil, "python3", "-m", "venv", filepath.Join(dir, "venv"))
	in(nil, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt")
	for name, command := range map[string][]string{
		"openid-client": {"node", "openid-client.mjs"},
		"oauth4webapi":  {"node", "oauth4webapi.mjs"},
		"authlib":       {python, "authlib_client.py"},
	} {
		s := newSite(t, c, name)
		out := in([]string{
			"ISSUER=" + s.issuer(), "REDIRECT=" + backURL, "ORG=" + s.org, "ACCOUNT=" + s.account,
			"CLIENT_ID=" + s.web.ID, "CLIENT_SECRET=" + s.web.Secret, "BROKER_ID=" + s.broker.ID, "BROKER_SECRET=" + s.broker.Secret,
			"AUTHFI_URL=" + c.URL(0), "AUTHFI_TOKEN=" + c.Token(), "AUTHFI_CACERT=" + c.CA(), "NODE_EXTRA_CA_CERTS=" + c.CA(),
			"PYTHONWARNINGS=error::DeprecationWarning:__main__",
		}, command[0], command[1:]...)
		if !strings.Contains(out, name+": ok") {
			t.Errorf("%s did not come to its end: %s", name, out)
		}
	}
}
