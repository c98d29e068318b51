package bpf

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/cilium/ebpf"
)

// The test binary is its own daemon: started with these, it opens the gate,
// fills it, says so, and waits for its death.
const (
	envPins    = "AUTHFI_TEST_GATE_PINS"
	envAddress = "AUTHFI_TEST_GATE_ADDRESS"
	envOpenAll = "AUTHFI_TEST_GATE_OPEN_ALL"

	daemonLease = 1500 * time.Millisecond
)

// openAll is a policy of which no row may decide about a request that was begun
// under theRoutes.
var openAll = []policy.Route{{Path: "/**", Public: true}}

func TestMain(m *testing.M) {
	if os.Getenv(envPins) == "" {
		os.Exit(m.Run())
	}
	if err := daemon(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func daemon() error {
	address, err := netip.ParseAddrPort(os.Getenv(envAddress))
	if err != nil {
		return err
	}
	gate, err := Open(configAt(os.Getenv(envPins)))
	if err != nil {
		return err
	}
	routes := theRoutes
	if os.Getenv(envOpenAll) != "" {
		routes = openAll
	}
	r := &rig{Enforcer: gate, address: address, numbers: policy.NewNumbering(theRoutes)}
	return r.set(routes, daemonLease)
}

// start runs a daemon until it is ready; the result kills it with SIGKILL.
func (r *rig) start(t *testing.T, pinDir string, extra ...string) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return r.startAs(t, self, pinDir, func(*exec.Cmd) {}, extra...)
}

// startAs runs it from another file and as somebody else.
func (r *rig) startAs(t *testing.T, binary, pinDir string, change func(*exec.Cmd), extra ...string) (kill func()) {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), append(extra, envPins+"="+pinDir, envAddress+"="+r.address.String())...)
	change(cmd)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("daemon: %q, %v", line, err)
	}
	return kill
}

func TestKilledDaemonLeavesTheDoorShut(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r, dir := serve(t, "127.0.0.1:0"), pins(t, "")
	kill := r.start(t, dir)
	open := r.dial(t)
	if got := exchange(t, open, get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
		t.Fatalf("with a daemon: %s", got)
	}
	kill()
	ask := func(token string) string {
		c := r.dial(t)
		defer c.Close() // a fast machine asks more often than it has files
		return exchange(t, c, get("/api/patients/7", token))
	}
	if got := ask(""); got != "401 no_token" {
		t.Errorf("killed, without a token: %s", got)
	}
	if got := ask(tokenDoctor); got != "200 GET /api/patients/7 0" {
		t.Errorf("killed, within the lease: %s", got)
	}
	deadline := time.Now().Add(daemonLease + 5*time.Second)
	got := ask(tokenDoctor)
	for ; strings.HasPrefix(got, "200") && time.Now().Before(deadline); got = ask(tokenDoctor) {
	}
	if got != "503 enforcement_unavailable" {
		t.Errorf("killed, after the lease: %s", got)
	}
	if got := exchange(t, open, get("/api/patients/7", tokenDoctor)); got != "503 enforcement_unavailable" {
		t.Errorf("killed, after the lease, on an open connection: %s", got)
	}
	if got := ask(""); got != "401 no_token" {
		t.Errorf("killed, after the lease, without a token: %s", got)
	}
	r.adopt(t, dir)
}

// adopt lets this process take over what the killed one left.
func (r *rig) adopt(t *testing.T, dir string) {
	t.Helper()
	var err error
	if r.Enforcer, err = Open(configAt(dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	for _, request := range []string{get("/api/patients/7", tokenDoctor), get("/health", "")} {
		if got := exchange(t, r.dial(t), request); got != "503 enforcement_unavailable" {
			t.Errorf("adopted and not filled: %s", got)
		}
	}
	r.fill(t)
	if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
		t.Errorf("adopted and filled: %s", got)
	}
}

// A new process counted programs from one again, so that a request that was
// begun under the dead process's program was decided by rows of another.
func TestRequestBegunUnderADeadDaemonIsRefused(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) { begunUnderADeadDaemon(t, listen) })
	}
}

func begunUnderADeadDaemon(t *testing.T, listen string) {
	r, dir := serve(t, listen), pins(t, "")
	kill := r.start(t, dir)
	c := r.dial(t)
	whole := get("/api/patients/7", "")
	io.WriteString(c, whole[:len(whole)-2])
	r.inHeader(t, dir)
	kill()
	r.start(t, dir, envOpenAll+"=1")
	if got := exchange(t, c, whole[len(whole)-2:]); got != "503 enforcement_unavailable" || r.served.Load() != 0 {
		t.Errorf("%s, %d served", got, r.served.Load())
	}
	if got := exchange(t, r.dial(t), whole); got != "200 GET /api/patients/7 0" {
		t.Errorf("a request begun under the new program: %s", got)
	}
}

