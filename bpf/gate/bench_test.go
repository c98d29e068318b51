package gate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAddedLatency sends one request to the service and one through the
// gate, in turn, on keep-alive connections, so that noise meets both. The time
// that the CPUs spend is told too, client and service included: on a machine
// with other work it says more than the clock does.
func BenchmarkAddedLatency(b *testing.B) {
	f := start(b)
	padding := "User-Agent: bench/1.0\r\nAccept: application/json\r\nX-Padding: " + strings.Repeat("p", 300) + "\r\n"
	message := []byte("GET /data/a HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer " + token + "\r\n" + padding + "\r\n")
	direct, gated := newProbe(b, f.upstream), newProbe(b, f.gate.Addr().String())
	var bare, with []time.Duration
	for b.Loop() {
		bare = append(bare, direct.roundTrip(message))
		with = append(with, gated.roundTrip(message))
	}
	slices.Sort(bare)
	slices.Sort(with)
	at := func(all []time.Duration, q float64) float64 {
		return float64(all[int(q*float64(len(all)-1))].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(bare, 0.5), "direct-p50-us")
	b.ReportMetric(at(with, 0.5)-at(bare, 0.5), "added-p50-us")
	b.ReportMetric(at(with, 0.99)-at(bare, 0.99), "added-p99-us")
	const block = 200
	var spent [2]time.Duration
	for range b.N/block + 1 {
		for i, p := range []*probe{direct, gated} {
			from := cpuTime(b)
			for range block {
				p.roundTrip(message)
			}
			spent[i] += cpuTime(b) - from
		}
	}
	each := func(i int) float64 { return float64(spent[i].Nanoseconds()) / 1000 / float64(block*(b.N/block+1)) }
	b.ReportMetric(each(0), "direct-cpu-us")
	b.ReportMetric(each(1)-each(0), "added-cpu-us")
}

// cpuTime is what this process has spent.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// probe is one keep-alive connection of a measuring client.
type probe struct {
	b      *testing.B
	conn   net.Conn
	reader *bufio.Reader
}

func newProbe(b *testing.B, address string) *probe {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &probe{b, conn, bufio.NewReader(conn)}
}

func (p *probe) roundTrip(message []byte) time.Duration {
	began := time.Now()
	if _, err := p.conn.Write(message); err != nil {
		p.b.Fatal(err)
	}
	answer, err := http.ReadResponse(p.reader, nil)
	if err != nil {
		p.b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		p.b.Fatal(err)
	}
	elapsed := time.Since(began)
	if answer.StatusCode != 200 {
		p.b.Fatal(fmt.Errorf("status %d", answer.StatusCode))
	}
	return elapsed
}
