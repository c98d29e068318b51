package cli_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/authfi/authfi/backup"
)

// testBackup takes a backup of nodes, whole, and over a network that does not let
// it through as it was sent.
func testBackup(o *organizations) {
	var made struct {
		Name        string
		RecoveryKey string `json:"recovery_key"`
	}
	if err := json.Unmarshal([]byte(o.run("recovery-key", "create", "-o", "json")), &made); err != nil {
		o.t.Fatal(err)
	}
	key, err := backup.ParseKey(made.RecoveryKey)
	if err != nil || key.Public().Name() != made.Name {
		o.t.Fatalf("%v: the key %q", err, made.Name)
	}
	if now := o.run("recovery-key", "get", "--query", ".recovery_key.name"); strings.TrimSpace(now) != made.Name {
		o.t.Errorf("the cluster knows %s, made was %s", now, made.Name)
	}
	file := filepath.Join(o.dir, "one.backup")
	var said struct {
		File, Sha256, Digest, Key string
		Bytes, Index              int
	}
	if err := json.Unmarshal([]byte(o.run("backup", file, "-o", "json")), &said); err != nil {
		o.t.Fatal(err)
	}
	content := opened(o, file, key)
	if said.File != file || said.Bytes != len(content) || said.Key != made.Name || said.Index == 0 {
		o.t.Errorf("%+v of %d bytes", said, len(content))
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		o.t.Errorf("%v %v", info, err)
	}
	if _, stderr, code := invoke(o.t, "authfi", "backup", file); code != 2 || !strings.Contains(stderr, "replaces none") {
		o.t.Errorf("over a file: exit %d %s", code, stderr)
	}
	stdout, stderr, code := invoke(o.t, "authfi", "backup", "-")
	if _, err := backup.ReadHeader(strings.NewReader(stdout)); err != nil || code != 0 || !strings.Contains(stderr, "stdout: index") {
		o.t.Errorf("to stdout: exit %d %v %s", code, err, stderr)
	}
	o.t.Chdir(o.t.TempDir())
	o.run("backup")
	if named, err := filepath.Glob("authfi-*Z-*.backup"); err != nil || len(named) != 1 {
		o.t.Errorf("without a name: %v %v", named, err)
	}
	for what, spoil := range map[string]func([]byte) []byte{
		"cut":         func(b []byte) []byte { return b[:len(b)/2] },
		"cut at once": func(b []byte) []byte { return b[:3] },
		"altered":     func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b },
	} {
		dir := o.t.TempDir()
		_, stderr, code := invoke(o.t, append([]string{"authfi", "backup", filepath.Join(dir, "x")}, spoiling(o, spoil)...)...)
		if code != 1 || stderr == "" {
			o.t.Errorf("%s: exit %d %s", what, code, stderr)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			o.t.Errorf("%s: left behind %v %v", what, left, err)
		}
	}
}

// opened demands that the key opens a file to its end.
func opened(o *organizations, name string, key backup.Key) []byte {
	o.t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := backup.Open(bytes.NewReader(content), key)
	if err == nil {
		err = r.State(func(in io.Reader) error { _, err := io.Copy(io.Discard, in); return err })
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return content
}

// spoiling are the flags for a way to a node that changes what it sends, and leaves
// the trailer behind it.
func spoiling(o *organizations, spoil func([]byte) []byte) []string {
	o.t.Helper()
	node, err := url.Parse(o.cluster.URL(1))
	if err != nil {
		o.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(node)
	proxy.Transport = o.cluster.Transport()
	proxy.ModifyResponse = func(res *http.Response) error {
		body, err := io.ReadAll(res.Body)
		res.Body = io.NopCloser(bytes.NewReader(spoil(body)))
		return err
	}
	server := httptest.NewTLSServer(proxy)
	o.t.Cleanup(server.Close)
	ca := o.write("spoiling.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	return []string{"--url", server.URL, "--cacert", ca}
}
