package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"google.golang.org/protobuf/proto"
)

// Headers of the contract.
const (
	headerIndex       = "X-Authfi-Index"
	headerIdempotency = "Idempotency-Key"
	headerIfMatch     = "If-Match"
	headerETag        = "ETag"
)

// indexNewest, in the place of an index, asks for an answer that misses no write that
// was acknowledged before, by whatever node, to whomever.
const indexNewest = "newest"

// freshMax bounds how long a request waits for this node to catch up.
const freshMax = 5 * time.Second

type callerKey struct{}

// authenticated refuses requests without a valid credential before anything of
// them is decoded, and hands the caller to the handlers.
func (a *api) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == withoutCaller || r.URL.Path == withoutCallerREST {
			next.ServeHTTP(w, r)
			return
		}
		caller, err := a.Gate.AuthenticateFresh(r.Context(), access.Bearer(r.Header))
		if err != nil {
			rest.WriteError(w, r, refusal(err))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// call is one request on its way through a handler.
type call struct {
	exchange
	api    *api
	ctx    context.Context
	caller access.Caller
	op     access.Operation
	fresh  access.Freshness
}

// begin reads what every handler needs first.
func (a *api) begin(ctx context.Context) (*call, error) {
	asked, ok := exchangeOf(ctx)
	caller, known := ctx.Value(callerKey{}).(access.Caller)
	if !ok || !known {
		return nil, directory.Unauthenticated("a valid bearer token is required")
	}
	op, ok := operations[asked.procedure]
	if !ok {
		return nil, directory.Denied("the procedure is not open to anybody")
	}
	c := &call{exchange: asked, api: a, ctx: ctx, caller: caller, op: op}
	switch text := asked.request.Get(headerIndex); text {
	case "":
	case indexNewest:
		c.fresh.Linearizable = true
	default:
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, directory.Invalid(headerIndex, "must be an index, or newest")
		}
		c.fresh.AtLeast = directory.Index(index)
	}
	return c, nil
}

// in admits the call to an organization. An organization that this node does
// not know may be newer than its state, so it asks the cluster before it says
// no.
func (c *call) in(org directory.OrgID) (*access.Pass, error) {
	pass, err := c.admitted(org, c.fresh)
	if directory.KindOf(err) == directory.KindNotFound {
		pass, err = c.admitted(org, c.newest())
	}
	return pass, err
}

// admitted is admit for a pass that the answer comes from.
func (c *call) admitted(org directory.OrgID, fresh access.Freshness) (*access.Pass, error) {
	pass, err := c.admit(org, fresh)
	if err != nil {
		return nil, err
	}
	c.index(pass.View().Applied())
	return pass, nil
}

func (c *call) newest() access.Freshness {
	return access.Freshness{AtLeast: c.fresh.AtLeast, Linearizable: true}
}

func (c *call) admit(org directory.OrgID, fresh access.Freshness) (*access.Pass, error) {
	if c.trial != nil {
		return c.trial.Admit(org, c.op)
	}
	if fresh == (access.Freshness{}) { // nothing to wait for, and a timer costs as much as a check
		return c.api.Gate.Admit(c.ctx, c.caller, org, c.op, fresh)
	}
	ctx, cancel := context.WithTimeout(c.ctx, freshMax)
	defer cancel()
	return c.api.Gate.Admit(ctx, c.caller, org, c.op, fresh)
}

// named admits the call to the organization that the request names.
func (c *call) named(org string) (*access.Pass, error) {
	id, err := directory.ParseOrgID(org)
	if err != nil {
		return nil, err
	}
	return c.in(id)
}

// at admits the call to the organization that holds an object. Requests name
// the object alone, so another organization's is not found, and one that was
// made on another node a moment ago is.
func (c *call) at(noun string, has func(*state.Org) bool) (*access.Pass, error) {
	if c.trial != nil {
		return c.tried(noun, has)
	}
	org, ok := c.api.Gate.Locate(c.caller, has)
	if !ok {
		if err := c.catchUp(); err != nil {
			return nil, err
		}
		org, ok = c.api.Gate.Locate(c.caller, has)
	}
	if !ok {
		return nil, directory.NotFound(noun)
	}
	return c.in(org)
}

