package gate_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/coder/websocket"
)

// echoSocket is a WebSocket service that says everything again.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer socket.CloseNow()
	socket.SetReadLimit(1 << 20)
	for {
		kind, message, err := socket.Read(r.Context())
		if err != nil {
			return
		}
		if err := socket.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

func (f *fixture) webSocket(ctx context.Context, header http.Header) (*websocket.Conn, *http.Response, error) {
	return websocket.Dial(ctx, "ws://"+f.gate.Addr().String()+"/ws/a", &websocket.DialOptions{HTTPHeader: header})
}

func bearer() http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func TestWebSocketsAreDecidedAndRelayed(t *testing.T) {
	f := startWith(t, gate.Settings{}, echoSocket)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, answer, err := f.webSocket(ctx, nil); err == nil || answer == nil || answer.StatusCode != 401 {
		t.Fatalf("without a token: %v, %v", answer, err)
	}
	f.reached(0)
	socket, _, err := f.webSocket(ctx, bearer())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	socket.SetReadLimit(1 << 20)
	for _, size := range []int{0, 1, 1000, 300 << 10} {
		sent := bytes.Repeat([]byte{'m'}, size)
		if err := socket.Write(ctx, websocket.MessageBinary, sent); err != nil {
			t.Fatal(err)
		}
		if _, got, err := socket.Read(ctx); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came back of %d, %v", len(got), size, err)
		}
	}
	if err := socket.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Error(err)
	}
}

// Whatever takes a right away ends an open tunnel, and soon.
func TestWebSocketsEnd(t *testing.T) {
	for why, change := range map[string]func(*fixture){
		"revoked": func(f *fixture) { f.revoked.Store(true); f.gate.Review(subject) },
		"lease":   func(f *fixture) { f.lapsed.Store(true); f.gate.ReviewAll() },
		"policy":  func(f *fixture) { f.enforce([]policy.Route{{Path: "/ws/other", Upgrade: true}}) },
		"upgrade": func(f *fixture) { f.enforce([]policy.Route{{Path: "/ws/**"}}) },
		"reset":   func(f *fixture) { f.program.Store(nil); f.gate.ReviewAll() },
	} {
		t.Run(why, func(t *testing.T) {
			f := startWith(t, gate.Settings{}, echoSocket)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			socket, _, err := f.webSocket(ctx, bearer())
			if err != nil {
				t.Fatal(err)
			}
			defer socket.CloseNow()
			f.enforce(routes) // a policy under which it stands
			f.gate.Review(policy.Subject{9})
			if err := socket.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := socket.Read(ctx); err != nil {
				t.Fatalf("ended without a reason: %v", err)
			}
			began := time.Now()
			change(f)
			if _, _, err := socket.Read(ctx); err == nil || ctx.Err() != nil {
				t.Fatalf("the tunnel is still open: %v", err)
			}
			elapsed := time.Since(began)
			t.Logf("ended after %v", elapsed)
			if elapsed > time.Second {
				t.Errorf("it took %v", elapsed)
			}
		})
	}
}

// A service that ignores the upgrade would take the next bytes for a request.
func TestRefusedUpgradeIsTheLastAnswer(t *testing.T) {
	f := startWith(t, gate.Settings{}, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "no socket here")
	})
	c := f.dial()
	c.send(request("GET", "/ws/a", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "") + "DELETE /secret HTTP/1.1\r\nHost: s\r\n\r\n")
	c.expect(200, "", "no socket here")
	c.ends()
	f.reached(1)
}

// Bytes behind the upgrade are held until the service agrees, other requests of
// the connection are answered before, and a protocol other than WebSocket is
// relayed as well.
func TestUpgradeBehindARequest(t *testing.T) {
	f := startWith(t, gate.Settings{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, "plain")
			return
		}
		socket, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer socket.Close()
		buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\nready\n")
		buffered.Flush()
		io.Copy(socket, buffered)
	})
	c := f.dial()
	c.send(request("GET", "/data/a", "", ""))
	c.expect(200, "", "plain")
	c.send(request("GET", "/ws/a", "Connection: keep-alive, Upgrade\r\nUpgrade: lines\r\n", "") + "first\n")
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil || answer.StatusCode != 101 || answer.Header.Get("Upgrade") != "lines" {
		t.Fatalf("answer %v, %v", answer, err)
	}
	for _, want := range []string{"ready\n", "first\n"} {
		if line, err := c.reader.ReadString('\n'); err != nil || line != want {
			t.Fatalf("line %q, %v, want %q", line, err, want)
		}
	}
	c.send("second\n")
	if line, err := c.reader.ReadString('\n'); err != nil || line != "second\n" {
		t.Fatalf("line %q, %v", line, err)
	}
	f.reached(2)
}

// A service that switches to what nobody asked for is not believed.
func TestUpgradeToAnotherProtocolIsRefused(t *testing.T) {
	f := startWith(t, gate.Settings{}, func(w http.ResponseWriter, r *http.Request) {
		socket, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer socket.Close()
		io.WriteString(socket, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		io.Copy(io.Discard, socket)
	})
	c := f.dial()
	c.send(request("GET", "/ws/a", "Connection: Upgrade\r\nUpgrade: websocket\r\n", ""))
	c.expect(502, "service_unreachable", "")
	c.ends()
}
