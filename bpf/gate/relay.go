package gate

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// relay is one client connection and, once a request was let through, one
// connection to the service.
type relay struct {
	gate    *Gate
	client  net.Conn
	machine *policy.Machine
	program *policy.Program
	held    []byte        // bytes of the header block that is being read
	subject atomic.Uint32 // of the last request with a token
	// refusing keeps the client's side open after the service's has ended.
	refusing atomic.Bool

	mu      sync.Mutex
	service net.Conn      // guarded by mu until answering has begun
	closed  bool          // guarded by mu
	answers chan struct{} // closed when the service's side has ended
}

// run reads the client until it ends, is refused or is swept.
func (r *relay) run() {
	buffer := make([]byte, readSize)
	var began time.Time // of the header block that is being read
	for {
		if r.machine.InHeader() {
			r.client.SetReadDeadline(began.Add(headerTimeout))
		} else {
			began = time.Now()
			r.client.SetReadDeadline(began.Add(idleTimeout))
		}
		n, err := r.client.Read(buffer)
		if n > 0 && !r.take(buffer[:n]) {
			return
		}
		if err != nil {
			r.finish(err)
			return
		}
	}
}

// take passes bytes through the machine; false ends the connection.
func (r *relay) take(p []byte) bool {
	for len(p) > 0 {
		if r.machine.Idle() {
			r.begin()
		}
		header := r.machine.InHeader() || r.machine.Idle()
		n, complete, refusal := r.machine.Feed(p)
		if refusal != policy.ReasonAllowed {
			r.refuse(refusal)
			return false
		}
		if !header {
			if !r.forward(p[:n]) {
				return false
			}
			p = p[n:]
			continue
		}
		r.held = append(r.held, p[:n]...)
		p = p[n:]
		if complete && !r.decide() {
			return false
		}
	}
	return true
}

func (r *relay) begin() {
	r.program = r.gate.cfg.Program()
	k0, k1 := r.gate.cfg.Key()
	r.machine.Begin(r.program, k0, k1)
}

// decide forwards the held header block, or refuses it. Upgrades are refused:
// what follows them is not HTTP, and the gate could not tell whose it is.
func (r *relay) decide() bool {
	flow := r.machine.Flow()
	reason, subject := r.gate.cfg.Decide(r.program, flow)
	if subject != 0 {
		r.subject.Store(subject)
	}
	if reason.Allows() && flow.Upgrade {
		reason = policy.ReasonNotImplemented
	}
	if !reason.Allows() {
		r.refuse(reason)
		return false
	}
	r.gate.counts[reason].Add(1)
	if !r.forward(r.held) {
		return false
	}
	r.held = r.held[:0]
	r.machine.Allow()
	return true
}

// forward sends bytes to the service, connecting first if need be.
func (r *relay) forward(p []byte) bool {
	service, ok := r.connect()
	if !ok {
		r.answer(policy.ReasonInternal)
		return false
	}
	_, err := service.Write(p)
	return err == nil
}

func (r *relay) connect() (net.Conn, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false
	}
	if r.service != nil {
		return r.service, true
	}
	service, err := net.DialTimeout("tcp", r.gate.cfg.Upstream, dialTimeout)
	if err != nil {
		r.gate.cfg.Logger.Warn("gate cannot reach the service", "upstream", r.gate.cfg.Upstream, "error", err)
		return nil, false
	}
	r.service, r.answers = service, make(chan struct{})
	go r.copyAnswers(service, r.answers)
	return service, true
}

// copyAnswers streams the service's bytes back without looking at them. The end
// of the service's side ends the client's, too.
func (r *relay) copyAnswers(service net.Conn, done chan<- struct{}) {
	defer close(done)
	if _, err := io.Copy(r.client, service); err != nil {
		r.close()
		return
	}
	if half, ok := r.client.(*net.TCPConn); ok && !r.refusing.Load() {
		half.CloseWrite()
	}
}

// refuse counts and answers a refusal.
func (r *relay) refuse(reason policy.Reason) {
	r.gate.counts[reason].Add(1)
	r.answer(reason)
}

// answer sends a refusal after the answers to earlier requests of the
// connection, which the service ends when it sees the client's side closed.
func (r *relay) answer(reason policy.Reason) {
	r.refusing.Store(true)
	r.mu.Lock()
	service, answers := r.service, r.answers
	r.mu.Unlock()
	if service != nil {
		if half, ok := service.(*net.TCPConn); ok {
			half.CloseWrite()
		}
		select {
		case <-answers:
		case <-time.After(answerTimeout):
			return // an answer is still under way, and nothing may cut into it
		}
	}
	r.client.SetWriteDeadline(time.Now().Add(answerTimeout))
	if _, err := r.client.Write(policy.Response(reason, r.machine.Head())); err != nil {
		return
	}
	r.drain()
}

// drainMax bounds what is read and dropped after a refusal, so that the client
// reads the answer instead of a reset.
const drainMax = 1 << 20

func (r *relay) drain() {
	if half, ok := r.client.(*net.TCPConn); ok {
		half.CloseWrite()
	}
	r.client.SetReadDeadline(time.Now().Add(answerTimeout))
	io.CopyN(io.Discard, r.client, drainMax)
}

// finish is the client's end: a clean one lets the service answer what is under
// way, anything else ends both sides.
func (r *relay) finish(err error) {
	r.mu.Lock()
	service, answers := r.service, r.answers
	r.mu.Unlock()
	if err != io.EOF || service == nil {
		return
	}
	if half, ok := service.(*net.TCPConn); ok {
		half.CloseWrite()
	}
	select {
	case <-answers:
	case <-time.After(idleTimeout):
	}
}

func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.client.Close()
	if r.service != nil {
		r.service.Close()
	}
}
