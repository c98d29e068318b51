package gate

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// stream is one request of HTTP/2 that was let through, and its answer.
type stream struct {
	http.ResponseWriter
	gate     *Gate
	request  *http.Request // with a context that ends when the stream is cut
	exchange exchange
	user     string      // what the service is told of whose it is
	orphan   atomic.Bool // its session ended in a dry run, which ends nothing
	cancel   context.CancelCauseFunc
	active   atomic.Int64 // the last byte of either side
	empty    atomic.Bool  // the answer has no body

	mu    sync.Mutex
	begun bool // guarded by mu: the head of the answer is on its way
	over  bool // guarded by mu: the handler has returned, or is about to
}

// cutError is why a stream that was let through is ended.
type cutError struct{ reason policy.Reason }

func (e cutError) Error() string { return "cut: " + e.reason.String() }

type streamKey struct{}

func newStream(g *Gate, w http.ResponseWriter, r *http.Request, e exchange) *stream {
	s := &stream{ResponseWriter: w, gate: g, exchange: e}
	ctx, cancel := context.WithCancelCause(r.Context())
	s.cancel = cancel
	s.request = r.WithContext(context.WithValue(ctx, streamKey{}, s))
	s.request.Body = &watchedBody{r.Body, s}
	s.mark()
	return s
}

func (s *stream) mark() { s.active.Store(time.Now().UnixNano()) }

// WriteHeader and its siblings implement http.ResponseWriter.
func (s *stream) WriteHeader(status int) {
	if status >= 200 {
		s.mu.Lock()
		s.begun = true
		s.mu.Unlock()
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *stream) Write(p []byte) (int, error) {
	s.mark()
	return s.ResponseWriter.Write(p)
}

// FlushError lets an answer out as it comes. One without a body is not flushed: its
// head ends the stream, and a head that goes first leaves an empty body behind it,
// which gRPC takes for an answer that lost its status.
func (s *stream) FlushError() error {
	if s.empty.Load() {
		return nil
	}
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController set deadlines.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

type watchedBody struct {
	io.ReadCloser
	stream *stream
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.stream.mark()
	return b.ReadCloser.Read(p)
}

// review implements holder. The exchange is never changed after it was made.
func (s *stream) review(about func(*exchange) bool) {
	if !about(&s.exchange) {
		return
	}
	e := s.exchange
	e.orphan = s.orphan.Load()
	if stands, reason := s.gate.stands(&e); !stands {
		s.cut(reason)
	}
}

// sweep implements holder.
func (s *stream) sweep(subject policy.Subject) {
	switch {
	case !s.gate.orphaned(&s.exchange, subject):
	case s.gate.dryRun():
		s.orphan.Store(true)
	default:
		s.cut(policy.ReasonRevoked)
	}
}

// patrol implements holder.
func (s *stream) patrol(now int64) {
	if past(now, s.active.Load(), s.gate.limits.Answer) {
		s.cut(policy.ReasonUpstream)
	}
}

// cut ends the stream: with a refusal if nothing of the answer has been sent,
// with a reset otherwise, even if the client takes nothing at the moment.
func (s *stream) cut(reason policy.Reason) {
	s.cancel(cutError{reason})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun && !s.over {
		http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now())
	}
}

// leave implements holder: the connection has been told that it ends.
func (s *stream) leave() {}

// close implements holder.
func (s *stream) close() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.cancel(context.Canceled)
}
