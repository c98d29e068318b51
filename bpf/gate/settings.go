package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// Settings are what the administrator of a machine says about one guarded
// address. They stay on the machine: they name its files, which nobody else may
// choose, and a private key has no place in the log.
type Settings struct {
	// Upstream is where the service listens, if not where the service says.
	Upstream string `json:"upstream,omitempty"`
	// CertFile and KeyFile, both PEM, make the gate speak TLS. They are read
	// again when they change.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
	// H2C accepts HTTP/2 with prior knowledge where there is no TLS.
	H2C     bool            `json:"h2c,omitempty"`
	Backend BackendSettings `json:"backend,omitzero"`
	// ProxyFrom names the addresses (prefixes) whose connections begin with a
	// PROXY header, version 1 or 2, and no others do.
	ProxyFrom []string `json:"proxy_from,omitempty"`
	Limits    Limits   `json:"limits,omitzero"`
}

// BackendSettings say how the gate speaks to the service.
type BackendSettings struct {
	// HTTP2 speaks HTTP/2: over TLS, or with prior knowledge without.
	HTTP2 bool `json:"http2,omitempty"`
	TLS   bool `json:"tls,omitempty"`
	// CAFile pins who may vouch for the service; empty means the machine's CAs.
	CAFile string `json:"ca_file,omitempty"`
	// ServerName is the name in the service's certificate; empty means the host
	// of its address.
	ServerName string `json:"server_name,omitempty"`
	// SendProxy tells the service the client's address by a PROXY header of
	// version 1 or 2; 0 does not. The connection is then one client's alone, so
	// the gate speaks HTTP/1.1 only.
	SendProxy int `json:"send_proxy,omitempty"`
}

// Limits bound one gate; zero means the default.
type Limits struct {
	Connections int `json:"connections,omitempty"`
	// PerAddress counts the connections of one client address.
	PerAddress int `json:"per_address,omitempty"`
	// Header is the time from the first byte of a header block, a handshake or
	// a PROXY header to its last.
	Header Duration `json:"header,omitzero"`
	// Idle is how long a connection without a request may be silent.
	Idle Duration `json:"idle,omitzero"`
	// Answer is how long a request that was let through may be silent, in its
	// body as in its answer, and a tunnel too.
	Answer Duration `json:"answer,omitzero"`
	// Write is how long a peer may take nothing of what it is sent.
	Write Duration `json:"write,omitzero"`
	// Streams is how many requests one HTTP/2 connection may have open.
	Streams int `json:"streams,omitempty"`
}

var defaultLimits = Limits{
	Connections: 4096, // two sockets and some 80 KiB each
	PerAddress:  1024, // a proxy that many clients share; one client needs a few dozen
	Header:      Duration(30 * time.Second),
	Idle:        Duration(2 * time.Minute),
	Answer:      Duration(10 * time.Minute), // long polls and event streams pause
	Write:       Duration(30 * time.Second),
	Streams:     128, // more than any browser opens; each costs a goroutine and two buffers
}

func (l Limits) withDefaults() Limits {
	fill := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	wait := func(d *Duration, otherwise Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	fill(&l.Connections, defaultLimits.Connections)
	fill(&l.PerAddress, defaultLimits.PerAddress)
	fill(&l.Streams, defaultLimits.Streams)
	wait(&l.Header, defaultLimits.Header)
	wait(&l.Idle, defaultLimits.Idle)
	wait(&l.Answer, defaultLimits.Answer)
	wait(&l.Write, defaultLimits.Write)
	return l
}

// Apart reports whether the settings say more than where the service listens, so that
// no other gate can serve the address as they ask.
func (s Settings) Apart() bool {
	s.Upstream = ""
	return !reflect.ValueOf(s).IsZero()
}

// Duration is a time.Duration that reads and writes as "30s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Check says what is wrong with settings before an address is taken with them.
func (s Settings) Check() error {
	if (s.CertFile == "") != (s.KeyFile == "") {
		return errors.New("cert_file and key_file go together")
	}
	if s.H2C && s.CertFile != "" {
		return errors.New("h2c is HTTP/2 without TLS: with a certificate clients negotiate it")
	}
	b := s.Backend
	if !b.TLS && (b.CAFile != "" || b.ServerName != "") {
		return errors.New("ca_file and server_name are for a service that speaks TLS")
	}
	if b.ServerName != "" && strings.ContainsAny(b.ServerName, "/: ") {
		return fmt.Errorf("server_name %q is not a host", b.ServerName)
	}
	switch {
	case b.SendProxy < 0 || b.SendProxy > 2:
		return fmt.Errorf("send_proxy %d is not 1 or 2", b.SendProxy)
	case b.SendProxy > 0 && (b.HTTP2 || s.H2C):
		return errors.New("send_proxy names one client for a connection, which HTTP/2 shares")
	}
	_, err := s.proxies()
	return err
}

// proxies are the prefixes of ProxyFrom.
func (s Settings) proxies() (prefixes []netip.Prefix, err error) {
	for _, text := range s.ProxyFrom {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, failed := netip.ParseAddr(text)
			if failed != nil {
				return nil, fmt.Errorf("proxy_from: %w", err)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}
