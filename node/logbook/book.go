package logbook

import (
	"context"
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
)

// Bounds of what is kept in memory. In all it is some 3 MB.
const (
	// NotableMax lines are kept of what an operator may have to act on.
	NotableMax = 1000
	// DetailMax lines are kept of the rest, apart: whoever fails handshakes in a loop
	// must not push out the line that says why the node is not ready.
	DetailMax = 500
	// LineMax bounds a line, in bytes; the rest of it is cut. A stack fits.
	LineMax = 2 << 10
)

// requestKey is the attribute that names the request.
const requestKey = "request"

// Book is the memory of one node's lines.
type Book struct {
	counts [4]atomic.Uint64 // by level: debug and below, info, warn, error and above

	mu      sync.Mutex
	notable ring // guarded by mu
	detail  ring // guarded by mu
}

// ring holds the newest lines.
type ring struct {
	lines [][]byte
	next  int
	max   int
	total uint64
}

func (r *ring) add(line []byte) {
	r.total++
	if len(r.lines) < r.max {
		r.lines = append(r.lines, line)
		return
	}
	r.lines[r.next] = line
	r.next = (r.next + 1) % r.max
}

// newest are the lines, oldest first.
func (r *ring) newest() [][]byte {
	return append(append([][]byte(nil), r.lines[r.next:]...), r.lines[:r.next]...)
}

// Lines are the newest ones as JSON, oldest first, and how many there were in all.
// Detail is what only somebody who searches wants to see.
func (b *Book) Lines() (notable, detail [][]byte, total uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notable.newest(), b.detail.newest(), b.notable.total + b.detail.total
}

// place is where lines of a level are counted.
func place(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 2
	case level >= slog.LevelInfo:
		return 1
	}
	return 0
}

// Count is how many lines of a level there were, written or not.
func (b *Book) Count(level slog.Level) uint64 { return b.counts[place(level)].Load() }

// keep is a writer into one of the rings.
type keep struct {
	b    *Book
	ring *ring
}

// Write implements io.Writer. slog writes each line at once.
func (k keep) Write(line []byte) (int, error) {
	kept := append([]byte(nil), line[:min(len(line), LineMax)]...)
	if len(line) > LineMax {
		kept[LineMax-1] = '\n'
	}
	k.b.mu.Lock()
	defer k.b.mu.Unlock()
	k.ring.add(kept)
	return len(line), nil
}

// Handler cleans lines, keeps them, and gives them on.
type Handler struct {
	book            *Book
	out             slog.Handler
	notable, detail slog.Handler
	request         func(context.Context) string
}

// New stands before out. request names the request of a context; empty: it is of none.
func New(out slog.Handler, request func(context.Context) string) (*Handler, *Book) {
	b := &Book{notable: ring{max: NotableMax}, detail: ring{max: DetailMax}}
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	return &Handler{
		book: b, out: out, request: request,
		notable: slog.NewJSONHandler(keep{b, &b.notable}, all),
		detail:  slog.NewJSONHandler(keep{b, &b.detail}, all),
	}, b
}

// Enabled implements slog.Handler: what out does not write is kept all the same.
func (h *Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Clean(r.Message), r.PC)
	if id := h.request(ctx); id != "" {
		clean.AddAttrs(slog.String(requestKey, id))
	}
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(cleanAttr(a))
		return true
	})
	h.book.counts[place(r.Level)].Add(1)
	kept := h.notable
	if r.Level < slog.LevelInfo {
		kept = h.detail
	}
	if err := kept.Handle(ctx, clean.Clone()); err != nil {
		return err
	}
	if !h.out.Enabled(ctx, r.Level) {
		return nil
	}
	return h.out.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = cleanAttr(a)
	}
	with := *h
	with.out, with.notable, with.detail = h.out.WithAttrs(clean), h.notable.WithAttrs(clean), h.detail.WithAttrs(clean)
	return &with
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	with := *h
	with.out, with.notable, with.detail = h.out.WithGroup(name), h.notable.WithGroup(name), h.detail.WithGroup(name)
	return &with
}

func cleanAttr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	switch {
	case value.Kind() == slog.KindGroup:
		var clean []slog.Attr
		for _, below := range value.Group() {
			clean = append(clean, cleanAttr(below))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case Hides(a.Key):
		return slog.String(a.Key, removed)
	case value.Kind() == slog.KindString:
		return slog.String(a.Key, Clean(value.String()))
	case value.Kind() == slog.KindAny:
		return slog.String(a.Key, Clean(textOf(value.Any())))
	}
	return slog.Attr{Key: a.Key, Value: value}
}

// textOf is a value as the line has it. Bytes that have no text of their own may be a
// key: of them only the size is told.
func textOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "<nil>"
	case error, fmt.Stringer:
		return fmt.Sprint(v)
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return string(text)
		}
	}
	t := reflect.TypeOf(value)
	if kind := t.Kind(); (kind == reflect.Slice || kind == reflect.Array) && t.Elem().Kind() == reflect.Uint8 {
		return fmt.Sprintf("[%d bytes]", reflect.ValueOf(value).Len())
	}
	return fmt.Sprintf("%+v", value)
}
