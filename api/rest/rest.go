package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/vanguard"
)

// Limits of the dialect.
const (
	// BodyMax bounds a request: 500 route policies or 1,000 member ids are well
	// below it.
	BodyMax = 1 << 20
	// BulkBodyMax bounds a request of a service that is made for many objects:
	// 1,000 users with all their names and some KiB of attributes each.
	BulkBodyMax = 8 << 20
	// answerMax bounds what is held in memory of one answer: 1,000 users with
	// all their attributes.
	answerMax = 80 << 20
	// compressMin is where gzip starts to pay: a packet carries less anyway.
	compressMin = 1024
)

func tooLarge(limit int64) problem {
	return newProblem(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is larger than %d MiB", limit>>20))
}

// Prefix is where REST lives; the transcoder answers for nothing else.
const Prefix = "/api/v1/"

// Service is a Connect handler and the path of its procedures, as the generated
// constructors return them.
type Service struct {
	Path    string
	Handler http.Handler
	// Bulk are the REST paths of the service that take BulkBodyMax; its handler
	// is made with BulkOptions.
	Bulk []string
}

// Options are what every Connect handler of the API is made with.
func Options() []connect.HandlerOption { return options(BodyMax) }

// BulkOptions are Options for a service that is made for many objects.
func BulkOptions() []connect.HandlerOption { return options(BulkBodyMax) }

func options(bodyMax int) []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(jsonCodec),
		connect.WithCodec(jsonUTF8Codec),
		connect.WithReadMaxBytes(bodyMax),
		connect.WithCompressMinBytes(compressMin),
		connect.WithInterceptors(connect.UnaryInterceptorFunc(direct)),
	}
}

// New serves the services under their own paths (Connect, gRPC, gRPC-Web) and
// under Prefix.
func New(services []Service) (http.Handler, error) {
	mux := http.NewServeMux()
	var transcoded []*vanguard.Service
	limits := bodyLimits{}
	for _, s := range services {
		for _, path := range s.Bulk {
			limits[path] = BulkBodyMax
		}
		mux.Handle(s.Path, s.Handler)
		transcoded = append(transcoded, vanguard.NewService(s.Path, wholeRequest(s.Handler)))
	}
	transcoder, err := vanguard.NewTranscoder(transcoded,
		vanguard.WithCodec(func(vanguard.TypeResolver) vanguard.Codec { return restCodec{} }),
		vanguard.WithDefaultServiceOptions(
			vanguard.WithTargetProtocols(vanguard.ProtocolConnect),
			vanguard.WithTargetCodecs(vanguard.CodecProto),
			vanguard.WithMaxMessageBufferBytes(answerMax),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("REST routes: %w", err)
	}
	mux.Handle(Prefix, limits.problems(transcoder))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		newProblem(http.StatusNotFound, codeOf(http.StatusNotFound), routingDetail(http.StatusNotFound)).write(w)
	})
	return mux, nil
}

// wholeRequest calls the handler only with a request that the transcoder could
// read. Vanguard v0.4.0 reports one that it could not and then ends the body,
// which to a handler is an empty message; only a second read shows the error.
func wholeRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = r.Body.Read(make([]byte, 1))
		}
		if !errors.Is(err, io.EOF) {
			return // reported already
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// bodyLimits are the REST paths whose limit is not BodyMax.
type bodyLimits map[string]int64

func (l bodyLimits) of(path string) int64 {
	if limit, ok := l[path]; ok {
		return limit
	}
	return BodyMax
}

// problems bounds the request and shapes what is not a success.
func (l bodyLimits) problems(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := l.of(r.URL.Path)
		if r.ContentLength > limit {
			tooLarge(limit).write(w)
			return
		}
		if !acceptable(r) {
			newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", routingDetail(http.StatusUnsupportedMediaType)).write(w)
			return
		}
		body := &limitedBody{ReadCloser: http.MaxBytesReader(w, r.Body, limit), limit: limit}
		held := &answer{ResponseWriter: w, limit: body, packed: takesGzip(r.Header)}
		r = r.Clone(context.WithValue(r.Context(), heldKey{}, held))
		r.Body = body
		r.URL.Path, r.URL.RawPath = routedPath(r.URL), ""
		r.Header.Del("Content-Type") // checked, and the transcoder takes none for JSON
		next.ServeHTTP(held, r)
		held.finish()
	})
}

// acceptable: JSON, or nothing said about a body.
func acceptable(r *http.Request) bool {
	stated := r.Header.Get("Content-Type")
	if stated == "" {
		return true
	}
	media, params, err := mime.ParseMediaType(stated)
	charset := params["charset"]
	return err == nil && media == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// WriteError answers in the dialect of the request, for what is decided before
// a handler.
func WriteError(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	if !strings.HasPrefix(r.URL.Path, Prefix) {
		if e := connect.NewErrorWriter(); e.IsSupported(r) {
			e.Write(w, r, err)
			return
		}
	}
	problemIn(err).write(w)
}
