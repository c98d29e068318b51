package api_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/api"
)

// BenchmarkTransport is what an answer of so many bytes costs server and client
// together before anybody has worked it out: TLS, HTTP/1.1 and the kernel, on one
// connection that stays open.
func BenchmarkTransport(b *testing.B) {
	for _, size := range []int{3, 500, 67_000} {
		b.Run(fmt.Sprintf("%d-bytes", size), func(b *testing.B) {
			body := make([]byte, size)
			conn, reader := transport(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				w.Write(body)
			}))
			request := []byte("GET / HTTP/1.1\r\nHost: node\r\n\r\n")
			began := cpuTime(b)
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				res, err := http.ReadResponse(reader, nil)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, res.Body); err != nil || n != int64(size) {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}

// transport is a server as a node has it and one connection to it.
func transport(b *testing.B, handler http.Handler) (*tls.Conn, *bufio.Reader) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	known := httptest.NewUnstartedServer(nil) // for its certificate
	known.StartTLS()
	server := api.NewHTTPServer(handler, slog.New(slog.DiscardHandler))
	server.TLSConfig = &tls.Config{Certificates: known.TLS.Certificates}
	go server.ServeTLS(api.Arrivals(listener), "", "")
	b.Cleanup(func() { server.Close(); known.Close() })
	trust := known.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	conn, err := tls.Dial("tcp", listener.Addr().String(), trust)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReaderSize(conn, 64<<10)
}

// cpuTime is what the process has used: unlike the clock it does not count what
// else the machine does.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
