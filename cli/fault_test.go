package cli_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/node/nodetest"
)

// forwarder stands between the command line and a node, as a network does.
type forwarder struct {
	url, ca string
	// seen is asked about each answer of a change before the client gets it; an
	// error loses the answer.
	seen atomic.Pointer[func(*http.Response) error]
}

func (o *organizations) forwarder(t *testing.T) *forwarder {
	t.Helper()
	node, err := url.Parse(o.cluster.URL(1))
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{}
	proxy := httputil.NewSingleHostReverseProxy(node)
	proxy.Transport = o.cluster.Transport()
	proxy.ModifyResponse = func(res *http.Response) error {
		if seen := f.seen.Load(); seen != nil && res.Request.Header.Get("Idempotency-Key") != "" {
			return (*seen)(res)
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewTLSServer(proxy)
	t.Cleanup(server.Close)
	f.url = server.URL
	f.ca = o.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	return f
}

func (f *forwarder) flags() []string { return []string{"--url", f.url, "--cacert", f.ca} }

// testLostAnswers loses the first answer of every change after the node has made
// it: the import sends it again, and nothing is made twice.
func testLostAnswers(o *organizations) {
	file := newRandomFile(7)
	file.Connections = []*archive.Connection{{Provider: "okta"}}
	want := fileText(o.t, file)
	quiet, lossy := o.fresh(), o.fresh()
	o.into(quiet, want)

	f := o.forwarder(o.t)
	lost := map[string]bool{}
	var mu sync.Mutex
	lose := func(res *http.Response) error {
		mu.Lock()
		defer mu.Unlock()
		key := res.Request.Header.Get("Idempotency-Key")
		if lost[key] {
			return nil
		}
		lost[key] = true
		return errors.New("lost")
	}
	f.seen.Store(&lose)
	name := o.write("lossy.jsonl", want)
	_, stderr, code := invoke(o.t, append([]string{"authfi", "import", name, "--org", lossy}, f.flags()...)...)
	if code != 0 || len(lost) == 0 {
		o.t.Fatalf("exit %d, %d answers lost\n%s", code, len(lost), stderr)
	}
	if !strings.Contains(stderr, "create connection okta: it was made, but the answer with its token was lost") {
		o.t.Errorf("a token is lost in silence:\n%s", stderr)
	}
	if got := o.export(lossy); got != want {
		o.t.Error(firstDifference(want, got))
	}
	events := func(slug string) string {
		return o.run("audit", "list", "--org", slug, "--all", "--query", "[.entries[].type] | sort | group_by(.) | map([.[0], length])")
	}
	if once, again := events(quiet), events(lossy); once != again {
		o.t.Errorf("changes with lost answers %s, without %s", again, once)
	}
}

// testLateAnswer loses an answer that comes last of many: the others wait, so that
// the node still knows what it answered.
func testLateAnswer(o *organizations) {
	const users, underWay = 5_500, 8 // of 11 batches
	slug := o.fresh()
	o.run("organizations", "limits", "set", slug, "--user-quota", "10000")
	name := o.write("people.csv", people(users))
	f := o.forwarder(o.t)
	answered := make(chan struct{}, users)
	var first atomic.Bool
	var began time.Time
	late := func(*http.Response) error {
		if !first.CompareAndSwap(false, true) {
			answered <- struct{}{}
			return nil
		}
		// Nobody comes any more when nobody comes for several times as long as this
		// one has taken.
		took := time.Since(began)
		for others := 0; ; others++ {
			select {
			case <-answered:
			case <-time.After(4 * took):
				if others >= underWay {
					o.t.Errorf("%d requests were made while one was in doubt", others)
				}
				return errors.New("lost")
			}
		}
	}
	groups := func(*http.Response) error { // are made first
		began = time.Now()
		f.seen.Store(&late)
		return nil
	}
	f.seen.Store(&groups)
	o.run(append([]string{"import", name, "--org", slug, "--create-groups"}, f.flags()...)...)
	if total := o.run("users", "list", "--org", slug, "--limit", "1", "--query", ".total"); total != fmt.Sprintln(users) {
		o.t.Errorf("users %s", total)
	}
}

// people is a list of so many users in five groups.
func people(n int) string {
	var b strings.Builder
	b.WriteString("user_name,groups\n")
	for i := range n {
		fmt.Fprintf(&b, "person-%05d,group-%d\n", i, i%5)
	}
	return b.String()
}

const many = 3_000 // some batches; below the quota

func (o *organizations) complete(slug, name string) {
	o.t.Helper()
	o.run("import", name, "--org", slug, "--create-groups")
	if total := o.run("users", "list", "--org", slug, "--limit", "1", "--query", ".total"); total != fmt.Sprintln(many) {
		o.t.Errorf("users %s", total)
	}
	for g := range 5 {
		members := o.run("groups", "members", "list", fmt.Sprintf("group-%d", g), "--org", slug, "--limit", "1", "--query", ".total")
		if members != fmt.Sprintln(many/5) {
			o.t.Errorf("group %d has members %s", g, members)
		}
	}
	if again := o.run("import", name, "--org", slug, "--create-groups", "--query", ".changes"); again != "0\n" {
		o.t.Errorf("a further import changes %s records", again)
	}
}

// testInterrupt stops an import in the middle: it says how far it came, and the
// same command goes on.
func testInterrupt(o *organizations) {
	slug := o.fresh()
	name := o.write("people.csv", people(many))
	ctx, stop := context.WithCancel(o.t.Context())
	f := o.forwarder(o.t)
	var answers atomic.Int32
	count := func(*http.Response) error {
		if answers.Add(1) == 3 { // the groups, and two batches of users
			stop()
		}
		return nil
	}
	f.seen.Store(&count)
	words := append([]string{"authfi", "import", name, "--org", slug, "--create-groups"}, f.flags()...)
	_, stderr, code := invokeIn(ctx, o.t, words...)
	if code != 1 || !strings.Contains(stderr, "canceled: stopped after ") || !strings.Contains(stderr, "the same command goes on from there") {
		o.t.Fatalf("exit %d\n%s", code, stderr)
	}
	var made, planned int
	far := stderr[strings.Index(stderr, "stopped after"):]
	if _, err := fmt.Sscanf(far, "stopped after %d of %d", &made, &planned); err != nil || planned != 2*many+5 {
		o.t.Fatalf("%q: %v", far, err)
	}
	total := o.run("users", "list", "--org", slug, "--limit", "1", "--query", ".total")
	if total != fmt.Sprintln(made-5) || made == 5 || made-5 == many { // the groups count, too
		o.t.Errorf("%s users after %d changes", total, made)
	}
	o.complete(slug, name)
}

// testLostLeader stops the leader while an import is under way.
func testLostLeader(o *organizations) {
	slug := o.fresh()
	name := o.write("people.csv", people(many))
	leader := 0
	for i := range nodetest.Size {
		if o.cluster.Status(1, 0).Leader == fmt.Sprintf("node-%d", i+1) {
			leader = i
		}
	}
	if leader == 1 {
		// The command line asks node 2, so another one must lead.
		o.cluster.Stop(1)
		o.cluster.Start(1)
		o.t.Setenv("AUTHFI_URL", o.cluster.URL(1))
		leader = map[string]int{"node-1": 0, "node-3": 2}[o.cluster.Status(1, 0).Leader]
	}
	f := o.forwarder(o.t)
	var once sync.Once
	stopped := make(chan struct{})
	stop := func(*http.Response) error {
		once.Do(func() {
			go func() {
				defer close(stopped)
				o.cluster.Stop(leader)
			}()
		})
		return nil
	}
	f.seen.Store(&stop)
	began := time.Now()
	o.run(append([]string{"import", name, "--org", slug, "--create-groups"}, f.flags()...)...)
	<-stopped
	o.t.Logf("imported in %s while the leader stopped", time.Since(began).Round(time.Millisecond))
	o.cluster.Start(leader)
	o.complete(slug, name)
}
