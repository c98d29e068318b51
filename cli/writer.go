package cli

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/authfi/authfi/archive"
)

// Sizes of what is sent at once; the API takes 1,000 operations in a request.
const (
	batchOperations = 500
	batchRecords    = 5_000   // members are many to an operation
	batchBytes      = 2 << 20 // of the 8 MiB of a request
	batchesAtOnce   = 4
	// batchesAhead bounds how far a batch may be behind the newest one. The API
	// remembers the last 4,096 requests of an organization, and what may have to be
	// repeated must be among them: a batch, the three that were under way before it
	// and the four that were begun after it are 4,000.
	batchesAhead = 5
)

// Attempts of one request: a new leader needs about a second, a node that is
// started again some ten.
const (
	attemptsMax    = 8
	attemptWait    = 250 * time.Millisecond // doubled each time
	attemptWaitMax = 8 * time.Second
	// batchWait bounds one attempt; the API itself gives up after 60 s.
	batchWait = 90 * time.Second
)

// writer makes the changes of a plan.
type writer struct {
	*options
	progress *progress
	// seed makes the idempotency keys of this run: of the file, so that they are
	// nobody else's, and of the run, since a later one may have to make again what
	// somebody has undone meanwhile.
	seed    []byte
	mu      sync.Mutex // guards what follows
	applied int
	tokens  []json.RawMessage // of connections, shown once
	refused archive.Findings
	first   *Problem // of those refused
}

func (w *writer) apply(ctx context.Context, p *plan) error {
	for n, phase := range p.phases {
		total := 0
		for i := range phase.changes {
			total += phase.changes[i].weight()
		}
		w.progress.begin(phase.what, total)
		batches, err := w.batches(fmt.Sprint(n), phase.changes)
		if err != nil {
			return err
		}
		if err := w.all(ctx, batches); err != nil {
			return err
		}
	}
	return nil
}

