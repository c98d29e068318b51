package authfi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Times and bounds of what a node is asked.
const (
	fetchTimeout = 5 * time.Second
	replyTimeout = time.Second      // of each node
	replyMax     = 4 << 20          // bytes; all that a user holds, by name
	lineMax      = 64 << 10         // bytes of one message of the feed
	silenceMax   = 15 * time.Second // three heartbeats
)

// headerIndex is how new an answer is.
const headerIndex = "X-Authfi-Index"

// nodes is the cluster as a client sees it: one node after the other, when one
// does not answer.
type nodes struct {
	client *http.Client
	bases  []string
	turn   atomic.Uint32
}

func (n *nodes) base() string { return n.bases[int(n.turn.Load())%len(n.bases)] }
func (n *nodes) next()        { n.turn.Add(1) }

func (n *nodes) do(ctx context.Context, method, path, token string, header map[string]string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, n.base()+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	res, err := n.client.Do(r)
	if err != nil && ctx.Err() == nil || err == nil && res.StatusCode >= http.StatusInternalServerError {
		n.next()
	}
	return res, err
}

// keySet asks each node once at most.
func (n *nodes) keySet(ctx context.Context, path, etag string) (a answer, err error) {
	for range n.bases {
		if a, err = n.keySetOnce(ctx, path, etag); err == nil && a.status < http.StatusInternalServerError {
			return a, nil
		}
	}
	return a, err
}

func (n *nodes) keySetOnce(ctx context.Context, path, etag string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	header := map[string]string{}
	if etag != "" {
		header["If-None-Match"] = etag
	}
	res, err := n.do(ctx, http.MethodGet, path, "", header)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	a = answer{status: res.StatusCode, etag: res.Header.Get("ETag"), maxAge: maxAge(res.Header.Get("Cache-Control"))}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		a.date = date
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, setMax+1))
	return a, err
}

// vouch asks about a token, with that token: whoever holds it may ask what it permits. A
// node answers from a state that misses nothing, or with 503.
func (n *nodes) vouch(ctx context.Context, issuer string, u *User) (r reply, t told) {
	r = replyFailed
	for range n.bases {
		if r, t = n.vouchOnce(ctx, issuer, u); r != replyFailed {
			break
		}
	}
	return r, t
}

func (n *nodes) vouchOnce(ctx context.Context, issuer string, u *User) (reply, told) {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	res, err := n.do(ctx, http.MethodGet, issuerPath(issuer)+pathPermissions, u.Token, nil)
	if err != nil {
		return replyFailed, told{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, replyMax+1))
	if err != nil || len(body) > replyMax {
		return replyFailed, told{}
	}
	return replyOf(u, res.StatusCode, body)
}

// events is where a stream begins.
type events struct {
	org     string
	after   uint64
	ordinal *uint32
}

func (e events) path() string {
	query := url.Values{"org_id": {e.org}, "type": followed}
	if e.after > 0 {
		query.Set("after", strconv.FormatUint(e.after, 10))
	}
	if e.after > 0 && e.ordinal != nil {
		query.Set("after_ordinal", strconv.FormatUint(uint64(*e.ordinal), 10))
	}
	return "/api/v1/events?" + query.Encode()
}

// now asks for the index that a node has applied.
func (n *nodes) now(ctx context.Context, org, key string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	res, err := n.do(ctx, http.MethodHead, events{org: org}.path(), key, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the feed is refused with %s", res.Status)
	}
	return strconv.ParseUint(res.Header.Get(headerIndex), 10, 64)
}

// follow reads a stream until it ends, which it always does with an error. hear reports
// whether a message tells that the stream is alive.
func (n *nodes) follow(ctx context.Context, from events, key string, hear func(message) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(silenceMax, func() { cancel(errors.New("the feed is silent")) })
	defer silence.Stop()
	res, err := n.do(ctx, http.MethodGet, from.path(), key, map[string]string{"Accept": "text/event-stream"})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the feed is refused with %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, lineMax)
	var data []byte
	for lines.Scan() {
		if part, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:")); ok {
			data = append(data, part...)
			continue
		}
		if len(lines.Bytes()) > 0 || len(data) == 0 {
			continue
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil {
			return err // what is not understood is not skipped
		}
		data = data[:0]
		if hear(m) {
			silence.Reset(silenceMax)
		}
	}
	return errors.Join(errors.New("the feed has ended"), context.Cause(ctx), lines.Err())
}

// keyPath is that of the key set of an issuer.
func keyPath(issuer string) string { return issuerPath(issuer) + "/.well-known/jwks.json" }

// issuerPath is the same at every node.
func issuerPath(issuer string) string { return issuer[strings.Index(issuer, "/o/"):] }
