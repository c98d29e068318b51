package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const headerIndex = "X-Authfi-Index"

// Cluster is the nodes as who asks sees them: one, and the next when it does not answer.
// It may be used by many goroutines. It remembers the newest index that it was told, so
// make a new one after a cluster was restored from a backup.
type Cluster struct {
	config Config
	turn   atomic.Uint32
	seen   atomic.Uint64
}

// New asks nobody yet.
func New(config Config) (*Cluster, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	return &Cluster{config: config}, nil
}

// Index is the newest that an answer has told; another process that is told it, with
// Reached, reads what this one has written.
func (c *Cluster) Index() uint64 { return c.seen.Load() }

// Reached demands of every further answer that it is at least as new as index.
func (c *Cluster) Reached(index uint64) {
	for {
		seen := c.seen.Load()
		if index <= seen || c.seen.CompareAndSwap(seen, index) {
			return
		}
	}
}

// Ask asks for an answer.
func Ask[Answer any](ctx context.Context, c *Cluster, o *Operation, in any, options []Option) (*Answer, error) {
	body, err := c.call(ctx, o, in, options)
	if err != nil {
		return nil, err
	}
	answer := new(Answer)
	if err := json.Unmarshal(body, answer); err != nil {
		return nil, fmt.Errorf("authfi: the answer to %s: %w", o.Name, err)
	}
	return answer, nil
}

// Do wants something done whose answer says nothing else.
func Do(ctx context.Context, c *Cluster, o *Operation, in any, options []Option) error {
	_, err := c.call(ctx, o, in, options)
	return err
}

// call repeats a request until it is answered for good or the patience ends.
func (c *Cluster) call(ctx context.Context, o *Operation, in any, options []Option) ([]byte, error) {
	if o.Local && len(c.config.Nodes) > 1 {
		return nil, fmt.Errorf("authfi: %s is about the node that answers: ask with that one alone", o.Name)
	}
	asked, err := o.prepare(in)
	if err != nil {
		return nil, err
	}
	headers, err := o.headers(options, c.seen.Load())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.config.Patience, ErrUnavailable)
	defer cancel()
	for pause := pauseFirst; ; pause = min(2*pause, pauseMax) {
		turn := c.turn.Load()
		body, err := c.once(ctx, c.config.Nodes[int(turn)%len(c.config.Nodes)], o, asked, headers)
		if err == nil || o.Local || !repeatable(err) {
			return body, err
		}
		c.turn.CompareAndSwap(turn, turn+1) // unless another call has moved on already
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
	}
}

// unanswered is a request that nobody has answered.
type unanswered struct{ error }

func (u unanswered) Unwrap() error { return u.error }

func repeatable(err error) bool {
	if p, ok := errors.AsType[*Problem](err); ok {
		return again(p.Status)
	}
	_, ok := errors.AsType[unanswered](err)
	return ok
}

func (c *Cluster) once(ctx context.Context, node string, o *Operation, asked request, headers map[string]string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, o.Method, node+asked.path, bytes.NewReader(asked.body))
	if err != nil {
		return nil, fmt.Errorf("authfi: %s: %w", o.Name, err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	if asked.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if !o.Anonymous {
		token, err := c.config.Credential(ctx)
		if err != nil {
			return nil, fmt.Errorf("authfi: the credential: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.config.Client.Do(r)
	if err != nil {
		return nil, unanswered{fmt.Errorf("authfi: %s: %w", o.Name, err)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerMax+1))
	if err != nil {
		return nil, unanswered{fmt.Errorf("authfi: %s: %w", o.Name, err)}
	}
	if res.StatusCode != http.StatusOK {
		return nil, problemOf(o, res, body)
	}
	if len(body) > answerMax {
		return nil, fmt.Errorf("authfi: the answer to %s has more than %d bytes", o.Name, answerMax)
	}
	if index, err := strconv.ParseUint(res.Header.Get(headerIndex), 10, 64); err == nil {
		c.Reached(index)
	}
	return body, nil
}
