package node

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/authfi/authfi/api/login"
	userspace "github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/node/acme"
	"github.com/authfi/authfi/node/enforce"
)

// Config is what a node must be told. Init and Join write it into the data
// directory; serve reads it from there, and then what the settings file says else.
type Config struct {
	NodeID string `json:"node_id"`
	API    string `json:"api"`    // listen address of the HTTPS server
	Peer   string `json:"peer"`   // listen address for the other nodes
	Issuer string `json:"issuer"` // https://HOST as clients know the cluster; never taken from a request
	// Enforce is what this node enforces.
	Enforce EnforceConfig `json:"enforce"`
	// Issuers is whom this node asks for the keys of tokens that it has not issued.
	Issuers IssuersConfig `json:"issuers,omitzero"`
	// Certificate is another one for the HTTPS server than that of the cluster's CA.
	Certificate CertificateConfig `json:"certificate,omitzero"`
	// Push is where this node may deliver security event tokens to.
	Push PushConfig `json:"push,omitzero"`
	// Drain is how long this node goes on to serve after it was told to stop, while
	// /readyz already sends its clients away.
	Drain userspace.Duration `json:"drain,omitempty"`
	// LogLevel is from which level on this node writes lines.
	LogLevel LogLevel `json:"log_level,omitempty"`
	// LogFormat is how this node keeps the log of the cluster on its disk.
	LogFormat cluster.LogFormat `json:"log_format,omitempty"`
	// DevelopmentSignIn lets anybody sign in as anybody at the issuers of the
	// organizations. Only authfi dev sets it, and a node that is reached from
	// anywhere but this machine does not start with it.
	DevelopmentSignIn bool `json:"development_sign_in,omitempty" yaml:"-"`
	// First is set on the node that initialised the cluster.
	First *FirstConfig `json:"first,omitempty" yaml:"-"`

	Dir string `json:"-" yaml:"dir"`

	// Credentials is the directory in which systemd gives the node its secrets; empty: it
	// gives none.
	Credentials string `json:"-" yaml:"-"`
	// Version is the build, as the nodes tell it to each other.
	Version string `json:"-" yaml:"-"`
	// Verbosity is what LogLevel sets; nil: the log has a level of its own.
	Verbosity *slog.LevelVar `json:"-" yaml:"-"`
	// Reread gives the configuration as its files say it now; nil: it is from none.
	Reread func() (Config, error) `json:"-" yaml:"-"`
	// Listener is taken instead of listening on API; nil: the node listens.
	Listener net.Listener `json:"-" yaml:"-"`
	// Supervisor waits for this node to go on; nil: nobody does.
	Supervisor Supervisor `json:"-" yaml:"-"`
}

// EnforceConfig limits enforcement on this node.
type EnforceConfig struct {
	// Mode is "auto" (the kernel where it can, otherwise the user-space gate),
	// "kernel" (refuse to start without) or "gate".
	Mode string `json:"mode"`
	// Listen names the service addresses that belong to this machine; empty
	// means all. Several nodes on one machine each name their own.
	Listen []string `json:"listen,omitempty"`
	// Cgroup is the cgroup2 directory of the protected services; empty means
	// the root of the hierarchy.
	Cgroup string `json:"cgroup,omitempty"`
	// PinDir is where the kernel's tables outlive this process.
	PinDir string `json:"pin_dir,omitempty"`
	// Upstreams overrides, per service address, where the user-space gate finds
	// the service on this machine.
	Upstreams map[string]string `json:"upstreams,omitempty"`
	// Services are the settings of the user-space gate, per service address.
	Services map[string]enforce.Settings `json:"services,omitempty"`
}

// services are the settings with the shorter form of their upstreams.
func (c EnforceConfig) services() map[string]enforce.Settings {
	services := map[string]enforce.Settings{}
	maps.Copy(services, c.Services)
	for listen, upstream := range c.Upstreams {
		s := services[listen]
		s.Upstream = upstream
		services[listen] = s
	}
	return services
}

func (c EnforceConfig) check() error {
	if c.Mode != modeAuto && c.Mode != modeKernel && c.Mode != modeGate {
		return fmt.Errorf("enforcement mode %q is not auto, kernel or gate", c.Mode)
	}
	for listen, s := range c.Services {
		if _, err := netip.ParseAddrPort(listen); err != nil {
			return fmt.Errorf("settings of a service: %w", err)
		}
		if err := s.Check(); err != nil {
			return fmt.Errorf("settings of the service on %s: %w", listen, err)
		}
	}
	return nil
}

