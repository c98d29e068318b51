package admin

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/api/access"
)

// exchange is how a handler was asked: over the network, or by another handler
// for one part of a request that has several. To a handler both are the same.
type exchange struct {
	procedure string
	request   http.Header
	response  http.Header
	trial     *access.Trial // the change is tried on it and not made; nil: it is made
}

type partKey struct{}

// withPart lets a handler serve one part. The caller stays who it is, and so do
// the row of the table and the rights that the handler's procedure demands.
func withPart(ctx context.Context, part exchange) context.Context {
	return context.WithValue(ctx, partKey{}, part)
}

func exchangeOf(ctx context.Context) (exchange, bool) {
	if part, ok := ctx.Value(partKey{}).(exchange); ok {
		return part, true
	}
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return exchange{}, false
	}
	return exchange{
		procedure: info.Spec().Procedure, request: info.RequestHeader(), response: info.ResponseHeader(),
	}, true
}
