package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGenerated: what is checked in is what the document gives.
func TestGenerated(t *testing.T) {
	if err := run("../..", true); err != nil {
		t.Error(err)
	}
}

// TestCompare finds a file that differs, one that is missing and one too many, and
// nothing wrong with what Python keeps of modules that were used.
func TestCompare(t *testing.T) {
	root := t.TempDir()
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(root, "sdk/python/authfi/admin/__pycache__")
	if err := errors.Join(os.Mkdir(kept, 0o755), os.WriteFile(filepath.Join(kept, "user.pyc"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true); err != nil {
		t.Errorf("a moment later: %v", err)
	}
	left := filepath.Join(root, folders[0], "left.go")
	differs := filepath.Join(root, folders[0], "user.go")
	missing := filepath.Join(root, folders[0], "group.go")
	if err := os.WriteFile(left, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(differs, []byte("package admin\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	err := run(root, true)
	for _, path := range []string{left, differs, missing} {
		if err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s is not named: %v", path, err)
		}
	}
}

// TestNames of Go, JavaScript and Python.
func TestNames(t *testing.T) {
	for name, want := range map[string][3]string{
		"ListUsers":                {"ListUsers", "listUsers", "list_users"},
		"org_id":                   {"OrgID", "org_id", "org_id"},
		"backchannel_logout_uri":   {"BackchannelLogoutURI", "backchannel_logout_uri", "backchannel_logout_uri"},
		"redirect_uris":            {"RedirectURIs", "redirect_uris", "redirect_uris"},
		"CreateApiKey":             {"CreateAPIKey", "createApiKey", "create_api_key"},
		"dpop_bound_access_tokens": {"DpopBoundAccessTokens", "dpop_bound_access_tokens", "dpop_bound_access_tokens"},
	} {
		if got := [3]string{pascal(name), camel(name), snake(name)}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
