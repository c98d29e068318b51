package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of following the feed.
const (
	eventMax   = 1 << 20          // bytes of one line
	silenceMax = 15 * time.Second // three heartbeats; a dead connection says nothing
	waitMin    = 100 * time.Millisecond
	waitMax    = 5 * time.Second
)

// follower reads the change feed and goes on where a broken connection ended.
type follower struct {
	*options
	org   string
	after uint64 // the index to start behind
	last  string // id of the last event seen
	// event gets each one in order, exactly once.
	event func(body []byte) error
	// resync gets the index of the state when the events asked for are no longer
	// kept; it ends the following or says that it may go on from there.
	resync func(index uint64) error
	say    func(format string, args ...any) // talk for people
}

// errStop ends a follower from within.
var errStop = errors.New("stop")

// run follows until the context ends, which is no failure.
func (f *follower) run(ctx context.Context) error {
	wait := waitMin
	for first := true; ; first = false {
		moved, err := f.connection(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errStop):
			return nil
		case !retryable(err) || first && !moved:
			return err
		}
		if moved {
			wait = waitMin
		}
		f.say("connection lost (%v), trying again in %s", err, wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, waitMax)
	}
}

// fatal marks what another try would not change.
type fatal struct{ error }

func (e fatal) Unwrap() error { return e.error }

// retryable: the node is gone or not ready. A refusal stays one.
func retryable(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status >= http.StatusInternalServerError
	}
	return !errors.As(err, &fatal{}) && !errors.Is(err, ErrUsage)
}

// connection reads one stream to its end and reports whether anything came.
func (f *follower) connection(ctx context.Context) (moved bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(silenceMax, cancel)
	defer silence.Stop()
	query := url.Values{orgField: {f.org}, "after": {strconv.FormatUint(f.after, 10)}}
	header := map[string]string{"Accept": "text/event-stream"}
	if f.last != "" {
		header["Last-Event-ID"] = f.last
	}
	res, err := f.send(ctx, request{method: http.MethodGet, path: "/api/v1/events?" + query.Encode(), header: header})
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, eventMax))
		return false, problemOf(res.StatusCode, body)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, eventMax)
	var m message
	for lines.Scan() {
		silence.Reset(silenceMax)
		moved = true
		if !m.line(lines.Text()) {
			continue
		}
		if err := f.take(m); err != nil {
			return moved, err
		}
		m = message{}
	}
	if err := lines.Err(); err != nil {
		return moved, err
	}
	return moved, io.EOF
}

// message is one server-sent event.
type message struct{ id, event, data string }

// line reads one line and reports that the message is whole.
func (m *message) line(text string) bool {
	if text == "" {
		return m.event != ""
	}
	name, value, _ := strings.Cut(text, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		m.id = value
	case "event":
		m.event = value
	case "data":
		m.data += value
	}
	return false
}

func (f *follower) take(m message) error {
	switch m.event {
	case "heartbeat":
		return nil
	case "closed":
		return fatal{&Problem{Status: http.StatusForbidden, Code: "permission_denied", Detail: "the caller may no longer watch"}}
	case "resync":
		var at struct{ Index uint64 }
		if err := json.Unmarshal([]byte(m.data), &at); err != nil {
			return fatal{fmt.Errorf("reading the feed: %w", err)}
		}
		if err := f.resync(at.Index); err != nil {
			return fatal{err}
		}
		f.after, f.last = at.Index, ""
		return io.EOF
	}
	if err := f.event([]byte(m.data)); err != nil {
		if errors.Is(err, errStop) {
			return err
		}
		return fatal{err}
	}
	f.last = m.id
	return nil
}
