package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	userspace "github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/node/acme"
	"github.com/authfi/authfi/node/enforce"
)

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "authfi.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// everySetting has each key that there is; TestSettingsDocumented holds the reference
// to it.
const everySetting = `dir: /srv/authfi
node_id: n1
api: 0.0.0.0:443
peer: n1.example:8541
issuer: https://id.example
certificate:
  cert_file: /etc/authfi/tls.pem
  key_file: /etc/authfi/tls.key
  acme:
    domains: [id.example]
    directory: https://acme.example/directory
    email: ops@id.example
    ca_file: /etc/authfi/acme.pem
    terms_agreed: true
    account_key_id: customer
    account_key_file: /etc/authfi/acme.key
    http: 0.0.0.0:80
enforce:
  mode: auto
  listen: [127.0.0.1:8080]
  cgroup: /sys/fs/cgroup/system.slice
  pin_dir: /sys/fs/bpf/authfi
  upstreams:
    127.0.0.1:8080: 127.0.0.1:8081
  services:
    127.0.0.1:8080:
      cert_file: /etc/authfi/service.pem
      key_file: /etc/authfi/service.key
      backend: {tls: true, http2: true, ca_file: /etc/authfi/backend.pem, server_name: backend.example}
      proxy_from: [10.0.0.0/8]
      limits: {connections: 100, header: 5s, answer: 1h}
issuers:
  hosts: [idp.example]
  ca_file: /etc/authfi/idp.pem
push:
  private: true
  ca_file: /etc/authfi/receivers.pem
drain: 5s
log_level: warn
log_format: bolt
start:
  first: true
  operator_token_file: /run/authfi/operator.token
  recovery_key_file: /run/authfi/recovery.key
  join: ""
  token_file: ""
`

func TestSettings(t *testing.T) {
	var s Settings
	if err := s.Read(settingsFile(t, everySetting)); err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Config: Config{
			Dir: "/srv/authfi", NodeID: "n1", API: "0.0.0.0:443", Peer: "n1.example:8541", Issuer: "https://id.example",
			Certificate: CertificateConfig{CertFile: "/etc/authfi/tls.pem", KeyFile: "/etc/authfi/tls.key", ACME: acme.Settings{
				Domains: []string{"id.example"}, Directory: "https://acme.example/directory", Email: "ops@id.example",
				CAFile: "/etc/authfi/acme.pem", TermsAgreed: true, AccountKeyID: "customer", AccountKeyFile: "/etc/authfi/acme.key", HTTP: "0.0.0.0:80",
			}},
			Enforce: EnforceConfig{
				Mode: "auto", Listen: []string{"127.0.0.1:8080"}, Cgroup: "/sys/fs/cgroup/system.slice", PinDir: "/sys/fs/bpf/authfi",
				Upstreams: map[string]string{"127.0.0.1:8080": "127.0.0.1:8081"},
				Services: map[string]enforce.Settings{"127.0.0.1:8080": {
					CertFile: "/etc/authfi/service.pem", KeyFile: "/etc/authfi/service.key", ProxyFrom: []string{"10.0.0.0/8"},
					Backend: userspace.BackendSettings{TLS: true, HTTP2: true, CAFile: "/etc/authfi/backend.pem", ServerName: "backend.example"},
					Limits:  userspace.Limits{Connections: 100, Header: userspace.Duration(5 * time.Second), Answer: userspace.Duration(time.Hour)},
				}},
			},
			Issuers: IssuersConfig{Hosts: []string{"idp.example"}, CAFile: "/etc/authfi/idp.pem"},
			Push:    PushConfig{Private: true, CAFile: "/etc/authfi/receivers.pem"},
			Drain:   userspace.Duration(5 * time.Second), LogLevel: LogWarn, LogFormat: cluster.LogBolt,
		},
		Start: StartSettings{First: true, OperatorTokenFile: "/run/authfi/operator.token", RecoveryKeyFile: "/run/authfi/recovery.key"},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%+v", s)
	}
	for _, key := range keysOf(reflect.TypeFor[Settings](), "") {
		if _, last, _ := strings.Cut("."+key, "."); !strings.Contains(everySetting, last[strings.LastIndex(last, ".")+1:]+":") {
			t.Errorf("%s is in no line of everySetting", key)
		}
	}
}

// keysOf are the names, with those of their sections, that a settings file may have.
func keysOf(of reflect.Type, above string) (keys []string) {
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		own, rest, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if own != "" {
			name = own
		}
		switch {
		case name == "-":
		case rest == "inline":
			keys = append(keys, keysOf(field.Type, above)...)
		case field.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(field.Type, above+name+".")...)
		default:
			keys = append(keys, above+name)
		}
	}
	return keys
}

// TestSettingsDocumented: the reference has every key.
func TestSettingsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(reflect.TypeFor[Settings](), "") {
		if !strings.Contains(string(page), "`"+key+"`") {
			t.Errorf("docs/reference/settings.md has no %s", key)
		}
	}
}

