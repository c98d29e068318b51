package gate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
)

const short = gate.Duration(200 * time.Millisecond)

// The address of a PROXY header counts if it comes from where it may, and is a
// malformed request from anywhere else.
func TestProxyHeadersCountFromProxiesOnly(t *testing.T) {
	const header = "PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n"
	trusted := startWith(t, gate.Settings{ProxyFrom: []string{"10.0.0.0/8", "127.0.0.1"}}, showHeaders)
	c := trusted.dial()
	c.send(header + request("GET", "/data/a", "X-Forwarded-For: 203.0.113.9\r\n", ""))
	if got := c.body(200); !strings.Contains(got, "X-Forwarded-For=192.0.2.7\n") || !strings.Contains(got, "X-Real-Ip=192.0.2.7\n") {
		t.Errorf("the service got %s", got)
	}
	c = trusted.dial()
	c.send(request("GET", "/data/a", "", ""))
	c.ends()
	trusted.reached(1)
	other := startWith(t, gate.Settings{ProxyFrom: []string{"10.0.0.0/8"}}, showHeaders)
	c = other.dial()
	c.send(header + request("GET", "/data/a", "", ""))
	c.expect(501, "not_implemented", "")
	other.reached(0)
	c = other.dial()
	c.send(request("GET", "/data/a", "", ""))
	if got := c.body(200); !strings.Contains(got, "X-Forwarded-For=127.0.0.1\n") {
		t.Errorf("the service got %s", got)
	}
}

func TestProxyHeaderComesBeforeTLS(t *testing.T) {
	a := newAuthority(t)
	settings := a.settings()
	settings.ProxyFrom = []string{"127.0.0.0/8"}
	f := startWith(t, settings, showHeaders)
	client := a.client(http2)
	transport := client.Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			_, err = io.WriteString(conn, "PROXY TCP6 2001:db8::7 2001:db8::1 1234 443\r\n")
		}
		return conn, err
	}
	if _, got := f.fetch(client, "https", "/data/a", token, nil); !strings.Contains(got, "X-Forwarded-For=2001:db8::7\n") {
		t.Errorf("the service got %s", got)
	}
}

// proxied is a listener of a service that expects a PROXY header.
type proxied struct {
	net.Listener
	lines chan string
}

func (p proxied) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	line := []byte{}
	for one := make([]byte, 1); !strings.HasSuffix(string(line), "\n"); line = append(line, one[0]) {
		if _, err := conn.Read(one); err != nil {
			break
		}
	}
	p.lines <- string(line)
	return conn, nil
}

func TestServicesAreToldByAProxyHeader(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 2)
	service := httptest.NewUnstartedServer(http.HandlerFunc(showHeaders))
	service.Listener.Close()
	service.Listener = proxied{listener, lines}
	service.Start()
	t.Cleanup(service.Close)
	a := newAuthority(t)
	settings := a.settings()
	settings.Upstream, settings.Backend.SendProxy = listener.Addr().String(), 1
	f := startWith(t, settings, nil)
	for range 2 { // two clients never share a connection
		client := a.client(func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) })
		if answer, got := f.fetch(client, "https", "/data/a", token, nil); answer.ProtoMajor != 1 || answer.StatusCode != 200 {
			t.Errorf("answer %v %s", answer, got)
		}
		if line := <-lines; !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
			t.Errorf("line %q", line)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	for why, limits := range map[string]gate.Limits{"of the service": {Connections: 3}, "of an address": {PerAddress: 3}} {
		f := startWith(t, gate.Settings{Limits: limits}, nil)
		var first *client
		for i := range 3 {
			c := f.dial()
			c.send(request("GET", "/data/a", "", ""))
			c.expect(200, "", "")
			if i == 0 {
				first = c
			}
		}
		c := f.dial()
		io.WriteString(c.conn, request("GET", "/data/a", "", ""))
		c.ends()
		f.reached(3)
		first.conn.Close()
		for deadline := time.Now().Add(5 * time.Second); ; { // until the gate has seen the end
			c := f.dial()
			io.WriteString(c.conn, request("GET", "/data/a", "", ""))
			if _, err := http.ReadResponse(c.reader, nil); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: a place is not given back", why)
			}
		}
	}
}

