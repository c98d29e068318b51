package node

import (
	"errors"
	"log/slog"
	"math/big"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	userspace "github.com/authfi/authfi/bpf/gate"
)

// reloadable is a node as far as settings go, and the settings that its file says.
func reloadable(t *testing.T, c Config) (n *Node, said *Config) {
	t.Helper()
	said = &c
	running := c
	running.Verbosity = new(slog.LevelVar)
	running.Reread = func() (Config, error) { return *said, nil }
	n = &Node{cfg: running, log: slog.New(slog.DiscardHandler)}
	n.settle(running)
	return n, said
}

// TestReloadTakesWhatIsSafe, and names the rest until a start takes it.
func TestReloadTakesWhatIsSafe(t *testing.T) {
	n, said := reloadable(t, Config{Dir: "/srv", NodeID: "n1", API: "0.0.0.0:443", Peer: "n1:8541", Enforce: EnforceConfig{Mode: "gate"}})
	is := func(taken, waiting []string) {
		t.Helper()
		r, err := n.Reload()
		if err != nil || !reflect.DeepEqual(r, Reloaded{taken, waiting}) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	is(nil, nil)
	said.LogLevel, said.Drain = LogDebug, userspace.Duration(3*time.Second)
	is([]string{"drain", "log_level"}, nil)
	if n.settled.drain.Load() != int64(3*time.Second) || n.cfg.Verbosity.Level() != slog.LevelDebug {
		t.Error("what is said to be in force is not")
	}
	said.API, said.Enforce.Upstreams, said.LogLevel = "0.0.0.0:8443", map[string]string{"127.0.0.1:1": "127.0.0.1:2"}, ""
	is([]string{"log_level"}, []string{"api", "enforce.upstreams.127.0.0.1:1"})
	said.Dir = "/elsewhere"
	is(nil, []string{"api", "dir", "enforce.upstreams.127.0.0.1:1"})
	said.API, said.Dir, said.Enforce.Upstreams = "0.0.0.0:443", "/srv", nil
	is(nil, nil)
}

// TestReloadRefusesAsAWhole: of settings with a mistake nothing is taken.
func TestReloadRefusesAsAWhole(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	files := func(name string) CertificateConfig {
		return CertificateConfig{CertFile: filepath.Join(t.TempDir(), name), KeyFile: filepath.Join(t.TempDir(), name+".key")}
	}
	first, second := files("first"), files("second")
	serial := pair(t, first, now.Add(-time.Hour), now.Add(time.Hour), now)
	n, said := reloadable(t, Config{NodeID: "n1", Certificate: first})
	own, err := openOwnCertificate(first)
	if err != nil {
		t.Fatal(err)
	}
	n.settled.own = own
	shows := func(want *big.Int) {
		t.Helper()
		if cert, _ := own.get(nil); cert.Leaf.SerialNumber.Cmp(want) != 0 {
			t.Errorf("another certificate is shown")
		}
	}
	said.LogLevel, said.Certificate = LogDebug, second
	if _, err := n.Reload(); err == nil || n.cfg.Verbosity.Level() != slog.LevelInfo {
		t.Errorf("a certificate that is not there: %v, level %s", err, n.cfg.Verbosity.Level())
	}
	shows(serial)
	pair(t, second, now.Add(-2*time.Hour), now.Add(-time.Hour), now)
	if _, err := n.Reload(); err == nil || !strings.Contains(err.Error(), "it ended") {
		t.Errorf("a certificate that has ended: %v", err)
	}
	shows(serial)
	serial = pair(t, second, now.Add(-time.Hour), now.Add(time.Hour), now.Add(time.Second))
	if r, err := n.Reload(); err != nil || !reflect.DeepEqual(r.Taken, []string{"certificate.cert_file", "certificate.key_file", "log_level"}) {
		t.Errorf("%+v, %v", r, err)
	}
	shows(serial)
	serial = pair(t, second, now.Add(-time.Hour), now.Add(time.Hour), now.Add(time.Second+1)) // files of the same names and times
	if _, err := n.Reload(); err != nil {
		t.Error(err)
	}
	shows(serial)
	if renewed, err := own.Renew(now); renewed || err != nil {
		t.Errorf("files that were read are read again: %v, %v", renewed, err)
	}
	said.Certificate = CertificateConfig{}
	if r, err := n.Reload(); err != nil || !reflect.DeepEqual(r.Waiting, []string{"certificate.cert_file", "certificate.key_file"}) {
		t.Errorf("a certificate of the cluster's CA instead: %+v, %v", r, err)
	}
	shows(serial)
}

func TestReloadWithoutAFile(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler)}
	if _, err := n.Reload(); !errors.Is(err, errNoSettingsFile) {
		t.Error(err)
	}
}
