package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Bounds of a bulk request.
const (
	operationsMax = 1000
	// bulkAtOnce is how many operations wait for the log together. They share its
	// entries, so that a request of 1,000 costs some twenty commits and leaves
	// room in the queue for other clients.
	bulkAtOnce = 64
	// bulkWait bounds the request: what has not begun by then is not begun.
	bulkWait = 60 * time.Second
	// bulkKeyMax leaves room for "/" and the number of an operation.
	bulkKeyMax = access.KeyMax - len("/999")

	bulkPath = "/api/v1/bulk"
)

// Statuses of an operation.
const (
	statusOK      = "ok"
	statusFailed  = "failed"
	statusSkipped = "skipped"
)

// Bulk implements BulkService. It answers 200 even if every operation fails:
// each has its own result.
func (a *api) Bulk(ctx context.Context, r *authfiv1.BulkRequest) (*authfiv1.BulkResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.Gate.AdmitParts(c.caller, c.op); err != nil {
		return nil, err
	}
	operations := r.GetOperations()
	if len(operations) == 0 || len(operations) > operationsMax {
		return nil, directory.Invalid("operations", "must be 1 to %d", operationsMax)
	}
	if len(c.request.Get(headerIdempotency)) > bulkKeyMax {
		return nil, directory.Invalid(headerIdempotency, "longer than %d bytes", bulkKeyMax)
	}
	parts, err := a.parts("operations", operations)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, bulkWait)
	defer cancel()
	var results []*authfiv1.BulkResult
	if r.GetInOrder() {
		results = c.inOrder(ctx, parts)
	} else {
		results = c.together(ctx, parts)
	}
	return c.tally(results), nil
}

// inOrder makes one change after another, and none after the first that fails.
func (c *call) inOrder(ctx context.Context, parts []part) []*authfiv1.BulkResult {
	results := make([]*authfiv1.BulkResult, len(parts))
	failed := false
	for i, p := range parts {
		if failed {
			results[i] = &authfiv1.BulkResult{Status: statusSkipped}
			continue
		}
		results[i] = c.operate(ctx, p, i)
		failed = results[i].Status == statusFailed
	}
	return results
}

// together makes the changes at once, bulkAtOnce of them at a time.
func (c *call) together(ctx context.Context, parts []part) []*authfiv1.BulkResult {
	results := make([]*authfiv1.BulkResult, len(parts))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(bulkAtOnce, len(parts)) {
		workers.Go(func() {
			for i := range next {
				results[i] = c.operate(ctx, parts[i], i)
			}
		})
	}
	for i := range parts {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

// operate makes one change.
func (c *call) operate(ctx context.Context, p part, i int) *authfiv1.BulkResult {
	if ctx.Err() != nil {
		return c.failed(ctx, p.procedure, directory.Unavailable("not begun: the request took more than %s", bulkWait))
	}
	asked := exchange{procedure: p.procedure, request: c.partHeader(i), response: http.Header{}}
	answer, err := p.call(withPart(ctx, asked))
	if err != nil {
		return c.failed(ctx, p.procedure, err)
	}
	return &authfiv1.BulkResult{
		Status: statusOK, Id: p.object(answer), Index: number(asked.response.Get(headerIndex)),
		Version: number(strings.Trim(asked.response.Get(headerETag), `"`)),
	}
}

// partHeader is what the request says to each of its operations. The repeat of a
// request repeats each of them under a key of its own.
func (c *call) partHeader(i int) http.Header {
	header := http.Header{}
	if index := c.request.Get(headerIndex); index != "" {
		header.Set(headerIndex, index)
	}
	if key := c.request.Get(headerIdempotency); key != "" {
		header.Set(headerIdempotency, fmt.Sprintf("%s/%d", key, i))
	}
	return header
}

func (c *call) failed(ctx context.Context, procedure string, err error) *authfiv1.BulkResult {
	refused := c.api.refused(ctx, procedure, err)
	return &authfiv1.BulkResult{Status: statusFailed, Problem: problemOf(refused), Detail: refused.Message()}
}

// tally counts the results. The index of the answer is the highest: who reads at
// it sees every change.
func (c *call) tally(results []*authfiv1.BulkResult) *authfiv1.BulkResponse {
	answer := &authfiv1.BulkResponse{Results: results}
	var highest uint64
	for _, result := range results {
		highest = max(highest, result.Index)
		switch result.Status {
		case statusOK:
			answer.Succeeded++
		case statusFailed:
			answer.Failed++
		case statusSkipped:
			answer.Skipped++
		}
	}
	if highest > 0 {
		c.index(directory.Index(highest))
	}
	return answer
}

// number reads a header that a handler of ours has written; zero if it has not.
func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
