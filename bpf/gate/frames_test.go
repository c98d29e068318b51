package gate_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	frames "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framer is a client of HTTP/2 that sends what no client would.
type framer struct {
	t       testing.TB
	conn    net.Conn
	frames  *frames.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func (f *fixture) framer() *framer {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.gate.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := &framer{t: f.t, conn: conn, frames: frames.NewFramer(conn, conn)}
	r.frames.AllowIllegalWrites = true
	r.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.encoder = hpack.NewEncoder(&r.block)
	if _, err := io.WriteString(conn, frames.ClientPreface); err != nil {
		f.t.Fatal(err)
	}
	if err := r.frames.WriteSettings(); err != nil {
		f.t.Fatal(err)
	}
	return r
}

// fields is a list of header fields, "name: value" each.
func (r *framer) encode(fields []string) []byte {
	r.block.Reset()
	for _, field := range fields {
		end := strings.Index(field[1:], ": ") + 1
		r.encoder.WriteField(hpack.HeaderField{Name: field[:end], Value: field[end+2:]})
	}
	return bytes.Clone(r.block.Bytes())
}

func (r *framer) headers(stream uint32, end bool, fields []string) error {
	return r.frames.WriteHeaders(frames.HeadersFrameParam{
		StreamID: stream, BlockFragment: r.encode(fields), EndStream: end, EndHeaders: true,
	})
}

// status is that of the answer on a stream, 0 if there is none: the stream or
// the connection was ended.
func (r *framer) status(stream uint32) string {
	r.t.Helper()
	for {
		frame, err := r.frames.ReadFrame()
		if err != nil {
			r.mustBeOver(err)
			return "ended"
		}
		switch frame := frame.(type) {
		case *frames.MetaHeadersFrame:
			if frame.StreamID == stream {
				return frame.PseudoValue("status")
			}
		case *frames.RSTStreamFrame:
			if frame.StreamID == stream {
				return "reset"
			}
		case *frames.GoAwayFrame:
			if frame.ErrCode != frames.ErrCodeNo {
				return "ended"
			}
		}
	}
}

// mustBeOver asserts that a connection was ended by the gate and not given up on.
func (r *framer) mustBeOver(err error) {
	r.t.Helper()
	var failed net.Error
	if errors.As(err, &failed) && failed.Timeout() {
		r.t.Fatal("the connection is still open")
	}
}

// ends reads until the gate has ended the connection.
func (r *framer) ends() {
	r.t.Helper()
	for {
		if _, err := r.frames.ReadFrame(); err != nil {
			r.mustBeOver(err)
			return
		}
	}
}

// asking is an honest request, with other fields in the place of its own and
// further ones behind them.
func asking(replace map[string]string, more ...string) []string {
	fields := []string{}
	for _, field := range []string{":method: GET", ":scheme: http", ":authority: s", ":path: /data/a", "authorization: Bearer " + token} {
		name := field[:strings.Index(field[1:], ": ")+1]
		if value, ok := replace[name]; !ok {
			fields = append(fields, field)
		} else if value != "" {
			fields = append(fields, name+": "+value)
		}
	}
	return append(fields, more...)
}
