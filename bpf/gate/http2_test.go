package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
)

// startHTTP2 runs a gate that takes HTTP/2 with prior knowledge, before a
// service that does, too.
func startHTTP2(t testing.TB, handler http.HandlerFunc) *fixture {
	counter := new(fixture)
	service := httptest.NewUnstartedServer(counter.counting(handler))
	service.Config.Protocols = new(http.Protocols)
	service.Config.Protocols.SetUnencryptedHTTP2(true)
	service.Start()
	t.Cleanup(service.Close)
	settings := gate.Settings{H2C: true, Upstream: service.Listener.Addr().String(), Backend: gate.BackendSettings{HTTP2: true}}
	f := startWith(t, settings, nil)
	f.counter = counter
	return f
}

func TestVerdictsArePerStream(t *testing.T) {
	a := newAuthority(t)
	f := startWith(t, a.settings(), nil)
	client := a.client(http2)
	var kept []bool
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { kept = append(kept, i.Reused) }}
	for _, c := range []struct {
		method, path, token string
		status              int
		verdict             string
	}{
		{"GET", "/data/a", token, 200, ""},
		{"GET", "/data/a", "", 401, "no_token"},
		{"GET", "/data/a", "other", 401, "unknown_token"},
		{"GET", "/other", token, 403, "no_route"},
		{"GET", "/data//a", token, 400, "malformed_request"},
		{"TRACE", "/data/a", token, 501, "not_implemented"},
		{"GET", "/open", "", 200, ""},
		{"POST", "/data/b", token, 200, ""},
	} {
		r, err := http.NewRequest(c.method, "https://"+f.gate.Addr().String()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		answer, err := client.Do(r.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.status || answer.Header.Get("X-Authfi-Verdict") != c.verdict {
			t.Errorf("%s %s: %d %q", c.method, c.path, answer.StatusCode, answer.Header.Get("X-Authfi-Verdict"))
		}
	}
	for i, reused := range kept {
		if reused != (i > 0) {
			t.Errorf("request %d: the connection is kept: %v", i, reused)
		}
	}
	f.reached(3)
	counts := f.gate.Counts()
	if counts[policy.ReasonAllowed] != 2 || counts[policy.ReasonNoRoute] != 1 || counts[policy.ReasonPublic] != 1 {
		t.Errorf("counts %v", counts)
	}
}

// Clients of either protocol reach a service of either protocol, with the same
// request.
func TestProtocolsAreTranslated(t *testing.T) {
	client := newAuthority(t)
	for _, service2 := range []bool{false, true} {
		f := startHTTP2(t, showHeaders)
		if !service2 {
			f = startWith(t, gate.Settings{H2C: true}, showHeaders)
		}
		for _, set := range []func(*http.Protocols){http1, h2c} {
			_, got := f.fetch(client.client(set), "http", "/data/%61?q=%2e;&r", token, strings.NewReader("body"))
			for _, want := range []string{
				"POST /data/%61?q=%2e;&r host=127.0.0.1:", "X-Forwarded-Proto=http\n", "X-Forwarded-Host=127.0.0.1:",
				"X-Forwarded-For=127.0.0.1\n", "X-Real-Ip=127.0.0.1\n", "X-Authfi-User=user-5\n", "Content-Length=4\n",
			} {
				if !strings.Contains(got, want) {
					t.Errorf("service of HTTP/2 %v: without %q it got %s", service2, want, got)
				}
			}
			if answer, _ := f.fetch(client.client(set), "http", "/data/a", "", nil); answer.StatusCode != 401 {
				t.Errorf("without a token: %v", answer)
			}
		}
		f.reached(2)
	}
}

func TestHTTP2ClientsCannotSayWhoTheyAre(t *testing.T) {
	f := startHTTP2(t, showHeaders)
	r, err := http.NewRequest("GET", "http://"+f.gate.Addr().String()+"/data/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range forged {
		if name != "Proxy-Connection" && name != "Keep-Alive" { // malformed in HTTP/2
			r.Header[name] = []string{"forged"}
		}
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := newAuthority(t).client(h2c).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, _ := io.ReadAll(answer.Body); answer.StatusCode != 200 || strings.Contains(string(got), "forged") {
		t.Errorf("%d, the service got %s", answer.StatusCode, got)
	}
}

func TestHTTP2IsOnlySpokenWhereItIsSet(t *testing.T) {
	c := start(t).dial()
	c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	c.expect(505, "version", "")
	c.ends()
}

// duplex is a request whose body and answer are open at the same time.
type duplex struct {
	t      testing.TB
	say    *io.PipeWriter
	answer *http.Response
}

func (f *fixture) duplex(client *http.Client) *duplex {
	f.t.Helper()
	body, say := io.Pipe()
	r, err := http.NewRequest("POST", "http://"+f.gate.Addr().String()+"/data/a", body)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	go io.WriteString(say, "0\n") // Do returns with the head of the answer
	answer, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { say.Close(); answer.Body.Close() })
	return &duplex{f.t, say, answer}
}

func (d *duplex) hear() (string, error) {
	line := make([]byte, 2)
	_, err := io.ReadFull(d.answer.Body, line)
	return string(line), err
}

func echoLines(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	line := make([]byte, 2)
	n := 0
	for {
		if _, err := io.ReadFull(r.Body, line); err != nil {
			break
		}
		n++
		w.Write(line)
		http.NewResponseController(w).Flush()
	}
	w.Header().Set("X-Sum", fmt.Sprint(n))
}

func TestStreamsGoBothWaysWithoutBuffering(t *testing.T) {
	f := startHTTP2(t, echoLines)
	d := f.duplex(newAuthority(t).client(h2c))
	for i := range 5 {
		if line, err := d.hear(); err != nil || line != fmt.Sprintf("%d\n", i) {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
		fmt.Fprintf(d.say, "%d\n", i+1)
	}
	if _, err := d.hear(); err != nil {
		t.Fatal(err)
	}
	d.say.Close()
	if _, err := d.hear(); err != io.EOF || d.answer.Trailer.Get("X-Sum") != "6" {
		t.Errorf("at the end: %v, trailer %v", err, d.answer.Trailer)
	}
}

// Whatever takes a right away ends an open stream, and the others of its
// connection go on.
func TestStreamsEnd(t *testing.T) {
	for why, change := range map[string]func(*fixture){
		"revoked": func(f *fixture) { f.revoked.Store(true); f.gate.Review(subject) },
		"lease":   func(f *fixture) { f.lapsed.Store(true); f.gate.ReviewAll() },
		"policy":  func(f *fixture) { f.enforce([]policy.Route{{Path: "/open", Public: true}, {Path: "/data/b"}}) },
	} {
		t.Run(why, func(t *testing.T) {
			f := startHTTP2(t, echoLines)
			client := newAuthority(t).client(h2c)
			d := f.duplex(client)
			if _, err := d.hear(); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			change(f)
			if _, err := d.hear(); err == nil || err == io.EOF {
				t.Fatalf("the stream goes on, or ended as if it were whole: %v", err)
			}
			t.Logf("ended after %v", time.Since(began))
			if answer, _ := f.fetch(client, "http", "/open", "", nil); answer.StatusCode != 200 {
				t.Errorf("another stream of the connection: %v", answer)
			}
		})
	}
}

// A request that the service has not begun to answer is refused like any other.
func TestCutBeforeTheAnswerIsARefusal(t *testing.T) {
	arrived := make(chan struct{})
	f := startHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	go func() {
		<-arrived
		f.revoked.Store(true)
		f.gate.Review(subject)
	}()
	answer, _ := f.fetch(newAuthority(t).client(h2c), "http", "/data/a", token, nil)
	if answer.StatusCode != 401 || answer.Header.Get("X-Authfi-Verdict") != "token_revoked" {
		t.Errorf("answer %v", answer)
	}
}

func TestServiceOfHTTP2ThatIsDownIsABadGateway(t *testing.T) {
	settings := gate.Settings{H2C: true, Upstream: "127.0.0.1:1", Backend: gate.BackendSettings{HTTP2: true}}
	f := startWith(t, settings, nil)
	for _, set := range []func(*http.Protocols){http1, h2c} {
		answer, _ := f.fetch(newAuthority(t).client(set), "http", "/data/a", token, nil)
		if answer.StatusCode != 502 || answer.Header.Get("X-Authfi-Verdict") != "service_unreachable" {
			t.Errorf("answer %v", answer)
		}
	}
}
