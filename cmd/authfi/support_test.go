package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/node"
)

// canaries are secrets and persons, by where they were put.
type canaries map[string][]byte

func (c canaries) put(where, text string) {
	if len(text) < 8 { // by chance anywhere
		panic(where + ": " + text + " proves nothing")
	}
	c[where] = []byte(text)
}

// found names the canaries that some bytes hold, in whatever way they may be written.
func (c canaries) found(content []byte) (where []string) {
	folded := bytes.ToLower(content)
	for name, secret := range c {
		forms := [][]byte{secret, []byte(strings.Trim(fmt.Sprint(secret), "[]"))}
		for _, text := range []string{
			hex.EncodeToString(secret), base64.RawStdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
		} {
			forms = append(forms, []byte(text))
		}
		for _, form := range forms {
			if bytes.Contains(folded, bytes.ToLower(form)) {
				where = append(where, name)
				break
			}
		}
	}
	slices.Sort(where)
	return where
}

// opened are the files of a support bundle, with what is compressed once more.
func opened(t *testing.T, bundle []byte) map[string][]byte {
	t.Helper()
	plain, err := unzipped(bundle)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"the archive itself": plain}
	for archive := tar.NewReader(bytes.NewReader(plain)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(header.Name, "authfi-support/")
		files[name] = content
		if within, err := unzipped(content); err == nil {
			files[name+" unzipped"] = within
		}
	}
}

func unzipped(content []byte) ([]byte, error) {
	zip, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zip)
}

// plant makes one of each thing that is secret or personal, and sends them to where
// they do not belong.
func plant(t *testing.T, m *machines, id, operator, recovery string) canaries {
	t.Helper()
	c := canaries{}
	c.put("operator's token", operator)
	c.put("recovery key", recovery)
	c.put("recovery key's text", strings.TrimPrefix(recovery, "AGE-SECRET-KEY-PQ-1"))
	secretOf := func(where, field string, args ...string) string {
		t.Helper()
		text := strings.TrimSpace(m.run(append(args, "--query", "."+field)...))
		c.put(where, text)
		return text
	}
	m.run("organizations", "create", "clinic", "--name", "Canarian Clinic Xylograph")
	c.put("organization's name", "Canarian Clinic Xylograph")
	user := secretOf("user's name", "user_name", "users", "create", "canary.quetzalcoatl@clinic.example", "--display-name", "Zephyrine Quetzalcoatl",
		"--phone", "+49 30 901820 4711", "--title", "Canaryologist", "--department", "Departmentcanary")
	for _, text := range []string{"Zephyrine", "Quetzalcoatl", "+49 30 901820 4711", "Canaryologist", "Departmentcanary"} {
		c.put("attribute "+text, text)
	}
	m.run("roles", "create", "rolecanary", "--permissions", "canary:patients")
	m.run("users", "roles", "add", user, "rolecanary")
	m.run("groups", "create", "Groupcanary")
	c.put("role", "rolecanary")
	c.put("group", "groupcanary")
	operators := secretOf("second operator's token", "token", "operators", "create", "night-shift")
	scim := secretOf("SCIM token", "token", "connections", "create", "entra")
	key := secretOf("API key", "key", "api-keys", "create", "export", "--permissions", "canary:patients", "--user-id", user)
	secretOf("client's secret", "client_secret", "clients", "create", "portal", "--grant-types", "authorization_code", "--redirect-uris", "https://portal.example/back", "--permissions", "canary:patients")
	secretOf("event stream's token", "token", "event-streams", "create", "poll", "--audience", "https://receiver.example")
	c.put("authorization of a push", "authorizationcanary-8d1f7a")
	m.run("event-streams", "create", "push", "--audience", "https://receiver.example", "--url", "https://127.0.0.1:1/events", "--authorization", "Bearer authorizationcanary-8d1f7a")
	m.run("users", "update", user, "--title", "Canaryologist emerita") // there is something to push
	access := secretOf("access token", "access_token", "sessions", "start", user, "--amr", "pwd")
	refresh := secretOf("refresh token", "refresh_token", "sessions", "start", user, "--amr", "pwd")
	ticket := strings.TrimSpace(m.run("token", "create"))
	c.put("join token", ticket)
	wrong := ticket[:len(ticket)-8] + "AAAAAAAA" // which the log tells of
	m.refused("refused", "join", m.nodes[id].peer, "--token", wrong, "--dir", t.TempDir(), "--node-id", "z", "--api", "127.0.0.1:2", "--peer", "127.0.0.1:3", "--issuer", "https://127.0.0.1:2")
	c.put("wrong join token", wrong)
	c.files(t, m.nodes[id].dir)
	misuse(t, m.nodes[id], c, operators, scim, key, access, refresh, ticket)
	return c
}