// IssuersConfig is for issuers of one's own; Microsoft's need none.
type IssuersConfig struct {
	// Hosts may be asked, each with its port if it has one.
	Hosts []string `json:"hosts,omitempty"`
	// CAFile holds the CAs, as PEM, that vouch for them instead of the machine's.
	CAFile string `json:"ca_file,omitempty"`
}

// CertificateConfig names a certificate for the HTTPS server, with those that vouch
// for it, and its key, as PEM, or who makes one. Without either the cluster's CA signs
// one, which is renewed. Files that change are read again within a minute.
type CertificateConfig struct {
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
	// ACME is for a certificate of an authority that speaks it.
	ACME acme.Settings `json:"acme,omitzero"`
}

func (c CertificateConfig) check() error {
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("certificate: cert_file and key_file belong together")
	case c.CertFile != "" && c.ACME.Enabled():
		return errors.New("certificate: there can be one of your own or one by ACME, not both")
	}
	if err := c.ACME.Check(); err != nil {
		return fmt.Errorf("certificate: acme: %w", err)
	}
	return nil
}

// PushConfig widens where receivers of event streams may be. The zero value allows
// addresses of the public internet with a certificate that the machine trusts.
type PushConfig struct {
	// Private allows addresses of private networks and of this machine.
	Private bool `json:"private,omitempty"`
	// CAFile holds the CAs, as PEM, that vouch for receivers instead of the machine's.
	CAFile string `json:"ca_file,omitempty"`
}

// roots are the CAs of receivers; nil for those of the machine.
func (p PushConfig) roots() (*x509.CertPool, error) {
	if p.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(p.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CAs of receivers: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CAs of receivers: %s holds no certificate", p.CAFile)
	}
	return pool, nil
}

// FirstConfig is what the first start puts into the log.
type FirstConfig struct {
	OperatorID   [16]byte `json:"operator_id"`
	OperatorHash [32]byte `json:"operator_hash"`
	// Recovery is whom backups are made for; nil: nobody yet.
	Recovery *RecoveryConfig `json:"recovery,omitempty"`
}

// RecoveryConfig is the public half of the recovery key of a new cluster.
type RecoveryConfig struct {
	Name      string `json:"name"`
	Recipient string `json:"recipient"`
	Proof     []byte `json:"proof"` // sealed by the keyring
}

// Timings of a node.
const (
	// leaseLife bounds how long a revoked user stays on a node that is cut off.
	leaseLife = 10 * time.Second
	// leaseEvery is how often the lease is proved anew.
	leaseEvery = time.Second
	// enforcedWait bounds how long a fresh token waits for the other nodes.
	enforcedWait = time.Second
	// drainMax leaves of the unit's 30 s for a stop enough for what follows a drain:
	// requests under way, those of the gate, the log and the storage.
	drainMax = 15 * time.Second
	// sweepEvery is how often the leader looks for sessions to forget.
	sweepEvery = time.Minute
	// expireEvery is how often the leader looks for assignments and API keys that
	// have ended: a look at one row of each organization, some 20 ms of a core for
	// 10,000 of them.
	expireEvery = time.Second
)

const configFile = "node.json"

// LoadConfig reads the configuration of a data directory.
func LoadConfig(dir string) (Config, error) {
	b, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return Config{}, fmt.Errorf("this is not a node's data directory (run authfi init or authfi join first): %w", err)
	}
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", configFile, err)
	}
	c.Dir = dir
	return c, c.check()
}

func (c Config) check() error {
	switch {
	case c.NodeID == "" || c.API == "" || c.Peer == "" || c.Issuer == "":
		return errors.New("node id, api, peer and issuer must be set")
	case c.DevelopmentSignIn && !c.onThisMachine():
		return errors.New("the development sign-in lets anybody in: api, peer and issuer must be loopback addresses")
	}
	if drain := time.Duration(c.Drain); drain < 0 || drain > drainMax {
		return fmt.Errorf("drain of %s is not 0 to %s", drain, drainMax)
	}
	return errors.Join(c.LogLevel.check(), c.Certificate.check(), c.LogFormat.Check(), c.Enforce.check())
}

// onThisMachine reports whether all that the node listens on, and the name by which
// clients know it, are loopback addresses.
func (c Config) onThisMachine() bool {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || !loopback(issuer.Hostname()) {
		return false
	}
	for _, address := range []string{c.API, c.Peer} {
		host, _, err := net.SplitHostPort(address)
		if err != nil || !loopback(host) {
			return false
		}
	}
	return true
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// signIn is how people sign in at the issuers.
func (c Config) signIn() login.SignIn {
	if c.DevelopmentSignIn {
		return login.DevelopmentSignIn
	}
	return login.NoSignIn
}

// save writes the configuration of a new node; it never replaces one.
func (c Config) save() error {
	if err := c.check(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, configFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
