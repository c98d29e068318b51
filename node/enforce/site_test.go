package enforce

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// kernelOrNothing fails a test on a kernel that should enforce and cannot. A run
// that is not root sets AUTHFI_TEST_NO_KERNEL=1, as `make test` does with a line
// that says so.
func kernelOrNothing(t testing.TB) bool {
	t.Helper()
	if os.Getenv("AUTHFI_TEST_NO_KERNEL") == "1" {
		return false
	}
	if err := errors.Join(bpf.MountPins(), bpf.Supported()); err != nil {
		t.Fatalf("the kernel gate cannot be tested here: %v", err)
	}
	return true
}

const (
	secretOne, secretTwo = 21, 22

	ownToken, clientToken = "token.of.the.account", "token.of.the.client."
)

// site is a real service behind a gate of a node with one organization: an account
// whose token may do everything, and a client's that may only read.
type site struct {
	*organizations
	org      directory.OrgID
	kernel   *Kernel // nil behind the user-space gate
	enforcer *Enforcer
	current  atomic.Pointer[fsm.Machine] // whose state the enforcer follows
	clock    *shifted
	jump     time.Duration // by which the wall clock is set between the first filling and the first lease
	pins     string
	address  string
	upstream string

	legal, hostile atomic.Int64 // requests that reached the service
	log            *lines
}

// shifted is the clock of this machine with a wall clock that jumps.
type shifted struct{ by atomic.Int64 }

func (c *shifted) BootAt(t directory.Time) uint64 {
	return bpf.BootAt(t.Std().Add(-time.Duration(c.by.Load())))
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var theOrg = directory.OrgID{15: 1}

// onBothGates has the same happen to a site behind either gate.
func onBothGates(t *testing.T, event func(*site)) {
	t.Run("user space", func(t *testing.T) { event(newSpaceSite(t)) })
	if kernelOrNothing(t) {
		t.Run("kernel", func(t *testing.T) { event(newSite(t)) })
	}
}

func emptySite(t *testing.T) *site {
	return &site{organizations: newOrganizations(t, theOrg), org: theOrg, clock: &shifted{}, log: &lines{}}
}

// newSpaceSite is of the user-space gate, which has the address; the service is its
// upstream. Callers have another IP address: one that dialled its own port while nobody
// listens there would take it.
func newSpaceSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.upstream = s.serve(plain(t, "127.0.0.1:0"))
	free := plain(t, "127.0.0.2:0")
	s.address = free.Addr().String()
	free.Close()
	return s
}

// newSite listens; open puts the kernel gate before it.
func newSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.address = s.serve(plain(t, "127.0.0.1:0"))
	s.pins = filepath.Join("/sys/fs/bpf", "authfi-test-site-"+strings.ReplaceAll(t.Name(), "/", "-"))
	detach := func() {
		if err := bpf.Detach(s.pins); err != nil {
			t.Error(err)
		}
	}
	detach()
	t.Cleanup(detach)
	return s
}

func plain(t *testing.T, listen string) net.Listener {
	t.Helper()
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve counts what reaches a listener; a hostile request says that it is one.
func (s *site) serve(l net.Listener) (address string) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Hostile") != "" {
			s.hostile.Add(1)
		} else {
			s.legal.Add(1)
		}
		io.WriteString(w, "served")
	})}
	go server.Serve(l)
	s.t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// populate makes the service, the users and the tokens.
func (s *site) populate() {
	s.t.Helper()
	s.apply(s.org, &fsm.CreateService{Service: directory.Service{
		ID: directory.ServiceID{15: 1}, Name: "patients", Listen: []string{s.address}, Upstream: s.upstream,
		Policies: []directory.RoutePolicy{
			{Path: "/open", Public: true},
			{Path: "/read", Permissions: []directory.Permission{readPatients}},
			{Path: "/write", Permissions: []directory.Permission{writePatients}},
		},
	}})
	s.apply(s.org, &fsm.CreateRole{Role: directory.Role{ID: directory.RoleID{15: 1}, Name: "reader", Permissions: []directory.Permission{readPatients, writePatients}}})
	owner := directory.UserID{15: 20}
	s.apply(s.org, &fsm.CreateUser{User: directory.User{ID: owner, UserName: "ada", Active: true, Source: directory.SourceAPI}})
	s.apply(s.org, &fsm.CreateUser{User: robotUser(true, owner)})
	s.apply(s.org, &fsm.AssignRole{ID: directory.AssignmentID{15: 1}, Role: directory.RoleID{15: 1}, User: account})
	s.apply(s.org, &fsm.CreateClient{Client: directory.Client{
		ID: robot, Name: "robot", Secret: [32]byte{1}, Grants: []directory.GrantType{directory.GrantClientCredentials},
		Permissions: []directory.Permission{readPatients}, Account: account,
	}})
	s.apply(s.org, &fsm.StartSession{ID: ofAccount, User: account, Refresh: [32]byte{1}, Token: accessToken(ownToken)})
	s.applyAs(s.org, directory.Actor{Kind: directory.ActorNode}, &fsm.StartSession{
		ID: ofClient, User: account, Client: robot, Bounded: true, Permissions: []directory.Permission{readPatients}, Token: accessToken(clientToken),
	})
}

func accessToken(text string) directory.AccessToken {
	now := directory.TimeOf(time.Now())
	return directory.AccessToken{Key: keyOf(text), Length: uint32(len(text)), NotBefore: now.Add(-time.Minute), Expires: now.Add(time.Hour)}
}