// tried is at for a trial, which has one organization. As there, whoever may not
// do this is not told whether there is such an object.
func (c *call) tried(noun string, has func(*state.Org) bool) (*access.Pass, error) {
	pass, err := c.in(c.trial.View().ID())
	if err == nil && !has(pass.View()) {
		return nil, directory.NotFound(noun)
	}
	return pass, err
}

// catchUp waits until this node holds every acknowledged write. Everybody but
// an operator has one organization, and is refused there if the operation is
// not theirs; an operator may list organizations.
func (c *call) catchUp() error {
	if c.caller.Actor.Kind != directory.ActorOperator {
		_, err := c.admit(c.caller.Org, c.newest())
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, freshMax)
	defer cancel()
	_, err := c.api.Gate.AdmitSystem(ctx, c.caller, "organizations.list", c.newest())
	return err
}

// instance admits the call to the instance's tables.
func (c *call) instance() (*access.SystemPass, error) {
	if c.trial != nil {
		return nil, directory.Denied("a change of the instance cannot be tried")
	}
	ctx, cancel := context.WithTimeout(c.ctx, freshMax)
	defer cancel()
	pass, err := c.api.Gate.AdmitSystem(ctx, c.caller, c.op, c.fresh)
	if err != nil {
		return nil, err
	}
	c.index(pass.Applied())
	return pass, nil
}

// propose makes the change that a request asks for.
func (c *call) propose(pass *access.Pass, command fsm.OrgCommand, request proto.Message) (fsm.Result, error) {
	key, err := c.key(request)
	if err != nil {
		return fsm.Result{}, err
	}
	result, err := pass.Propose(c.ctx, command, key)
	if err != nil {
		return result, err
	}
	c.index(result.Index)
	return result, nil
}

// proposeSystem makes a change of the instance.
func (c *call) proposeSystem(pass *access.SystemPass, command fsm.SystemCommand, request proto.Message) (fsm.Result, error) {
	key, err := c.key(request)
	if err != nil {
		return fsm.Result{}, err
	}
	result, err := pass.Propose(c.ctx, command, key, c.op)
	if err != nil {
		return result, err
	}
	c.index(result.Index)
	return result, nil
}

// key makes a repeat of the request one change.
func (c *call) key(request proto.Message) (access.IdempotencyKey, error) {
	key := c.request.Get(headerIdempotency)
	if key == "" {
		return access.IdempotencyKey{}, nil
	}
	if len(key) > access.KeyMax {
		return access.IdempotencyKey{}, directory.Invalid(headerIdempotency, "longer than %d bytes", access.KeyMax)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	return access.IdempotencyKey{Key: key, Body: body}, err
}

func (c *call) index(index directory.Index) {
	c.response.Set(headerIndex, strconv.FormatUint(uint64(index), 10))
}

// etag tells the version of the one object in the answer.
func (c *call) etag(version directory.Index) {
	c.response.Set(headerETag, `"`+strconv.FormatUint(uint64(version), 10)+`"`)
}

// ifMatch is the version that the change is conditional on; zero for any.
func (c *call) ifMatch() (directory.Index, error) {
	text := c.request.Get(headerIfMatch)
	if text == "" || text == "*" {
		return 0, nil
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(text, `"`), `"`)
	version, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || version == 0 {
		return 0, directory.Invalid(headerIfMatch, "must be one ETag of this object")
	}
	return directory.Index(version), nil
}

// at admits the call to the organization that it names, and reads the id of what it is
// about. Whether there is such a thing is for the handler to find out, behind the
// caller's rights.
func at[ID any](ctx context.Context, a *api, org, text string, parse func(string) (ID, error)) (c *call, pass *access.Pass, id ID, err error) {
	if c, err = a.begin(ctx); err != nil {
		return nil, nil, id, err
	}
	if id, err = parse(text); err != nil {
		return nil, nil, id, inField("id", err)
	}
	pass, err = c.named(org)
	return c, pass, id, err
}
