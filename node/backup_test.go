package node_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

// recoverable gives the cluster a recovery key.
func recoverable(t *testing.T, c *nodetest.Cluster) backup.Key {
	t.Helper()
	key, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public()
	c.Do(0, http.MethodPut, "/api/v1/recovery-key",
		fmt.Sprintf(`{"recipient":%q,"proof":%q}`, public.Recipient, hex.EncodeToString(public.Proof)), nil)
	return key
}

// follower is a node that does not lead.
func follower(t *testing.T, c *nodetest.Cluster) int {
	t.Helper()
	return (leader(t, c, 0) + 1) % nodetest.Size
}

type signIn struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// TestBackupFromAFollowerUnderWritesMakesANewCluster is the whole story: what was
// acknowledged before is there, credentials that must be good are, and those that
// may have been ended since are not.
func TestBackupFromAFollowerUnderWritesMakesANewCluster(t *testing.T) {
	c := nodetest.Start(t)
	key := recoverable(t, c)
	org := organization(c, "memorial")
	randomWrites(t, c, org, 100)
	var user, connection object
	c.Do(0, http.MethodPost, "/api/v1/users", userBody(org, "alice"), &user)
	c.Do(0, http.MethodPost, "/api/v1/organizations/"+org.ID+"/scim-connections", `{"provider":"entra"}`, &connection)
	session := fmt.Sprintf(`{"org_id":%q,"user_id":%q,"amr":["pwd"]}`, org.ID, user.ID)
	var old signIn
	c.Do(0, http.MethodPost, "/api/v1/sessions", session, &old)
	keys := c.Do(0, http.MethodGet, "/o/memorial/.well-known/jwks.json", "", nil).Body

	stop := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				c.Call(n%nodetest.Size, http.MethodPost, "/api/v1/users", userBody(org, fmt.Sprintf("during%d", n)))
			}
		}
	})
	file := c.Do(follower(t, c), http.MethodGet, "/api/v1/backup", "", nil).Body
	close(stop)
	writers.Wait()
	for i := range nodetest.Size {
		c.Stop(i)
	}

	verified, err := node.VerifyBackup(bytes.NewReader(file), key)
	if err != nil {
		t.Fatal(err)
	}
	restored, done := nodetest.Restore(t, bytes.NewReader(file), key, c.Token())
	if done.Header != verified.Header || done.SessionsEnded == 0 || done.Organizations != 1 {
		t.Errorf("restored %+v, verified %+v", done, verified)
	}
	if now := converged(t, restored); now.Index <= verified.Header.Index {
		t.Errorf("the new cluster is at %d, the backup at %d", now.Index, verified.Header.Index)
	}
	for i := range nodetest.Size {
		restored.Do(i, http.MethodGet, "/api/v1/users/"+user.ID, "", nil)
		restored.Do(i, http.MethodGet, "/scim/v2/memorial/Users", "", nil, "Authorization", "Bearer "+connection.Token)
		if now := restored.Do(i, http.MethodGet, "/o/memorial/.well-known/jwks.json", "", nil).Body; !bytes.Equal(now, keys) {
			t.Errorf("node-%d publishes other keys: %s", i+1, now)
		}
		if answer := restored.Call(i, http.MethodGet, "/api/v1/users/"+user.ID, "", "Authorization", "Bearer "+old.AccessToken); answer.Status != http.StatusUnauthorized {
			t.Errorf("node-%d takes a token from before: %d", i+1, answer.Status)
		}
	}
	if answer := restored.Call(0, http.MethodPost, "/api/v1/sessions/refresh", fmt.Sprintf(`{"refresh_token":%q}`, old.RefreshToken)); answer.Status/100 == 2 {
		t.Errorf("a session from before goes on: %s", answer.Body)
	}
	var fresh signIn
	restored.Do(1, http.MethodPost, "/api/v1/sessions", session, &fresh)
	for i := range nodetest.Size { // signed by the key of before, and taken
		restored.Do(i, http.MethodGet, "/api/v1/users/"+user.ID, "", nil, "Authorization", "Bearer "+fresh.AccessToken)
	}
	again := restored.Do(2, http.MethodGet, "/api/v1/backup", "", nil).Body
	second, err := node.VerifyBackup(bytes.NewReader(again), key)
	if err != nil || second.Header.Cluster == verified.Header.Cluster {
		t.Errorf("a backup of the new cluster: %+v %v", second.Header, err)
	}
	restored.Stop(0)
	restored.Start(0)
	converged(t, restored)
}

