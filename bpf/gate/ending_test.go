package gate_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
	"golang.org/x/sys/unix"
)

// Sizes of an answer that no buffer on its way holds as a whole while its client is slow.
const (
	longAnswer  = 6 << 20
	smallBuffer = 4 << 10 // of the client's kernel
	smallRead   = 1 << 10
)

// serviceOf is a service of raw bytes: it reads one header block of each connection
// and answers as it likes.
func serviceOf(t *testing.T, answer func(*net.TCPConn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if readBlock(conn) == nil {
					answer(conn.(*net.TCPConn))
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// readBlock takes no byte behind the header block: what lies unread at the end of a
// service's connection resets it.
func readBlock(conn net.Conn) error {
	one := make([]byte, 1)
	for last := ""; !strings.HasSuffix(last, "\r\n\r\n"); last += string(one) {
		if _, err := conn.Read(one); err != nil {
			return err
		}
	}
	return nil
}

// slow is a client whose kernel takes little ahead of it.
func (f *fixture) slow(secure *tls.Config) net.Conn {
	f.t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, smallBuffer)
		})
		return errors.Join(err, failed)
	}}
	conn, err := dialer.Dial("tcp", f.gate.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	if secure != nil {
		secure = secure.Clone()
		secure.ServerName = "127.0.0.1"
		conn = tls.Client(conn, secure)
	}
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	return conn
}

// readAll reads an answer and all behind it, in small pieces, until the end of the connection.
func readAll(conn net.Conn) (status int, body int, err error) {
	reader := bufio.NewReaderSize(conn, smallRead)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, 0, err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, answer.Body, make([]byte, smallRead))
	if err != nil {
		return answer.StatusCode, int(n), err
	}
	if b, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
		return answer.StatusCode, int(n), fmt.Errorf("behind the answer: byte %q, %w", b, errors.Join(err, errors.New("no end")))
	}
	return answer.StatusCode, int(n), nil
}

// The gate once ended every connection by a reset, which destroyed what a slow client
// had not taken yet and told a fast one that its whole answer had failed.
func TestAnswersThatEndTheConnectionArriveWhole(t *testing.T) {
	a := newAuthority(t)
	withTLS := a.settings()
	body := strings.Repeat("x", longAnswer)
	framings := map[string]string{
		"length":  fmt.Sprintf("Content-Length: %d\r\n\r\n%s", longAnswer, body),
		"chunked": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", longAnswer, body),
		"close":   "\r\n" + body,
	}
	requests := map[string]string{
		"1.1": "GET /open HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n",
		"1.0": "GET /open HTTP/1.0\r\n\r\n",
	}
	more := map[string]string{
		"alone":     "",
		"pipelined": strings.Repeat("GET /open HTTP/1.1\r\nHost: s\r\n\r\n", 400),
		"garbage":   strings.Repeat("\x16\x03\x01", 9000),
	}
	for framing, rest := range framings {
		for version, request := range requests {
			if framing == "chunked" && version == "1.0" {
				continue
			}
			for behind, bytes := range more {
				for _, secure := range []bool{false, true} {
					t.Run(fmt.Sprint(framing, " ", version, " ", behind, " TLS ", secure), func(t *testing.T) {
						t.Parallel()
						settings, config := gate.Settings{}, (*tls.Config)(nil)
						if secure {
							settings, config = withTLS, a.clientConfig()
						}
						settings.Upstream = serviceOf(t, func(conn *net.TCPConn) {
							io.WriteString(conn, "HTTP/"+version+" 200 OK\r\nConnection: close\r\n"+rest)
						})
						conn := startWith(t, settings, nil).slow(config)
						if _, err := io.WriteString(conn, request+bytes); err != nil {
							t.Fatal(err)
						}
						if status, n, err := readAll(conn); status != 200 || n != longAnswer || err != nil {
							t.Errorf("status %d, %d bytes of %d: %v", status, n, longAnswer, err)
						}
					})
				}
			}
		}
	}
}

// What was cut must not look whole: where only the end of the connection ends an
// answer, an orderly one would.
func TestAnswersThatAreCutDoNotLookWhole(t *testing.T) {
	reset := func(conn *net.TCPConn) { conn.SetLinger(0) }
	for why, answer := range map[string]func(*net.TCPConn){
		"close-delimited, reset": func(conn *net.TCPConn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nhalf")
			awaitAcked(conn)
			reset(conn)
		},
		"too short": func(conn *net.TCPConn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		},
		"a chunk is missing": func(conn *net.TCPConn) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		},
		"half a head": func(conn *net.TCPConn) { io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-") },
	} {
		t.Run(why, func(t *testing.T) {
			conn := startWith(t, gate.Settings{Upstream: serviceOf(t, answer)}, nil).slow(nil)
			io.WriteString(conn, "GET /open HTTP/1.1\r\nHost: s\r\n\r\n")
			if got, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read %q, then %v", got, err)
			}
		})
	}
}

// awaitAcked waits until the peer's kernel has all that was written.
func awaitAcked(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	for left := 1; left > 0; {
		raw.Control(func(fd uintptr) { left = unsent(fd) })
	}
}

