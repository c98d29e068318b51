package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// requestWait is a little more than a node takes to give up.
const requestWait = 12 * time.Second

// api is the public API of one node, as the operator.
type api struct {
	base, token string
	http        *http.Client
}

// fate is what a client knows of its request.
type fate uint8

const (
	done    fate = iota // answered, so it happened
	refused             // it surely did not happen
	unknown
)

type refusal struct {
	status int
	code   string
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %.200s", r.status, r.code, r.text) }

// call sends one request; newest demands an answer that misses nothing.
func (a *api) call(ctx context.Context, method, path string, newest bool, in, out any) (fate, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return refused, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return refused, err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if newest {
		req.Header.Set("X-Authfi-Index", "newest")
	}
	res, err := a.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return refused, err
		}
		return unknown, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return unknown, err
	}
	if res.StatusCode/100 == 2 {
		if out == nil {
			return done, nil
		}
		return done, json.Unmarshal(text, out)
	}
	return a.refused(res.StatusCode, text)
}

// refused reads what the node says of the fate: it names an unknown outcome, and what
// fails inside it has one too.
func (*api) refused(status int, text []byte) (fate, error) {
	var problem struct{ Code, Detail string }
	if json.Unmarshal(text, &problem) != nil {
		return unknown, &refusal{status, "", string(text)}
	}
	r := &refusal{status, problem.Code, problem.Detail}
	switch problem.Code {
	case "unavailable", "resource_exhausted", "not_found", "unauthenticated", "permission_denied", "failed_precondition", "invalid_argument", "conflict":
		return refused, r
	}
	return unknown, r
}