// TestBackupSaysWhatTheNodeHas: header and counts of a quiet cluster are those that
// its status tells.
func TestBackupSaysWhatTheNodeHas(t *testing.T) {
	c := nodetest.Start(t)
	if answer := c.Call(0, http.MethodGet, "/api/v1/backup", ""); answer.Status != http.StatusPreconditionFailed || !bytes.Contains(answer.Body, []byte("recovery-key create")) {
		t.Errorf("without a recovery key: %d %s", answer.Status, answer.Body)
	}
	key := recoverable(t, c)
	org := organization(c, "memorial")
	c.Do(0, http.MethodPost, "/api/v1/users", userBody(org, "alice"), nil)
	status := converged(t, c)
	v, err := node.VerifyBackup(bytes.NewReader(c.Do(1, http.MethodGet, "/api/v1/backup", "", nil).Body), key)
	if err != nil {
		t.Fatal(err)
	}
	if v.Header.Index != status.Index || v.Header.Digest != status.Digest {
		t.Errorf("header %+v, status %+v", v.Header, status)
	}
	if len(v.Organizations) != 1 || v.Organizations[0].Slug != "memorial" || v.Organizations[0].Users != 1 {
		t.Errorf("%+v", v.Organizations)
	}
	connection := object{}
	c.Do(0, http.MethodPost, "/api/v1/organizations/"+org.ID+"/scim-connections", `{"provider":"entra"}`, &connection)
	if answer := c.Call(0, http.MethodGet, "/api/v1/backup", "", "Authorization", "Bearer "+connection.Token); answer.Status != http.StatusForbidden {
		t.Errorf("an identity provider: %d %s", answer.Status, answer.Body)
	}
}

// TestBackupWithoutAQuorum: what one node has can be had when it is told that this
// may not be all.
func TestBackupWithoutAQuorum(t *testing.T) {
	c := nodetest.Start(t)
	key := recoverable(t, c)
	converged(t, c)
	c.Stop(1)
	c.Stop(2)
	if answer := c.Call(0, http.MethodGet, "/api/v1/backup", ""); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("a backup that must hold everything: %d", answer.Status)
	}
	file := c.Do(0, http.MethodGet, "/api/v1/backup?stale=true", "", nil).Body
	if _, err := node.VerifyBackup(bytes.NewReader(file), key); err != nil {
		t.Error(err)
	}
}

