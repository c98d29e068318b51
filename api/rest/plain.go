package rest

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// Plain is a request that needs neither the transcoder nor a Connect handler: its
// body or its path is the whole message, and the answer is one message in the same
// codec. The transcoder writes a request again as protobuf for a handler of its
// own and reads that one's answer to write it as JSON, each time with headers and
// buffers: measured, four times the work of a check.
type Plain struct {
	contentType string
	codec       plainCodec
	path        bool // there is no body
}

type plainCodec interface {
	Unmarshal(data []byte, m proto.Message) error
	MarshalAppend(b []byte, m proto.Message) ([]byte, error)
}

// Media types of plain requests, exactly: a parameter is for the others to read.
const (
	jsonType  = "application/json"
	protoType = "application/proto"
)

// ReadPlain reads the message of a plain request. It reports false, and leaves the
// whole request as it was, when only the others can say what the request is or
// what is wrong with it. Of JSON, quick may read what it knows; the rest is the
// codec's.
func ReadPlain(r *http.Request, m proto.Message, quick func(body []byte) bool) (Plain, bool) {
	p, ok := plainOf(r)
	if !ok || p.contentType == "" || r.ContentLength < 0 || r.ContentLength > BodyMax {
		return Plain{}, false
	}
	body := make([]byte, r.ContentLength)
	n, err := io.ReadFull(r.Body, body)
	if err == nil && n > 0 && (p.IsJSON() && quick(body) || p.codec.Unmarshal(body, m) == nil) {
		return p, true
	}
	r.Body = remainder{io.MultiReader(bytes.NewReader(body[:n]), r.Body), r.Body}
	return Plain{}, false
}

// ReadPlainPath is ReadPlain for a message that is in the path alone.
func ReadPlainPath(r *http.Request) (Plain, bool) {
	p, ok := plainOf(r)
	p.path = true
	return p, ok && r.ContentLength == 0 && strings.HasPrefix(r.URL.Path, Prefix)
}

// remainder is a body of which a part was read already.
type remainder struct {
	io.Reader
	io.Closer
}

// plainOf looks for headers that give a request a meaning besides its message.
func plainOf(r *http.Request) (Plain, bool) {
	h := r.Header
	if r.URL.RawQuery != "" || r.URL.RawPath != "" || len(h["Content-Type"]) > 1 || has(h, "Content-Encoding") || has(h, "Connect-Timeout-Ms") {
		return Plain{}, false
	}
	p := Plain{contentType: h.Get("Content-Type")}
	if strings.HasPrefix(r.URL.Path, Prefix) {
		p.codec = restCodec{}
		return p, (p.contentType == jsonType || p.contentType == "") && !has(h, "Connect-Protocol-Version") && !has(h, "X-Server-Timeout")
	}
	switch p.contentType {
	case jsonType:
		p.codec = procedureCodec{}
	case protoType:
		p.codec = protoCodec{}
	}
	version := h.Get("Connect-Protocol-Version")
	return p, p.codec != nil && (version == "" || version == "1")
}

// IsJSON says that request and answer are JSON, as whichever dialect writes it.
func (p Plain) IsJSON() bool { return p.contentType != protoType }

func has(h http.Header, name string) bool { return len(h[name]) > 0 }

// Write answers with one message.
func (p Plain) Write(w http.ResponseWriter, m proto.Message) error {
	body, err := p.codec.MarshalAppend(nil, m)
	if err == nil {
		p.WriteBody(w, body)
	}
	return err
}

// WriteBody answers with a message that is encoded already. Its length is in the
// header, so that no answer comes in chunks.
func (p Plain) WriteBody(w http.ResponseWriter, body []byte) {
	h := w.Header()
	p.describe(h)
	h["Content-Type"] = jsonTypes
	if p.contentType == protoType {
		h["Content-Type"] = protoTypes
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.Write(body)
}

// WriteError answers with a failure.
func (p Plain) WriteError(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	p.describe(w.Header())
	WriteError(w, r, err)
}

// describe says what bodies of requests the path takes (RFC 7694), and of a
// request without one on what else the answer could depend.
func (p Plain) describe(h http.Header) {
	h["Accept-Encoding"] = gzipTaken
	if p.path {
		h["Vary"] = byEncoding
	}
}

// AppendString appends a text as JSON.
func AppendString(b []byte, s string) []byte { return appendString(b, s) }

// Values of headers, which all answers share.
var (
	jsonTypes  = []string{jsonType}
	protoTypes = []string{protoType}
	gzipTaken  = []string{"gzip"}
	byEncoding = []string{"Accept-Encoding"}
)

// procedureCodec is connectCodec for a message that is known to be one.
type procedureCodec struct{}

func (procedureCodec) Unmarshal(data []byte, m proto.Message) error {
	return jsonCodec.Unmarshal(data, m)
}

func (procedureCodec) MarshalAppend(b []byte, m proto.Message) ([]byte, error) {
	return encoder{}.message(b, m.ProtoReflect())
}

// protoCodec is protobuf as Connect has it.
type protoCodec struct{}

func (protoCodec) Unmarshal(data []byte, m proto.Message) error { return proto.Unmarshal(data, m) }

func (protoCodec) MarshalAppend(b []byte, m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(b, m)
}
