package rest

import (
	"bytes"
	"compress/gzip"
	"context"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// heldKey is where a procedure finds the answer of the REST request behind it.
type heldKey struct{}

// direct writes what a procedure answers to a REST request as JSON at once. The
// transcoder would have it as protobuf, packed, to unpack and read it again: of a
// page of 1,000 users that was more than half of the work. It is given an empty
// message instead, for the headers. What is not a success goes its way.
func direct(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		held, ok := ctx.Value(heldKey{}).(*answer)
		if err != nil || !ok {
			return response, err
		}
		message, ok := response.Any().(proto.Message)
		if !ok {
			return response, nil
		}
		text, err := restCodec{}.MarshalAppend(make([]byte, 0, directMin), message)
		if err != nil {
			return nil, err
		}
		held.direct = text
		empty := connect.NewResponse(&emptypb.Empty{})
		maps.Copy(empty.Header(), response.Header())
		maps.Copy(empty.Trailer(), response.Trailer())
		return empty, nil
	}
}

// directMin is room for one object; a page grows it a few times.
const directMin = 1 << 10

// packers are gzip writers at rest. Half a megabyte of JSON takes the fastest
// level 3 ms and the usual one 6 ms, for a tenth of its length.
var packers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("rest: " + err.Error()) // the level is one of gzip's own
	}
	return w
}}

// pack compresses an answer for a client that takes it so.
func (a *answer) pack() {
	h := a.Header()
	h.Del("Content-Encoding") // of the empty message
	if a.packed && len(a.direct) >= compressMin {
		var packed bytes.Buffer
		packed.Grow(len(a.direct) / 4)
		w := packers.Get().(*gzip.Writer)
		w.Reset(&packed)
		w.Write(a.direct) // a buffer takes everything
		w.Close()
		packers.Put(w)
		a.direct = packed.Bytes()
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(a.direct)))
}

// takesGzip: a client that names gzip and does not refuse it (RFC 9110, section
// 12.5.3).
func takesGzip(h http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			_, value, _ := strings.Cut(weight, "=")
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}
