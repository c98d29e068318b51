package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/cluster"
)

// Finding is what Doctor found out about one thing.
type Finding struct {
	Check  string `json:"check"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	// Advice says what to do where the state is not ok.
	Advice string `json:"advice,omitempty"`
}

// State of a thing that was looked at.
type State string

// A warning does not keep a node from serving; what failed does, or soon will.
const (
	StateOK      State = "ok"
	StateWarning State = "warning"
	StateFailed  State = "failed"
)

// Bounds of what is well.
const (
	// syncWanted is from where on writes are felt to be slow, in p99: each one waits
	// for the disks of two nodes.
	syncWanted = 20 * time.Millisecond
	// syncBearable is near the time after which a leader loses its lead.
	syncBearable = 200 * time.Millisecond
	// expiryWanted is less than a certificate that is renewed ever has left.
	expiryWanted = 8 * 24 * time.Hour
	spaceWanted  = 4 * spaceReserve
)

// Doctor looks at what a node needs from its machine. The node may run meanwhile; it
// needs no cluster, and writes nothing but a file that it removes again.
func Doctor(ctx context.Context, dir, settings string) []Finding {
	found := []Finding{kernelFinding()}
	c, err := ServedConfig(dir, settings)
	if err != nil {
		return append(found, failed("settings", err, "make the node with authfi init or authfi join, or mend the file"))
	}
	found = append(found, Finding{Check: "settings", State: StateOK, Detail: "node " + c.NodeID + " of " + c.Issuer})
	found = append(found, modeFinding(c), spaceFinding(c), syncFinding(ctx, c))
	found = append(found, certificateFindings(c)...)
	return append(found, keyringFinding(c.Dir, SealedKeyring), addressFinding("peer address", c.Peer), apiFinding(ctx, c))
}

func failed(check string, err error, advice string) Finding {
	return Finding{Check: check, State: StateFailed, Detail: err.Error(), Advice: advice}
}

func kernelFinding() Finding {
	if err := bpf.Supported(); err != nil {
		return Finding{Check: "kernel", State: StateWarning, Detail: err.Error(), Advice: "services are protected by the user-space gate; run as the unit does for the kernel's"}
	}
	return Finding{Check: "kernel", State: StateOK, Detail: "it can enforce"}
}

// modeFinding looks for secrets that others can read.
func modeFinding(c Config) Finding {
	var open []string
	err := filepath.WalkDir(c.Dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() == "ca.pem" { // the CA is for everybody
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err == nil && !entry.IsDir() && info.Mode().Perm()&0o077 != 0 && !sheltered(c.Dir, name) {
			open = append(open, name)
		}
		return ignoreGone(err)
	})
	switch {
	case err != nil:
		return failed("file modes", err, "run as the user of the node")
	case len(open) > 0:
		return Finding{Check: "file modes", State: StateFailed, Detail: fmt.Sprintf("others can read %s", open[0]), Advice: "chmod -R go= " + c.Dir}
	}
	return Finding{Check: "file modes", State: StateOK, Detail: "nobody else reads " + c.Dir}
}

// sheltered is true of a file below a directory that others cannot enter.
func sheltered(root, name string) bool {
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 == 0 {
			return true
		}
		if dir == root || dir == filepath.Dir(dir) {
			return false
		}
	}
}

// ignoreGone: a node that runs removes files while they are looked at.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func spaceFinding(c Config) Finding {
	free, err := freeSpace(c.Dir)
	if err != nil {
		return failed("disk space", err, "run as the user of the node")
	}
	made := Finding{Check: "disk space", State: StateOK, Detail: fmt.Sprintf("%d MiB are free", free>>20)}
	if free < spaceWanted {
		made.State, made.Advice = StateWarning, fmt.Sprintf("below %d MiB the node refuses writes", spaceReserve>>20)
	}
	if free < spaceReserve {
		made.State = StateFailed
	}
	return made
}

// syncs are how many writes are timed.
const syncs = 100

// syncFinding times what each write waits for: a small write that is on the disk.
func syncFinding(ctx context.Context, c Config) Finding {
	const check = "disk speed"
	f, err := os.CreateTemp(c.Dir, "doctor.*")
	if err != nil {
		return failed(check, err, "run as the user of the node")
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	for range syncs {
		began := time.Now()
		_, err := f.Write(make([]byte, 4096))
		if err = errors.Join(err, f.Sync(), ctx.Err()); err != nil {
			return failed(check, err, "a disk that fails takes acknowledged writes with it: replace it, and the node")
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	made := Finding{Check: check, State: StateOK, Detail: fmt.Sprintf("fsync takes %v, p99 %v", took[len(took)/2].Round(time.Microsecond), p99.Round(time.Microsecond))}
	switch {
	case p99 > syncBearable:
		made.State, made.Advice = StateFailed, "a leader on this disk loses its lead; give the node one of its own"
	case p99 > syncWanted:
		made.State, made.Advice = StateWarning, "each write of the cluster waits for this"
	}
	return made
}

func certificateFindings(c Config) []Finding {
	id, err := cluster.ReadIdentity(c.Dir)
	if err != nil {
		return []Finding{failed("certificates", err, "take the node out and let it join anew")}
	}
	peers, ca := id.Expires()
	found := []Finding{expiryFinding("certificate of peers", peers), expiryFinding("CA", ca)}
	if c.Certificate.CertFile != "" {
		own, err := tls.LoadX509KeyPair(c.Certificate.CertFile, c.Certificate.KeyFile)
		if err != nil {
			return append(found, failed("certificate of the API", err, "certificate.cert_file and certificate.key_file"))
		}
		found = append(found, expiryFinding("certificate of the API", own.Leaf.NotAfter))
	}
	if c.Certificate.ACME.Enabled() {
		found = append(found, acmeFinding(c, time.Now()))
	}
	return found
}

func expiryFinding(check string, at time.Time) Finding {
	made := Finding{Check: check, State: StateOK, Detail: "until " + at.UTC().Format(time.DateOnly)}
	left := time.Until(at)
	if left < expiryWanted {
		made.State, made.Advice = StateWarning, "it should have been renewed: is the node running, and what does its log say?"
	}
	if left < 0 {
		made.State = StateFailed
	}
	return made
}

func addressFinding(check, address string) Finding {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return failed(check, err, "HOST:PORT")
	}
	addresses, err := net.LookupHost(host)
	if err != nil {
		return failed(check, err, "the other nodes reach this one by that name")
	}
	return Finding{Check: check, State: StateOK, Detail: fmt.Sprintf("%s is %s", host, addresses[0])}
}

// apiFinding asks the node itself, if it runs.
func apiFinding(ctx context.Context, c Config) Finding {
	const check = "API"
	_, port, err := net.SplitHostPort(c.API)
	if err != nil {
		return failed(check, err, "HOST:PORT")
	}
	pem, err := os.ReadFile(filepath.Join(c.Dir, "ca.pem"))
	if err != nil {
		return Finding{Check: check, State: StateWarning, Detail: "the node was never served", Advice: "authfi serve"}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if c.Certificate.CertFile != "" {
		config.InsecureSkipVerify = true // only whether it answers is asked, on this machine
	}
	ctx, cancel := context.WithTimeout(ctx, readyWait+time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:"+port+"/readyz", nil)
	if err != nil {
		return failed(check, err, "")
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: dialAPI(c.API)}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		return Finding{Check: check, State: StateWarning, Detail: err.Error(), Advice: "systemctl status authfi"}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Finding{Check: check, State: StateFailed, Detail: "the node is not ready: " + answer.Status, Advice: "authfi status says what the cluster can lose"}
	}
	return Finding{Check: check, State: StateOK, Detail: "the node is ready"}
}

// dialAPI connects to what the HTTPS server listens on, whatever name is asked for.
func dialAPI(listen string) func(ctx context.Context, network, _ string) (net.Conn, error) {
	return func(ctx context.Context, network, asked string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(listen)
		if err != nil {
			return nil, err
		}
		if address := net.ParseIP(host); address == nil || address.IsUnspecified() {
			return new(net.Dialer).DialContext(ctx, network, asked)
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
	}
}