// all sends batches, some at once; the first error ends it, but what was begun is
// ended.
func (w *writer) all(ctx context.Context, batches []*batch) error {
	going, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, batchesAtOnce)
	var running sync.WaitGroup
	for i, b := range batches {
		if i >= batchesAhead {
			wait(going, batches[i-batchesAhead].ended)
		}
		select {
		case slots <- struct{}{}:
		case <-going.Done():
		}
		if going.Err() != nil {
			break
		}
		running.Go(func() {
			defer close(b.ended)
			defer func() { <-slots }()
			if err := w.send(ctx, b); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	return context.Cause(going)
}

func wait(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// errRefused ends an import whose refusals have been noted.
var errRefused = errors.New("refused")

// stopped says how far an import came that ended early.
func (w *writer) stopped(p *plan, err error) error {
	if err == nil {
		return nil
	}
	far := fmt.Sprintf("stopped after %d of %d changes; what was made is whole", w.applied, p.changes())
	again := "the same command goes on from there"
	var problem *Problem
	switch {
	case errors.Is(err, errRefused):
		return &Problem{Status: w.first.Status, Code: w.first.Code, Detail: far,
			findings: &w.refused, hint: "correct the lines; " + again}
	case errors.Is(err, context.Canceled):
		return &Problem{Code: "canceled", Detail: far, hint: again}
	case errors.As(err, &problem):
		named := *problem
		named.Detail, named.hint = problem.Detail+"; "+far, again
		return &named
	}
	return &Problem{Code: asProblem(err).Code, Detail: asProblem(err).Detail + "; " + far, hint: again}
}

// batch is one request: a change alone, or several as operations.
type batch struct {
	changes []change
	request request
	bulk    bool
	ended   chan struct{} // closed when its fate is known, or nobody asks any more
}

// operationOf is where an operation of a bulk request holds the request of a
// procedure; empty when it cannot.
var operationOf = sync.OnceValue(func() func(procedure string) string {
	known := map[string]string{}
	for _, r := range rows {
		if field := operationField(methodOf(r.procedure), methodOf(bulkProcedure)); field != nil {
			known[r.procedure] = string(field.Name())
		}
	}
	return func(procedure string) string { return known[procedure] }
})

const bulkProcedure = "BulkService.Bulk"

func (w *writer) batches(phase string, changes []change) (all []*batch, err error) {
	for len(changes) > 0 {
		taken, operations, err := pack(changes)
		if err != nil {
			return nil, err
		}
		made := &batch{changes: changes[:max(1, taken)], bulk: taken > 0, ended: make(chan struct{})}
		fields, procedure := map[string]any{"operations": operations}, bulkProcedure
		if !made.bulk {
			fields, procedure = changes[0].fields(), changes[0].procedure
		}
		route, _ := routeOf(methodOf(procedure))
		if made.request, err = route.request(fields); err != nil {
			return nil, err
		}
		made.request.header = w.key(phase, made.changes)
		all, changes = append(all, made), changes[len(made.changes):]
	}
	return all, nil
}

// pack takes as many changes as go into a request: none when the first cannot be
// one of several.
func pack(changes []change) (taken int, operations []map[string]json.RawMessage, err error) {
	records, size := 0, 0
	for i := range changes {
		field := operationOf()(changes[i].procedure)
		if field == "" || len(operations) == batchOperations {
			break
		}
		text, err := json.Marshal(changes[i].fields())
		if err != nil {
			return 0, nil, err
		}
		records += len(changes[i].lines)
		size += len(text)
		if i > 0 && (records > batchRecords || size > batchBytes) {
			break
		}
		operations = append(operations, map[string]json.RawMessage{field: text})
	}
	return len(operations), operations, nil
}

// key is made of the file, its lines and the run, so that a retry of a request
// whose fate is not known is the same change.
func (w *writer) key(phase string, changes []change) map[string]string {
	sum := sha256.New()
	sum.Write(w.seed)
	sum.Write([]byte(phase + changes[0].procedure))
	for i := range changes {
		for _, line := range changes[i].lines {
			sum.Write(binary.AppendUvarint(nil, uint64(line)))
		}
	}
	return map[string]string{"Idempotency-Key": hex.EncodeToString(sum.Sum(nil)[:20])}
}

// send makes the changes of one request, again as long as their fate is not known:
// the key makes the repeat the same changes.
func (w *writer) send(ctx context.Context, b *batch) error {
	results, err := w.attempt(ctx, b)
	if err != nil && retryable(err) {
		results, err = w.again(ctx, b, err)
	}
	if b.shownOnce(err) {
		w.progress.say(fmt.Sprintf("line %d: %s: it was made, but the answer with its token was lost; delete it and make another",
			b.changes[0].lines[0], b.changes[0].what))
		results, err = []bulkResult{{Status: statusOK}}, nil
	}
	if err != nil {
		return inLines(b.changes, err)
	}
	return w.take(ctx, b, results)
}

func (w *writer) again(ctx context.Context, b *batch, err error) ([]bulkResult, error) {
	pause := attemptWait
	for range attemptsMax - 1 {
		if pause > time.Second {
			w.progress.say(fmt.Sprintf("%v; trying again in %s", asProblem(err), pause))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, attemptWaitMax)
		var results []bulkResult
		results, err = w.attempt(ctx, b)
		if err == nil || !retryable(err) {
			return results, err
		}
	}
	return nil, err
}

// shownOnce is how a repeat is refused whose first answer held a secret: the API
// keeps none, so it cannot answer again. The HTTP client repeats by itself what has
// an idempotency key, so this may come at the first attempt.
func (b *batch) shownOnce(err error) bool {
	var p *Problem
	return !b.bulk && errors.As(err, &p) && p.Code == "conflict" && p.Field == "Idempotency-Key"
}

// attempt sends a request once, and waits for its answer even when the import is
// interrupted. Operations that may yet succeed make it an attempt that failed as a
// whole: with the same key, the others are not made twice.
func (w *writer) attempt(ctx context.Context, b *batch) ([]bulkResult, error) {
	patient := *w.options
	patient.timeout = max(w.timeout, batchWait)
	body, err := patient.do(context.WithoutCancel(ctx), b.request)
	if err != nil {
		return nil, err
	}
	if !b.bulk {
		return w.single(body)
	}
	var answer bulkAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(answer.Results) != len(b.changes) {
		return nil, fmt.Errorf("%d results for %d operations", len(answer.Results), len(b.changes))
	}
	for _, r := range answer.Results {
		if r.Problem != nil && (r.Problem.Code == "unavailable" || r.Problem.Code == "unknown_outcome") {
			return nil, &Problem{Status: 503, Code: r.Problem.Code, Detail: r.Detail}
		}
	}
	return answer.Results, nil
}

func (w *writer) single(body []byte) ([]bulkResult, error) {
	var made struct{ ID, Token string }
	if err := json.Unmarshal(body, &made); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if made.Token != "" {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tokens = append(w.tokens, body)
	}
	return []bulkResult{{Status: statusOK, ID: made.ID}}, nil
}

// statusOK is that of an operation that succeeded.
const statusOK = "ok"

// take counts what was made and notes what was refused.
func (w *writer) take(ctx context.Context, b *batch, results []bulkResult) error {
	var apart []change
	refused := false
	made := 0
	for i, r := range results {
		c := &b.changes[i]
		switch {
		case r.Status == statusOK:
			if c.done != nil {
				c.done(r.ID)
			}
			made += c.weight()
		case c.apart != nil:
			apart = append(apart, c.apart()...)
		default:
			refused = true
			w.refuse(c.lines[0], r)
		}
	}
	w.mu.Lock()
	w.applied += made
	w.mu.Unlock()
	w.progress.add(made)
	if err := w.each(ctx, apart); err != nil {
		return err
	}
	if refused {
		return errRefused
	}
	return nil
}

// each makes changes one by one that were refused together.
func (w *writer) each(ctx context.Context, changes []change) error {
	batches, err := w.batches("apart", changes)
	if err != nil {
		return err
	}
	for _, b := range batches {
		err = errors.Join(err, w.send(ctx, b))
	}
	return err
}

func (w *writer) refuse(line int, r bulkResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := Problem{Code: "failed"}
	if r.Problem != nil {
		p = *r.Problem
	}
	p.Detail = r.Detail
	if w.first == nil {
		w.first = &p
	}
	w.refused.Add(line, "%s", p.Error())
}

// inLines says which lines a request was about that was refused as a whole.
func inLines(changes []change, err error) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	first, last := changes[0].lines[0], changes[len(changes)-1].lines
	named := *p
	named.Detail = fmt.Sprintf("lines %d to %d: %s", first, last[len(last)-1], p.Detail)
	if first == last[len(last)-1] {
		named.Detail = fmt.Sprintf("line %d: %s", first, p.Detail)
	}
	return &named
}