func TestRevocationCutsACloseDelimitedAnswer(t *testing.T) {
	held := make(chan struct{})
	f := startWith(t, gate.Settings{Upstream: serviceOf(t, func(conn *net.TCPConn) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nhalf")
		<-held
	})}, nil)
	defer close(held)
	conn := f.slow(nil)
	io.WriteString(conn, request("GET", "/data/a", "", ""))
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200 OK\r\n\r\nhalf"))); err != nil {
		t.Fatal(err)
	}
	f.revoked.Store(true)
	f.gate.Review(subject)
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// A refusal behind a close-delimited answer would be read as a part of it, and one
// behind a long answer waits until the client has taken that.
func TestRefusalBehindALongAnswer(t *testing.T) {
	body := strings.Repeat("x", longAnswer)
	for framing, want := range map[string]struct {
		head    string
		refused bool
	}{
		"length": {fmt.Sprintf("Content-Length: %d\r\n", longAnswer), true},
		"close":  {"", false},
	} {
		t.Run(framing, func(t *testing.T) {
			conn := startWith(t, gate.Settings{Upstream: serviceOf(t, func(conn *net.TCPConn) {
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+want.head+"\r\n"+body)
			})}, nil).slow(nil)
			io.WriteString(conn, "GET /open HTTP/1.1\r\nHost: s\r\n\r\nGET /data/a HTTP/1.1\r\nHost: s\r\n\r\n")
			reader := bufio.NewReaderSize(conn, smallRead)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, answer.Body); n != longAnswer || err != nil {
				t.Fatalf("%d bytes of %d: %v", n, longAnswer, err)
			}
			rest, err := io.ReadAll(reader)
			if err != nil {
				t.Errorf("the connection ended by %v", err)
			}
			if refused := strings.HasPrefix(string(rest), "HTTP/1.1 401 "); refused != want.refused || !refused && len(rest) > 0 {
				t.Errorf("behind the answer came %q", rest)
			}
		})
	}
}

// A service may answer before it has read the whole request, and close.
func TestAnswerToAnUnreadBodyArrives(t *testing.T) {
	conn := startWith(t, gate.Settings{Upstream: serviceOf(t, func(conn *net.TCPConn) {
		io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlong")
		conn.CloseWrite()
		io.CopyN(io.Discard, conn, 100<<10) // and closes with the rest unread
	})}, nil).slow(nil)
	go io.WriteString(conn, request("POST", "/data/a", fmt.Sprintf("Content-Length: %d\r\n", longAnswer), strings.Repeat("b", longAnswer)))
	if status, n, err := readAll(conn); status != 413 || n != 4 || err != nil {
		t.Errorf("status %d, %d bytes: %v", status, n, err)
	}
}

// What ends a connection without taking anything away leaves the answer to be read.
func TestDrainLeavesTheLastAnswerWhole(t *testing.T) {
	for why, end := range map[string]func(*fixture){
		"drain": func(f *fixture) {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
			defer cancel()
			f.gate.Drain(ctx)
		},
		"sweep": func(f *fixture) { f.gate.Sweep(subject) },
	} {
		t.Run(why, func(t *testing.T) {
			f := startWith(t, gate.Settings{}, func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, strings.Repeat("x", longAnswer))
			})
			conn := f.slow(nil)
			io.WriteString(conn, request("GET", "/data/a", "", ""))
			reader := bufio.NewReaderSize(conn, smallRead)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			go end(f)
			if n, err := io.Copy(io.Discard, answer.Body); n != longAnswer || err != nil {
				t.Fatalf("%d bytes of %d: %v", n, longAnswer, err)
			}
			if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("the connection ended by %v", err)
			}
		})
	}
}

// A tunnel that one side has ended carries the rest of the other's bytes.
func TestTunnelEndsWhole(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"
	conn := startWith(t, gate.Settings{Upstream: serviceOf(t, func(conn *net.TCPConn) {
		io.WriteString(conn, head)
		io.Copy(io.Discard, conn)
		io.WriteString(conn, strings.Repeat("x", longAnswer))
	})}, nil).slow(nil)
	io.WriteString(conn, request("GET", "/ws/a", "Connection: Upgrade\r\nUpgrade: lines\r\n", "")+"said")
	conn.(*net.TCPConn).CloseWrite()
	if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, smallRead)); n != int64(len(head)+longAnswer) || err != nil {
		t.Errorf("%d bytes of %d: %v", n, len(head)+longAnswer, err)
	}
}

// Behind a request that is its connection's last there is none: what follows reaches
// nobody, whatever it is.
func TestNothingBehindTheLastRequestIsRead(t *testing.T) {
	c := start(t).dial()
	c.send("GET /open HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n" + request("GET", "/data/a", "", "") + "garbage")
	c.expect(200, "", "/open 0")
	c.ends()
	c.reached(1)
	if counts := c.gate.Counts(); len(counts) != 1 || counts[policy.ReasonPublic] != 1 {
		t.Errorf("counts %v", counts)
	}
}

// unsent is what the peer's kernel has not acknowledged.
func unsent(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
