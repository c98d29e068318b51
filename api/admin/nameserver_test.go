package admin_test

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
)

// nameServer is a small DNS server on the loopback interface: it answers for TXT
// records over UDP and knows nothing else.
type nameServer struct {
	conn net.PacketConn
	seen chan string // the names that were asked for

	mu    sync.Mutex
	texts map[string][]string // guarded by mu; by name with its final dot
	fails bool                // guarded by mu: every question is answered with SERVFAIL
	held  chan struct{}       // guarded by mu; not nil: what every answer waits for
}

// nameServers are those of the running tests, one each.
var nameServers sync.Map

func nameServerOf(t testing.TB) *nameServer {
	t.Helper()
	if known, ok := nameServers.Load(t); ok {
		return known.(*nameServer)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	s := &nameServer{conn: conn, texts: map[string][]string{}, seen: make(chan string, 1000)}
	nameServers.Store(t, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
		nameServers.Delete(t)
	})
	return s
}

// resolver asks this server and no other.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// publish makes texts the TXT records of a name.
func (s *nameServer) publish(name string, texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[name+"."] = texts
}

func (s *nameServer) fail(fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

// hold keeps every answer back until it is released.
func (s *nameServer) hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make(chan struct{})
	s.held = held
	return sync.OnceFunc(func() { close(held) })
}

func (s *nameServer) wait() {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if held != nil {
		<-held
	}
}

// asked are the names that were asked for since the last time.
func (s *nameServer) asked() (names []string) {
	for {
		select {
		case name := <-s.seen:
			names = append(names, name)
		default:
			return names
		}
	}
}

func (s *nameServer) serve() {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for {
		b := make([]byte, 4096)
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		waiting.Go(func() {
			answer := s.answer(b[:n])
			s.wait()
			_, _ = s.conn.WriteTo(answer, from)
		})
	}
}

// The parts of a message, RFC 1035 sections 4.1.1 to 4.1.3.
const (
	headerSize  = 12
	flagsAnswer = 0x8180 // a response, recursion desired and available
	codeFailed  = 2
	codeNoName  = 3
	typeText    = 16
	classNet    = 1
	toQuestion  = 0xc00c // a pointer to the name in the question
)

func (s *nameServer) answer(query []byte) []byte {
	name, end := questionOf(query)
	s.seen <- name
	s.mu.Lock()
	texts, known := s.texts[strings.ToLower(name)]
	fails := s.fails
	s.mu.Unlock()
	code := uint16(0)
	switch {
	case fails:
		code, texts = codeFailed, nil
	case !known:
		code = codeNoName
	}
	m := append([]byte(nil), query[:2]...)
	m = binary.BigEndian.AppendUint16(m, flagsAnswer|code)
	for _, count := range []int{1, len(texts), 0, 0} {
		m = binary.BigEndian.AppendUint16(m, uint16(count))
	}
	m = append(m, query[headerSize:end]...)
	for _, text := range texts {
		for _, field := range []uint16{toQuestion, typeText, classNet, 0, 0, uint16(1 + len(text))} {
			m = binary.BigEndian.AppendUint16(m, field)
		}
		m = append(append(m, byte(len(text))), text...)
	}
	return m
}

// questionOf is the name that a query asks for, and where the question ends.
func questionOf(query []byte) (name string, end int) {
	at := headerSize
	for query[at] != 0 {
		size := int(query[at])
		name += string(query[at+1:at+1+size]) + "."
		at += 1 + size
	}
	return name, at + 1 + 4 // the root label, type and class
}