func keyOf(token string) (key [16]byte) {
	k := policy.SipHash128(secretOne, secretTwo, []byte(token))
	for i := range 8 {
		key[i], key[8+i] = byte(k.H0>>(8*i)), byte(k.H1>>(8*i))
	}
	return key
}

// open starts the gate and what follows the log for it, until close or the test
// ends.
func (s *site) open(log Prover, life, every time.Duration) (close func()) {
	s.t.Helper()
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	gate := s.gate(logger)
	s.current.Store(s.machine)
	anywhere := func(string) bool { return true }
	secret := func(*state.System) (uint64, uint64, error) { return secretOne, secretTwo, nil }
	s.enforcer = New(withSecret{gate}, s.clock, func() *state.Root { return s.current.Load().Root() }, anywhere, secret, logger)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { s.enforcer.Run(ctx) })
	if s.jump != 0 {
		s.enforced()
		s.clock.by.Store(int64(s.jump))
	}
	all.Go(func() { s.enforcer.Lease(ctx, log, life, every) })
	close = sync.OnceFunc(func() {
		stop()
		all.Wait()
		if err := gate.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(close)
	return close
}

type closer interface {
	Gate
	Close() error
}

func (s *site) gate(logger *slog.Logger) closer {
	if s.pins == "" {
		return NewUserSpace(nil, logger)
	}
	kernel, err := OpenKernel(bpf.Config{PinDir: s.pins, Logger: logger}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.kernel = kernel
	return kernel
}

// withSecret sets the secret of the token keys with every filling: the state of
// these tests has none.
type withSecret struct{ Gate }

func (w withSecret) Reset() error {
	return errors.Join(w.Gate.Reset(), w.SetKey(secretOne, secretTwo))
}

// changed tells the enforcer what an entry has changed.
func (s *site) changed(rows ...directory.Row) {
	s.enforcer.Changed([]directory.Delta{{Index: s.machine.Applied(), Org: s.org, Rows: rows}}, false)
}

// enforced waits until the gate holds what the state says.
func (s *site) enforced() {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer stop()
	if err := s.enforcer.Wait(ctx, s.machine.Applied()); err != nil {
		s.t.Fatalf("%v; log: %s", err, s.log)
	}
}

// ask is one request over a connection of its own: the status and the verdict.
func (s *site) ask(path, token string) string { return send(s.address, requestFor(path, token, "")) }

func send(address, request string) string {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	io.WriteString(c, request)
	return answered(c)
}

func requestFor(path, token, header string) string {
	text := "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + header
	if token != "" {
		text += "Authorization: Bearer " + token + "\r\n"
	}
	return text + "\r\n"
}

func answered(c net.Conn) string {
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	return strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", res.Header.Get("X-Authfi-Verdict")))
}

// becomes waits until a request is answered so.
func (s *site) becomes(path, token, want string) {
	s.t.Helper()
	var got string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if got = s.ask(path, token); got == want {
			return
		}
	}
	s.t.Fatalf("%s with %q is answered %s, want %s; log: %s", path, token, got, want, s.log)
}

// hostileMark is how the service knows a request that it should never see.
const hostileMark = "X-Hostile: 1\r\n"

// siegeMin is how many hostile requests an event must have stood.
const siegeMin = 50

// besieged sends hostile requests from several connections until the event is over,
// and counts those that the service saw.
func (s *site) besieged(why string, event func()) {
	s.t.Helper()
	var all sync.WaitGroup
	var sent atomic.Int64
	over := make(chan struct{})
	for i := range 3 {
		all.Go(func() {
			rng := rand.New(rand.NewSource(int64(i)))
			for {
				select {
				case <-over:
					return
				default:
					if s.attack(rng) {
						sent.Add(1)
					}
				}
			}
		})
	}
	event()
	for deadline := time.Now().Add(30 * time.Second); sent.Load() < siegeMin && time.Now().Before(deadline); {
		s.ask("/open", "")
	}
	close(over)
	all.Wait()
	s.t.Logf("%s: %d hostile requests sent, %d served; %d legal served", why, sent.Load(), s.hostile.Load(), s.legal.Load())
	if s.hostile.Load() != 0 || sent.Load() < siegeMin {
		s.t.Errorf("%s: %d of %d hostile requests were served", why, s.hostile.Load(), sent.Load())
	}
}

// attack sends one request that must not be served, whole or cut in two, alone or
// behind one that may be. It is false when nobody took the connection.
func (s *site) attack(rng *rand.Rand) (sent bool) {
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(300 * time.Millisecond))
	text := []string{
		requestFor("/read", "", hostileMark), requestFor("/write", clientToken, hostileMark), requestFor("/read", "stranger", hostileMark),
		requestFor("/nowhere", ownToken, hostileMark), requestFor("/open/../read", ownToken, hostileMark),
		strings.ToLower(requestFor("/open", "", hostileMark)), requestFor("/read", ownToken+"x", hostileMark),
	}[rng.Intn(7)]
	switch rng.Intn(3) {
	case 0:
		at := 1 + rng.Intn(len(text)-1)
		io.WriteString(c, text[:at])
		io.WriteString(c, text[at:])
	case 1:
		io.WriteString(c, requestFor("/open", "", "")+text)
	default:
		io.WriteString(c, text)
	}
	answered(c)
	return true
}
