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
	from   url.Values // what to ask for; run changes where it begins
	last   string     // id of the last message that had one
	silent time.Duration
	// message gets each in order, exactly once, but for heartbeats. The answer to
	// a resync may be errSkip.
	message func(typ string, body []byte) error
	say     func(format string, args ...any) // talk for people
}

var (
	// errStop ends a follower from within.
	errStop = errors.New("stop")
	// errSkip leaves out the rows of a resync: the follower goes on behind them.
	errSkip = errors.New("skip")
	// errSilent means a connection on which not even a heartbeat came.
	errSilent = fmt.Errorf("nothing was heard for %s", silenceMax)
)

// run follows until the context ends, which is no failure.
func (f *follower) run(ctx context.Context) error {
	if f.silent == 0 {
		f.silent = silenceMax
	}
	wait := waitMin
	for first := true; ; first = false {
		moved, err := f.connection(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errStop):
			return nil
		case errors.Is(err, errSkip):
			continue
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

// retryable: the node is gone, is not ready, or has as many streams as it may. A
// refusal stays one.
func retryable(err error) bool {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status >= http.StatusInternalServerError || p.Status == http.StatusTooManyRequests
	}
	return !errors.As(err, &fatal{}) && !errors.Is(err, ErrUsage)
}

// connection reads one stream to its end and reports whether anything came.
func (f *follower) connection(ctx context.Context) (moved bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(f.silent, func() { cancel(errSilent) })
	defer silence.Stop()
	header := map[string]string{"Accept": "text/event-stream"}
	if f.last != "" {
		header["Last-Event-ID"] = f.last
	}
	res, err := f.send(ctx, request{method: http.MethodGet, path: "/api/v1/events?" + f.from.Encode(), header: header})
	if err != nil {
		return false, cause(ctx, err)
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
		silence.Reset(f.silent)
		moved = true
		if !m.line(lines.Text()) {
			continue
		}
		if err := f.take(m); err != nil {
			return moved, err
		}
		m = message{}
	}
	if err = lines.Err(); err == nil {
		err = io.ErrUnexpectedEOF // a node says why when it ends a stream
	}
	return moved, cause(ctx, err)
}

// cause is why we have ended the context, if we have.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// message is one server-sent event.
type message struct {
	id, event, data string
	named           bool // id is given; an empty one takes back the last
}

// line reads one line and reports that the message is whole.
func (m *message) line(text string) bool {
	if text == "" {
		return m.event != ""
	}
	name, value, _ := strings.Cut(text, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		m.id, m.named = value, true
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
	case "closed":
		return closed(m.data)
	case "resync":
		if err := f.resync(m); err != nil {
			return err
		}
	default:
		if err := f.pass(m); err != nil {
			return err
		}
	}
	if m.named {
		f.last = m.id
	}
	return nil
}

func (f *follower) pass(m message) error {
	err := f.message(m.event, []byte(m.data))
	if err == nil || errors.Is(err, errStop) || errors.Is(err, errSkip) {
		return err
	}
	return fatal{err}
}

// resync: when the connection breaks among the rows they have to come again.
func (f *follower) resync(m message) error {
	var at struct{ Index uint64 }
	if err := json.Unmarshal([]byte(m.data), &at); err != nil {
		return fatal{fmt.Errorf("reading the feed: %w", err)}
	}
	f.from.Del("after")
	f.from.Set("snapshot", "true")
	err := f.pass(m)
	if errors.Is(err, errSkip) {
		f.from.Del("snapshot")
		f.from.Set("after", strconv.FormatUint(at.Index, 10))
		f.last = ""
	}
	return err
}

// closed is why the node has ended the stream.
func closed(data string) error {
	p := problemOf(http.StatusBadGateway, []byte(data))
	var said struct{ Status int }
	if json.Unmarshal([]byte(data), &said) == nil && said.Status != 0 {
		p.Status = said.Status
	}
	return p
}
