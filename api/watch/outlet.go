package watch

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// errGone means that the follower has left or was cut off: there is nobody to say
// anything to.
var errGone = errors.New("the follower is gone")

// outlet is the connection below a stream. It hands over whole batches and bounds
// the time for each.
type outlet struct {
	control *http.ResponseController
	header  http.Header
	http1   bool
	bounds  bounds

	mu      sync.Mutex
	hurried bool // guarded by mu: the node is stopping
	ended   bool // guarded by mu: the writer may not be touched any more
}

func newOutlet(w http.ResponseWriter, r *http.Request, b bounds) *outlet {
	return &outlet{control: http.NewResponseController(w), header: w.Header(), http1: r.ProtoMajor == 1, bounds: b}
}

// start prepares the connection for a stream, when the request has been read. The
// server's deadline for reading would end it.
func (o *outlet) start() error {
	if o.http1 {
		o.header.Set("Connection", "close") // the deadlines of a stream must not meet another request
	}
	if err := o.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("a stream needs a connection without a read deadline: %w", err)
	}
	return nil
}

// begin starts the time for a batch. A connection that can have no deadline would
// hold the node up, so it gets no stream.
func (o *outlet) begin() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	limit := o.bounds.write
	if o.hurried {
		limit = o.bounds.hurry
	}
	if err := o.control.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("a stream needs a connection with write deadlines: %w", err)
	}
	return nil
}

// flush hands the batch over. Between batches there is no deadline: HTTP/2 would
// reset a stream that has nothing to write.
func (o *outlet) flush() error {
	if err := o.control.Flush(); err != nil {
		return errors.Join(errGone, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.hurried {
		_ = o.control.SetWriteDeadline(time.Time{}) // begin has shown that it can
	}
	return nil
}

// hurry gives a batch that is under way little more time.
func (o *outlet) hurry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.hurried = true
		_ = o.control.SetWriteDeadline(time.Now().Add(o.bounds.hurry)) // begin has shown that it can
	}
}

// end lets go of the connection, when all is written.
func (o *outlet) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}
