package node_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

// The directory that is restored: each user in ten groups of a thousand, with an
// event, and every tenth with a session.
const (
	largeUsers    = 100_000
	largeGroups   = 1_000
	largeSessions = largeUsers / 10
)

// large is a backup of it, with its key and an operator's token.
func large(b *testing.B) (file []byte, key backup.Key, token string) {
	b.Helper()
	ring, err := keyring.Generate()
	if err != nil {
		b.Fatal(err)
	}
	if key, err = backup.NewKey(); err != nil {
		b.Fatal(err)
	}
	m, err := fsm.Open(disk.NewMemory())
	if err != nil {
		b.Fatal(err)
	}
	g := &grower{b: b, m: m, org: access.NewID[directory.OrgID](time.Now())}
	token = g.found(ring)
	g.fill()
	return g.file(ring, key), key, token
}

// grower applies commands to a machine, many in an entry.
type grower struct {
	b       *testing.B
	m       *fsm.Machine
	org     directory.OrgID
	waiting []*fsm.Envelope
	actor   directory.Actor
}

func (g *grower) do(c fsm.Command) {
	env := &fsm.Envelope{Actor: g.actor, Source: "api", Now: directory.TimeOf(time.Now()), Command: c}
	if _, ok := c.(fsm.OrgCommand); ok {
		env.Org = g.org
	}
	if g.waiting = append(g.waiting, env); len(g.waiting) == 1_000 {
		g.flush()
	}
}

func (g *grower) flush() {
	g.b.Helper()
	results, err := g.m.Apply([]fsm.Entry{{Index: g.m.Applied() + 1, Term: 1, Envelopes: g.waiting}})
	if err != nil {
		g.b.Fatal(err)
	}
	for _, r := range results[0] {
		if r.Err != nil {
			g.b.Fatal(r.Err)
		}
	}
	g.waiting = nil
}

func (g *grower) found(ring *keyring.Keyring) (token string) {
	g.b.Helper()
	secret, err := login.NewSecret(ring)
	if err != nil {
		g.b.Fatal(err)
	}
	key, err := login.NewSigningKey(ring, g.org)
	if err != nil {
		g.b.Fatal(err)
	}
	id := access.NewID[directory.OperatorID](time.Now())
	token, hash := access.NewOperatorToken(id)
	g.actor = directory.Actor{Kind: directory.ActorNode}
	g.do(&fsm.PutTokenSecret{Secret: secret})
	g.do(&fsm.CreateOperator{Operator: directory.Operator{ID: id, Name: "root", Token: hash}})
	g.flush()
	g.actor = directory.Actor{Kind: directory.ActorOperator, ID: id}
	g.do(&fsm.CreateOrganization{
		Organization: directory.Organization{ID: g.org, Slug: "large", Name: "Large"}, Key: key,
		Roles: []directory.RoleID{access.NewID[directory.RoleID](time.Now()), access.NewID[directory.RoleID](time.Now()), access.NewID[directory.RoleID](time.Now())},
	})
	g.do(&fsm.SetOrganizationLimits{Status: directory.OrganizationActive, UserQuota: 2 * largeUsers})
	g.flush()
	return token
}

func (g *grower) fill() {
	g.b.Helper()
	users := make([]directory.UserID, largeUsers)
	for i := range users {
		users[i] = access.NewID[directory.UserID](time.Now())
		name := fmt.Sprintf("user-%06d@large.example", i)
		g.do(&fsm.CreateUser{User: directory.User{ID: users[i], UserName: name, Email: name, DisplayName: fmt.Sprintf("User %d", i), Active: true}})
	}
	for i := range largeGroups {
		members := make([]directory.UserID, largeUsers/100)
		for k := range members {
			members[k] = users[(i*97+k*101)%largeUsers]
		}
		g.do(&fsm.CreateGroup{Group: directory.Group{ID: access.NewID[directory.GroupID](time.Now()), Name: fmt.Sprintf("group-%04d", i)}, Members: members})
	}
	for i := range largeSessions {
		g.do(&fsm.StartSession{ID: access.NewID[directory.SessionID](time.Now()), User: users[i], Methods: []string{"pwd"}})
	}
	g.flush()
}

func (g *grower) file(ring *keyring.Keyring, key backup.Key) []byte {
	g.b.Helper()
	root := g.m.Root()
	digest := fsm.Digest(root)
	org, ok := root.Org(g.org)
	if !ok {
		g.b.Fatal("the organization is not there")
	}
	var out bytes.Buffer
	err := backup.Write(&out, key.Public(), backup.Header{
		Index: uint64(root.Applied()), Term: root.Meta().Term, Digest: hex.EncodeToString(digest[:]), Level: int(root.System().Level()),
	}, backup.Manifest{Keyring: ring.Secret(), Organizations: []backup.Organization{{
		ID: g.org.String(), Slug: "large", Users: org.Users(), Groups: org.Groups(), Roles: org.Roles(), Assignments: org.Assignments(),
	}}}, func(w io.Writer) error { return fsm.WriteSnapshot(w, root) })
	if err != nil {
		g.b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkRestore is the first node's part alone.
func BenchmarkRestore(b *testing.B) {
	file, key, _ := large(b)
	b.SetBytes(int64(len(file)))
	cfg := node.Config{
		NodeID: "node-1", API: "127.0.0.1:1", Peer: "127.0.0.1:2", Issuer: "https://large.example",
		Enforce: node.EnforceConfig{Mode: "gate"},
	}
	for b.Loop() {
		cfg.Dir = filepath.Join(b.TempDir(), "data")
		if _, err := node.Restore(cfg, bytes.NewReader(file), key); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(file))/(1<<20), "MiB")
}

// BenchmarkRestoreToThreeNodes is from the file to three nodes that serve.
func BenchmarkRestoreToThreeNodes(b *testing.B) {
	file, key, token := large(b)
	for b.Loop() {
		c, _ := nodetest.Restore(b, bytes.NewReader(file), key, token)
		for i := range nodetest.Size {
			c.Do(i, http.MethodGet, "/api/v1/status", "", nil)
			c.Stop(i)
		}
	}
}

// BenchmarkVerifyBackup restores into memory.
func BenchmarkVerifyBackup(b *testing.B) {
	file, key, _ := large(b)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := node.VerifyBackup(bytes.NewReader(file), key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteBackup is what a node does to make one, without a network or a disk.
func BenchmarkWriteBackup(b *testing.B) {
	file, key, _ := large(b)
	var state bytes.Buffer
	r, err := backup.Open(bytes.NewReader(file), key)
	if err != nil {
		b.Fatal(err)
	}
	if err := r.State(func(in io.Reader) error { _, err := io.Copy(&state, in); return err }); err != nil {
		b.Fatal(err)
	}
	m, err := fsm.Open(disk.NewMemory())
	if err != nil {
		b.Fatal(err)
	}
	if err := m.Restore(&state); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		err := backup.Write(io.Discard, key.Public(), r.Header, r.Manifest, func(w io.Writer) error { return fsm.WriteSnapshot(w, m.Root()) })
		if err != nil {
			b.Fatal(err)
		}
	}
}
