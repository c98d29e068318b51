package watch

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/api/problem"
	"github.com/authfi/authfi/api/rest"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
)

// Service serves the feed as the procedure EventService.Watch, over Connect, gRPC
// and gRPC-Web.
func (w *Watcher) Service() rest.Service {
	path, handler := authfiv1connect.NewEventServiceHandler(procedure{w}, rest.Options()...)
	return rest.Service{Path: path, Handler: w.outlets(handler)}
}

type outletKey struct{}

// outlets gives the handler the connection below it, which the library that calls
// it hides.
func (w *Watcher) outlets(next http.Handler) http.Handler {
	return http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		out := newOutlet(to, r, w.bounds)
		defer out.end()
		next.ServeHTTP(unflushed{to}, r.WithContext(context.WithValue(r.Context(), outletKey{}, out)))
	})
}

// unflushed keeps the library from handing over each message by itself: a batch
// is one write of some 4 KB where it was a hundred.
type unflushed struct{ http.ResponseWriter }

// Flush implements http.Flusher. The outlet flushes; after a stream's end the
// server does.
func (unflushed) Flush() {}

type procedure struct{ *Watcher }

// Watch implements EventService.
func (p procedure) Watch(ctx context.Context, m *authfiv1.WatchRequest, to *connect.ServerStream[authfiv1.Event]) error {
	out, ok := ctx.Value(outletKey{}).(*outlet)
	if !ok {
		return problem.Of(errors.New("watch: the procedure is served without its connection"))
	}
	asked, err := newRequest(m, to.Conn().RequestHeader())
	if err != nil {
		return problem.Of(err)
	}
	s, err := p.open(ctx, asked, out)
	if err != nil {
		return problem.Of(err)
	}
	defer s.leave()
	to.ResponseHeader().Set(headerIndex, strconv.FormatUint(uint64(s.opened), 10))
	s.send = func(m *authfiv1.Event) error {
		if err := to.Send(m); err != nil {
			return errors.Join(errGone, err)
		}
		return nil
	}
	refused, _ := s.farewell(ctx, s.run(ctx))
	return refused
}