// TestRestoreRefuses whatever is not a whole, unaltered backup for this key, and
// leaves the directory as it was.
func TestRestoreRefuses(t *testing.T) {
	c := nodetest.Start(t)
	key := recoverable(t, c)
	org := organization(c, "memorial")
	randomWrites(t, c, org, 100)
	file := c.Do(0, http.MethodGet, "/api/v1/backup", "", nil).Body
	other, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.Config(0)
	cfg.Dir = t.TempDir()
	body := bytes.Index(file, []byte("age-encryption.org/v1"))
	for _, wrong := range []struct {
		what string
		file []byte
		key  backup.Key
		want error
	}{
		{"another key", file, other, backup.ErrKey},
		{"nothing", nil, key, backup.ErrDamaged},
		{"no backup", []byte(strings.Repeat("x", 1000)), key, backup.ErrDamaged},
		{"cut in the header", file[:body/2], key, backup.ErrDamaged},
		{"cut before the content", file[:body+30], key, backup.ErrDamaged},
		{"cut in the middle", file[:len(file)/2], key, backup.ErrDamaged},
		{"cut at a chunk", file[:len(file)-len(file)%(64<<10)], key, backup.ErrDamaged},
		{"without the last byte", file[:len(file)-1], key, backup.ErrDamaged},
		{"one byte more", append(bytes.Clone(file), 0), key, backup.ErrDamaged},
		{"a byte of the header", flipped(file, body-10), key, backup.ErrDamaged},
		{"a byte in the middle", flipped(file, len(file)/2), key, backup.ErrDamaged},
		{"the last byte", flipped(file, len(file)-1), key, backup.ErrDamaged},
	} {
		_, verify := node.VerifyBackup(bytes.NewReader(wrong.file), wrong.key)
		_, restore := node.Restore(cfg, bytes.NewReader(wrong.file), wrong.key)
		if !errors.Is(verify, wrong.want) || !errors.Is(restore, wrong.want) {
			t.Errorf("%s: verify says %v, restore %v", wrong.what, verify, restore)
		}
		if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind %v %v", wrong.what, left, err)
		}
	}
	kept := filepath.Join(cfg.Dir, "kept")
	if err := os.WriteFile(kept, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Restore(cfg, bytes.NewReader(file), key); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a directory that is not empty: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("it was emptied: %v", err)
	}
}

func flipped(file []byte, at int) []byte {
	altered := bytes.Clone(file)
	altered[at] ^= 0x20
	return altered
}

// rewritten is a file that the key's holder made anew with other claims about the
// same state.
func rewritten(t *testing.T, file []byte, key backup.Key, change func(*backup.Header, *backup.Manifest)) []byte {
	t.Helper()
	r, err := backup.Open(bytes.NewReader(file), key)
	if err != nil {
		t.Fatal(err)
	}
	var state, out bytes.Buffer
	if err := r.State(func(in io.Reader) error { _, err := io.Copy(&state, in); return err }); err != nil {
		t.Fatal(err)
	}
	change(&r.Header, &r.Manifest)
	err = backup.Write(&out, key.Public(), r.Header, r.Manifest, func(w io.Writer) error { _, err := state.WriteTo(w); return err })
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestRestoreComparesWhatComesOut: a file that is sound as a file, and says what is
// not so of its state or asks for a newer build.
func TestRestoreComparesWhatComesOut(t *testing.T) {
	c := nodetest.Start(t)
	key := recoverable(t, c)
	organization(c, "memorial")
	file := c.Do(0, http.MethodGet, "/api/v1/backup", "", nil).Body
	cfg := c.Config(0)
	for what, change := range map[string]func(*backup.Header, *backup.Manifest){
		"state":           func(h *backup.Header, _ *backup.Manifest) { h.Index++ },
		"digest":          func(h *backup.Header, _ *backup.Manifest) { h.Digest = strings.Repeat("0", 64) },
		"of term":         func(h *backup.Header, _ *backup.Manifest) { h.Term++ },
		"feature level":   func(h *backup.Header, _ *backup.Manifest) { h.Level++ },
		"organizations":   func(_ *backup.Header, m *backup.Manifest) { m.Organizations = nil },
		"memorial":        func(_ *backup.Header, m *backup.Manifest) { m.Organizations[0].Users++ },
		"cluster key has": func(_ *backup.Header, m *backup.Manifest) { m.Keyring = m.Keyring[1:] },
	} {
		wrong := rewritten(t, file, key, change)
		cfg.Dir = t.TempDir()
		if _, err := node.Restore(cfg, bytes.NewReader(wrong), key); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	cfg.Dir = filepath.Join(t.TempDir(), "new")
	if _, err := node.Restore(cfg, bytes.NewReader(rewritten(t, file, key, func(*backup.Header, *backup.Manifest) {})), key); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}