// What a dead process left goes on in the next one: an open connection is served,
// and whoever used it is known.
func TestConnectionOutlivesItsDaemonUntilItsUserIsSwept(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r, dir := serve(t, "127.0.0.1:0"), pins(t, "")
	kill := r.start(t, dir)
	ofDoctor, ofNurse := r.dial(t), r.dial(t)
	check := func(c net.Conn, token string) {
		t.Helper()
		if got := exchange(t, c, get("/api/patients/7", token)); got != "200 GET /api/patients/7 0" {
			t.Fatal(got)
		}
	}
	check(ofDoctor, tokenDoctor)
	check(ofNurse, tokenNurse)
	kill()
	r.open(t, dir)
	if err := r.Settle(); err != nil {
		t.Fatal(err)
	}
	if err := r.Sweep(doctor); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(ofDoctor); len(b) > 0 || isTimeout(err) {
		t.Errorf("the doctor's is still open: %q, %v", b, err)
	}
	check(ofNurse, tokenNurse)
}

// An address that only the dead process knew is let go once the new one knows all
// of its own, and another may have its slot.
func TestAddressOfADeadDaemonIsLetGo(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r, dir := serve(t, "127.0.0.1:0"), pins(t, "")
	kill := r.start(t, dir)
	left := r.dial(t)
	if got := exchange(t, left, get("/health", "")); got != "200 GET /health 0" {
		t.Fatal(got)
	}
	kill()
	other := serve(t, "127.0.0.1:0")
	other.open(t, dir)
	if got := exchange(t, r.dial(t), get("/health", "")); got != "503 enforcement_unavailable" {
		t.Errorf("before: %s", got)
	}
	if err := other.Settle(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(left); len(b) > 0 || isTimeout(err) {
		t.Errorf("its connection is still open: %q, %v", b, err)
	}
	if got := exchange(t, r.dial(t), get("/anything", "")); got != "200 GET /anything 0" {
		t.Errorf("let go: %s", got)
	}
	if got := exchange(t, other.dial(t), get("/anything", "")); got != "403 no_route" {
		t.Errorf("the other address: %s", got)
	}
}

// Another build's pins were taken away before the new gate knew an address, and
// every service was open until the state had been read.
func TestUpdateLeavesTheDoorShut(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	dir := r.cfg.PinDir
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	current, err := r.versionDir()
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "v0")
	if err := os.Rename(current, other); err != nil { // as if another build had pinned it
		t.Fatal(err)
	}
	old := r.dial(t)
	if got := exchange(t, old, get("/health", "")); got != "200 GET /health 0" {
		t.Fatalf("the other build: %s", got)
	}
	if r.Enforcer, err = Open(configAt(dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if exists(other) || !exists(current) {
		t.Errorf("the pins of the other build are still there, or this one's are not")
	}
	if b, err := io.ReadAll(old); len(b) > 0 || isTimeout(err) {
		t.Errorf("a connection of the other build is still open: %q, %v", b, err)
	}
	r.served.Store(0)
	for _, request := range []string{get("/anything", ""), get("/health", ""), get("/api/patients/7", tokenDoctor)} {
		if got := exchange(t, r.dial(t), request); got != "503 enforcement_unavailable" || r.served.Load() != 0 {
			t.Errorf("not filled yet: %s, %d served", got, r.served.Load())
		}
	}
	r.fill(t)
	if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
		t.Errorf("filled: %s", got)
	}
}

func TestAddressesOfAnotherLayoutAreNotTakenOver(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	dir := pins(t, "")
	other := filepath.Join(dir, "v0")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Pin(filepath.Join(other, "map_services")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(configAt(dir)); err == nil || !exists(other) {
		t.Errorf("opened: %v; the other gate is still there: %v", err, exists(other))
	}
}

func TestVersionNamesTheTablesToo(t *testing.T) {
	load := func() *ebpf.CollectionSpec {
		spec, err := obj.LoadEnforce()
		if err != nil {
			t.Fatal(err)
		}
		return spec
	}
	changed := load()
	changed.Maps["serials"].MaxEntries++
	if a, b := version(load()), version(load()); a != b || a == version(changed) {
		t.Errorf("versions %s and %s, %s with another table", a, b, version(changed))
	}
}

func TestRequestBegunBeforeASwapIsRefused(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	c, idle := r.dial(t), r.dial(t)
	whole := get("/api/patients/7", "")
	io.WriteString(c, whole[:len(whole)-2])
	r.inHeader(t, r.cfg.PinDir)
	if err := r.set(openAll, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, c, whole[len(whole)-2:]); got != "503 enforcement_unavailable" || r.served.Load() != 0 {
		t.Errorf("begun before the swap: %s, %d served", got, r.served.Load())
	}
	if got := exchange(t, idle, whole); got != "200 GET /api/patients/7 0" {
		t.Errorf("begun after the swap: %s", got)
	}
}

// inHeader waits until the kernel has read the beginning of a request.
func (r *rig) inHeader(t *testing.T, dir string) {
	t.Helper()
	conns := pinnedConns(t, dir)
	defer conns.Close()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		var cookie uint64
		var c obj.EnforceConn
		for it := conns.Iterate(); it.Next(&cookie, &c); {
			if c.Http.HeaderBytes > 0 {
				return
			}
		}
	}
	t.Fatal("no connection has begun a request")
}

func pinnedConns(t *testing.T, dir string) *ebpf.Map {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "v*", "map_conns"))
	if err != nil || len(files) != 1 {
		t.Fatalf("pinned connections: %v, %v", files, err)
	}
	m, err := ebpf.LoadPinnedMap(files[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