// What says nothing for too long is ended; what waits for its answer is not.
func TestSilenceIsEnded(t *testing.T) {
	a := newAuthority(t)
	f := startWith(t, gate.Settings{Limits: gate.Limits{Header: short, Idle: short}}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		timer := time.NewTimer(4 * time.Duration(short))
		defer timer.Stop()
		<-timer.C
		fmt.Fprint(w, "late")
	})
	for why, sent := range map[string]string{
		"nothing": "", "half a header": "GET /data/a HTTP/1.1\r\nHost:",
	} {
		c := f.dial()
		c.send(sent)
		began := time.Now()
		c.ends()
		if elapsed := time.Since(began); elapsed > 5*time.Second {
			t.Errorf("%s: after %v", why, elapsed)
		}
	}
	c := f.dial()
	c.send(request("GET", "/data/a", "", ""))
	c.expect(200, "", "late")
	began := time.Now()
	c.ends()
	if elapsed := time.Since(began); elapsed > 5*time.Second {
		t.Errorf("after an answer: %v", elapsed)
	}
	settings := a.settings()
	settings.Limits = gate.Limits{Header: short}
	secure := startWith(t, settings, nil).dial()
	secure.ends()
	settings = gate.Settings{ProxyFrom: []string{"127.0.0.1"}, Limits: gate.Limits{Header: short}}
	told := startWith(t, settings, nil).dial()
	told.send("PROXY ")
	told.ends()
}

func TestSlowHeaderBytesDoNotHelp(t *testing.T) {
	f := startWith(t, gate.Settings{Limits: gate.Limits{Header: short}}, nil)
	c := f.dial()
	ticker := time.NewTicker(time.Duration(short) / 10)
	defer ticker.Stop()
	began := time.Now()
	for _, err := io.WriteString(c.conn, "GET /data/a HTTP/1.1\r\n"); err == nil; _, err = io.WriteString(c.conn, "X: y\r\n") {
		if <-ticker.C; time.Since(began) > 5*time.Second {
			t.Fatal("the connection is still open")
		}
	}
}

func TestAnswersThatStandStillAreEnded(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	for _, set := range []func(*http.Protocols){http1, h2c} {
		f := startWith(t, gate.Settings{H2C: true, Limits: gate.Limits{Answer: short}}, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-block:
			case <-r.Context().Done():
			}
		})
		client := newAuthority(t).client(set)
		r, err := http.NewRequest("POST", "http://"+f.gate.Addr().String()+"/data/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		began := time.Now()
		if answer, err := client.Do(r); err == nil && answer.StatusCode != 502 {
			t.Errorf("answer %v", answer)
		}
		if elapsed := time.Since(began); elapsed > 5*time.Second {
			t.Errorf("after %v", elapsed)
		}
	}
}

// A client that does not read is cut off, and holds the service no longer.
func TestClientsMustRead(t *testing.T) {
	gone := make(chan struct{})
	f := startWith(t, gate.Settings{Limits: gate.Limits{Write: short}}, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	f.dial().send(request("GET", "/data/a", "", ""))
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the service is still writing")
	}
}

// A drain refuses what is new and lets finish what is under way, by either
// protocol, and no longer than it may.
func TestDrain(t *testing.T) {
	for _, set := range []func(*http.Protocols){http1, h2c} {
		arrived, release := make(chan struct{}), make(chan struct{})
		f := startWith(t, gate.Settings{H2C: true}, func(w http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			<-release
			fmt.Fprint(w, "finished")
		})
		idle := f.dial()
		answered := make(chan string, 1)
		go func() {
			_, got := f.fetch(newAuthority(t).client(set), "http", "/data/a", token, nil)
			answered <- got
		}()
		<-arrived
		drained := make(chan struct{})
		address := f.gate.Addr().String()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		go func() {
			defer close(drained)
			f.gate.Drain(ctx)
		}()
		idle.ends()
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			io.WriteString(conn, request("GET", "/data/a", "", ""))
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				t.Error("a new connection is served")
			}
			conn.Close()
		}
		select {
		case <-drained:
			t.Error("drained while a request is under way")
		default:
		}
		close(release)
		if got := <-answered; got != "finished" {
			t.Errorf("the request under way got %q", got)
		}
		<-drained
		if ctx.Err() != nil {
			t.Error("the drain took all its time")
		}
		cancel()
		f.reached(1)
	}
}

func TestDrainIsBounded(t *testing.T) {
	var cut atomic.Bool
	arrived, ended := make(chan struct{}), make(chan struct{})
	f := startWith(t, gate.Settings{}, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		cut.Store(true)
		close(ended)
	})
	c := f.dial()
	c.send(request("GET", "/data/a", "", ""))
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(short))
	defer cancel()
	f.gate.Drain(ctx)
	c.ends()
	<-ended
	if !cut.Load() {
		t.Error("the service goes on")
	}
}