// TestSettingsMistakes names the line of each.
func TestSettingsMistakes(t *testing.T) {
	for text, wants := range map[string][]string{
		"node_id: n1\napii: x\n":                              {".yaml:2:1: ", "apii"},
		"node_id: n1\nenforce:\n  mod: auto\n":                {".yaml:3:3: ", "mod"},
		"api:\n- a\n":                                         {".yaml:2:"},
		"push:\n  private: maybe\n":                           {"2", "bool"},
		"first: {}\n":                                         {"1", "first"},
		"development_sign_in: true\n":                         {"1", "development_sign_in"},
		"node_id: a\nnode_id: b\n":                            {"2", "node_id"},
		"enforce:\n  services:\n    127.0.0.1:1: {cert: a}\n": {":3:", "cert"},
		"enforce:\n  services:\n    127.0.0.1:1: {limits: {idle: soon}}\n": {"duration", "soon"},
		"node_id: [\n":                          {"1"},
		"start:\n  first: true\n":               {"operator_token_file"},
		"start:\n  join: n1:8541\n":             {"token_file"},
		"start: {operator_token_file: x}\n":     {"first node"},
		"start: {first: true, join: n1:8541}\n": {"first of a cluster"},
		"certificate:\n  acme:\n    domains:\n    - id.example\n    - \"*.example\"\n":                                   {".yaml:5:", "certificate.acme.domains[1]", "wildcard"},
		"# own\ncertificate:\n  acme:\n    domains: [id.example]\n    directory: https://acme.example\n":                 {".yaml:4:", "terms_agreed"},
		"certificate:\n  acme:\n    terms_agreed: true\n    directory: http://acme.example\n    domains: [id.example]\n": {".yaml:4:16", "directory"},
		strings.Repeat("# a comment\n", 100_000):                                                                         {"larger"},
	} {
		var s Settings
		err := s.Read(settingsFile(t, text))
		if err == nil {
			t.Errorf("%.40q is accepted", text)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: no %q in %v", text, want, err)
			}
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "node_id:\npush:\n# private: false\n", "push: {private: }\n"} {
		s := Settings{Config: Config{NodeID: "n1", Push: PushConfig{Private: true}}}
		if err := s.Read(settingsFile(t, text)); err != nil || s.NodeID != "n1" || !s.Push.Private {
			t.Errorf("%q: %v, %+v", text, err, s)
		}
	}
}

// TestServedConfig: a file changes what it names and nothing else, and never who the
// node is.
func TestServedConfig(t *testing.T) {
	made := Config{
		Dir: t.TempDir(), NodeID: "n1", API: "127.0.0.1:443", Peer: "n1:8541", Issuer: "https://n1",
		Enforce: EnforceConfig{Mode: "gate", Listen: []string{"127.0.0.1:8080"}}, First: &FirstConfig{},
	}
	if err := made.save(); err != nil {
		t.Fatal(err)
	}
	served, err := ServedConfig(made.Dir, settingsFile(t, "node_id: n1\npeer: n1.elsewhere:8541\nissuer: https://id.example\nenforce:\n  mode: auto\ndir: /elsewhere\n"))
	want := made
	want.Peer, want.Issuer, want.Enforce.Mode = "n1.elsewhere:8541", "https://id.example", "auto"
	if err != nil || !reflect.DeepEqual(served, want) {
		t.Errorf("%+v, %v", served, err)
	}
	for text, word := range map[string]string{
		"node_id: n2\n": "node_id", "enforce: {mode: off}\n": "mode", "log_level: loud\n": "log_level", "certificate: {cert_file: x}\n": "belong together",
		"certificate: {cert_file: x, key_file: y, acme: {domains: [a.example], directory: \"https://b.example\", terms_agreed: true}}\n": "not both",
	} {
		if _, err := ServedConfig(made.Dir, settingsFile(t, text)); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestBeginAgain: an attempt that did not come to a node is no obstacle to the next,
// and a directory that is a node's is left as it is.
func TestBeginAgain(t *testing.T) {
	secrets := t.TempDir()
	s := Settings{
		Config: Config{Dir: filepath.Join(t.TempDir(), "data"), NodeID: "n1", API: "127.0.0.1:443", Peer: "127.0.0.1:8541", Issuer: "https://n1", Enforce: EnforceConfig{Mode: "gate"}},
		Start:  StartSettings{First: true, OperatorTokenFile: filepath.Join(secrets, "not there", "token"), RecoveryKeyFile: filepath.Join(secrets, "key")},
	}
	if err := s.Begin(t.Context()); err == nil {
		t.Fatal("a token that cannot be kept is no error")
	}
	key, err := os.ReadFile(s.Start.RecoveryKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	s.Start.OperatorTokenFile = filepath.Join(secrets, "token")
	for range 2 {
		if err := s.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := os.ReadFile(s.Start.RecoveryKeyFile); err != nil || string(again) != string(key) {
		t.Errorf("the recovery key is another one, %v", err)
	}
	for _, file := range []string{s.Start.OperatorTokenFile, s.Start.RecoveryKeyFile} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() < 40 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

// TestServiceSettings: an upstream of the short form and the settings of a service
// are one, and settings that no gate takes are refused when the node starts.
func TestServiceSettings(t *testing.T) {
	c := EnforceConfig{
		Mode: "gate", Upstreams: map[string]string{"127.0.0.1:1": "127.0.0.1:2", "127.0.0.1:3": "127.0.0.1:4"},
		Services: map[string]enforce.Settings{"127.0.0.1:1": {H2C: true, Upstream: "127.0.0.1:9"}, "127.0.0.1:5": {H2C: true}},
	}
	want := map[string]enforce.Settings{
		"127.0.0.1:1": {H2C: true, Upstream: "127.0.0.1:2"}, "127.0.0.1:3": {Upstream: "127.0.0.1:4"}, "127.0.0.1:5": {H2C: true},
	}
	if got := c.services(); !reflect.DeepEqual(got, want) || c.Services["127.0.0.1:1"].Upstream != "127.0.0.1:9" {
		t.Errorf("%+v", got)
	}
	if err := c.check(); err != nil {
		t.Error(err)
	}
	for listen, s := range map[string]enforce.Settings{"somewhere": {}, "127.0.0.1:1": {CertFile: "alone"}} {
		c.Services = map[string]enforce.Settings{listen: s}
		if err := c.check(); err == nil || !strings.Contains(err.Error(), "ervice") {
			t.Errorf("%s %+v: %v", listen, s, err)
		}
	}
}