// files are the keys of the data directory, and what somebody left there.
func (c canaries) files(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"cluster.key", "pki/ca.key", "pki/node.pem"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "cluster.key" {
			c["keyring"] = content
			continue
		}
		keys := 0
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			if strings.Contains(block.Type, "PRIVATE") {
				c[name] = block.Bytes[len(block.Bytes)/2:]
				keys++
			}
		}
		if keys != 1 {
			t.Fatalf("%s has %d keys", name, keys)
		}
	}
	c.put("file that was left", "leftbehindcanary-55aa")
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("password leftbehindcanary-55aa"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// misuse sends credentials in paths, queries, headers and bodies, of which some fail.
func misuse(t *testing.T, n *machine, c canaries, credentials ...string) {
	t.Helper()
	c.put("password", "passwordcanary-9e41")
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for _, credential := range credentials {
		for _, target := range []string{
			"/scim/v2/clinic/Users?filter=userName+eq+%22" + credential + "%22", "/scim/v2/clinic/" + credential, "/api/v1/users/" + credential,
			"/o/clinic/authorize?client_id=" + credential, "/o/clinic/token", "/" + credential, "/authfi.v1.UserService/" + credential,
			"/access/v1/evaluation", "/o/clinic/events/poll", "/api/v1/users",
		} {
			for _, header := range []string{"Bearer " + credential, "DPoP " + credential, "Basic " + base64.StdEncoding.EncodeToString([]byte("user:passwordcanary-9e41"))} {
				body := `{"password":"passwordcanary-9e41","userName":"canary.quetzalcoatl@clinic.example","token":"` + credential + `",`
				request, err := http.NewRequest(http.MethodPost, "https://"+n.api+target, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", header)
				request.Header.Set("X-Request-Id", credential)
				request.Header.Set("Content-Type", "application/json")
				answer, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
			}
		}
	}
}

func bundleOf(t *testing.T, m *machines, args ...string) (map[string][]byte, node.BundleManifest, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	said, talk, code := m.try(append([]string{"support", "bundle", "-o", file}, args...)...)
	if code != 0 || said != file+"\n" {
		t.Fatalf("exit %d: %s%s", code, said, talk)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v: %v", info, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := opened(t, content)
	var manifest node.BundleManifest
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if m.refused("exists", append([]string{"support", "bundle", "-o", file}, args...)...); t.Failed() {
		t.Fatal("a bundle replaces a file")
	}
	return files, manifest, talk
}

// fromNode are the parts that only a node that runs can give.
var fromNode = []string{"status.json", "cluster.json", "tallies.json", "metrics.txt", "log.jsonl", "goroutines.txt", "heap.pprof"}

// TestSupportBundle: of all the secrets and persons that a node meets none is in any
// byte of the bundle, nor in the log; and without the node there is a bundle of what
// its files say.
func TestSupportBundle(t *testing.T) {
	m := newMachines(t, "a")
	n := m.nodes["a"]
	operator, recovery := secrets(t, m.run(append([]string{"init"}, m.flags("a", "a")...)...))
	n.config = filepath.Join(t.TempDir(), "authfi.yaml")
	settings := "# password: commentcanary-77\ndir: " + n.dir + "\nenforce:\n  mode: gate\n  listen: [127.0.0.1:1]\n"
	if err := os.WriteFile(n.config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	m.serve("a")
	m.ask("a", operator)
	c := plant(t, m, "a", operator, recovery)
	c.put("comment in the settings", "commentcanary-77")
	at := []string{"--dir", n.dir, "--config", n.config}
	files, manifest, talk := bundleOf(t, m, at...)
	if len(manifest.Missing) > 0 {
		t.Errorf("missing: %+v", manifest.Missing)
	}
	for _, name := range fromNode {
		if len(files[name]) == 0 || !slices.Contains(manifest.Parts, name) || !strings.Contains(talk, name) {
			t.Errorf("%s has %d bytes, and progress says %s", name, len(files[name]), talk)
		}
	}
	for name, word := range map[string]string{
		"settings.json": n.api, "status.json": `"applied_index"`, "cluster.json": "latest_configuration", "tallies.json": `"client_failures"`,
		"metrics.txt": "authfi_applied_index", "log.jsonl": `"msg":"join refused"`, "goroutines.txt": "goroutine profile:", "doctor.json": "disk speed",
		"version.json": "go1.", "machine.json": "loadavg", "files.json": "cluster.key", "members.json": n.peer, "heap.pprof unzipped": "runtime",
	} {
		if !bytes.Contains(files[name], []byte(word)) {
			t.Errorf("%s has no %q:\n%.2000s", name, word, files[name])
		}
	}
	absent(t, c, files)
	absent(t, c, map[string][]byte{"the log of the process": n.log.Bytes()})

	m.kill("a")
	files, manifest, talk = bundleOf(t, m, at...)
	var missing []string
	for _, without := range manifest.Missing {
		missing = append(missing, without.Part)
		if !strings.Contains(without.Why, "does not answer") {
			t.Errorf("%+v", without)
		}
	}
	if !slices.Equal(missing, fromNode) || strings.Count(talk, "not there") != len(fromNode) {
		t.Errorf("without the node %v is missing: %s", missing, talk)
	}
	absent(t, c, files)
	m.serve("a") // the socket of the killed process is in its way
	m.ask("a", operator)
	if _, manifest, _ = bundleOf(t, m, at...); len(manifest.Missing) > 0 {
		t.Errorf("missing after another start: %+v", manifest.Missing)
	}
}

// absent demands that no canary is anywhere, and shows that one would be found.
func absent(t *testing.T, c canaries, files map[string][]byte) {
	t.Helper()
	if len(c) < 20 {
		t.Errorf("only %d canaries", len(c))
	}
	for name, content := range files {
		if where := c.found(content); len(where) > 0 {
			t.Errorf("%s holds %v", name, where)
		}
		for where, secret := range c {
			held := slices.Concat(content, []byte(base64.RawStdEncoding.EncodeToString(secret)))
			if !slices.Contains(c.found(held), where) {
				t.Fatalf("%s would not be found", where)
			}
		}
	}
}

// TestSupportBundleOfNothing: where there is no node at all it says so, part by part.
func TestSupportBundleOfNothing(t *testing.T) {
	m := newMachines(t)
	_, manifest, _ := bundleOf(t, m, "--dir", filepath.Join(t.TempDir(), "nothing"))
	for _, part := range append([]string{"settings.json", "members.json"}, fromNode...) {
		if !slices.ContainsFunc(manifest.Missing, func(m node.Missing) bool { return m.Part == part }) {
			t.Errorf("%s is not missing", part)
		}
	}
	if !slices.Contains(manifest.Parts, "doctor.json") || !slices.Contains(manifest.Parts, "version.json") {
		t.Errorf("there is only %v", manifest.Parts)
	}
}
