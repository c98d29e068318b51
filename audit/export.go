package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/authfi/authfi/directory"
)

// Version of the export's form, in its first line.
const Version = 1

// Head is the first line of an export: whose log it is, at which index of the
// cluster, and between which places of the chain the entries stand.
type Head struct {
	Version int    `json:"authfi_audit_log"`
	Org     string `json:"org_id"` // "instance" for the instance's own log
	Index   uint64 `json:"index"`
	Entries uint64 `json:"entries"`
	Anchor  Place  `json:"anchor"` // the last entry before those of the export
	Last    Place  `json:"head"`   // the last one of the export
}

// Place is a place in the chain.
type Place struct {
	Seq     uint64 `json:"seq"`
	Index   uint64 `json:"index"`
	Ordinal uint32 `json:"ordinal"`
	Chain   string `json:"chain"` // 64 hexadecimal digits
}

// Entry is a line of an export, and an entry as the API shows it.
type Entry struct {
	Seq       uint64          `json:"seq"`
	Index     uint64          `json:"index"`
	Ordinal   uint32          `json:"ordinal"`
	Time      string          `json:"time"`
	Type      string          `json:"type"`
	Actor     string          `json:"actor"`
	Source    string          `json:"source"`
	Object    string          `json:"object"`
	Detail    string          `json:"detail"`
	Operation string          `json:"operation"`
	Status    string          `json:"status"`
	Error     string          `json:"error,omitempty"`
	Origin    string          `json:"origin,omitempty"`
	Request   string          `json:"request_id,omitempty"`
	Received  string          `json:"received,omitempty"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
	Rights    []string        `json:"rights,omitempty"` // "+member grp-… usr-…"
	Chain     string          `json:"chain"`
}

// PlaceOf is a place as an export shows it.
func PlaceOf(p directory.LogPlace) Place {
	return Place{Seq: p.Seq, Index: uint64(p.Index), Ordinal: p.Ordinal, Chain: hex.EncodeToString(p.Chain[:])}
}

const timeForm = "2006-01-02T15:04:05.000Z"

func timeText(t directory.Time) string {
	if t == 0 {
		return ""
	}
	return t.Std().Format(timeForm)
}

// EntryOf is an event as an export shows it.
func EntryOf(e *directory.Event) Entry {
	entry := Entry{
		Seq: e.Seq, Index: uint64(e.Index), Ordinal: e.Ordinal, Time: timeText(e.Time), Type: string(e.Type),
		Actor: e.Actor.String(), Source: e.Source, Object: e.Object, Detail: e.Detail,
		Operation: e.Operation, Status: e.Status(), Error: e.Error, Origin: e.Origin,
		Received: timeText(e.Received), Before: json.RawMessage(e.Before), After: json.RawMessage(e.After),
		Chain: hex.EncodeToString(e.Chain[:]),
	}
	if !e.Trace.IsZero() {
		entry.Request = e.Trace.String()
	}
	for _, r := range e.Rights {
		entry.Rights = append(entry.Rights, r.String())
	}
	return entry
}

// Writer writes an export.
type Writer struct{ out *json.Encoder }

// NewWriter starts an export with its first line.
func NewWriter(w io.Writer, head Head) (*Writer, error) {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false) // before and after keep their bytes, which the chain covers
	head.Version = Version
	return &Writer{out}, out.Encode(head)
}

// Write writes the next entry.
func (w *Writer) Write(e *directory.Event) error { return w.out.Encode(EntryOf(e)) }

// event is the entry as it was sealed.
func (e *Entry) event() (*directory.Event, error) {
	out := &directory.Event{
		Index: directory.Index(e.Index), Ordinal: e.Ordinal, Type: directory.EventType(e.Type),
		Source: e.Source, Object: e.Object, Detail: e.Detail, Seq: e.Seq,
		Refused: e.Status == directory.StatusRefused, Error: e.Error, Operation: e.Operation, Origin: e.Origin,
	}
	if e.Status != directory.StatusOK && e.Status != directory.StatusRefused {
		return nil, fmt.Errorf("status %q", e.Status)
	}
	actor, err := directory.ParseActor(e.Actor)
	if err != nil {
		return nil, err
	}
	out.Actor = actor
	if out.Time, err = parseTime(e.Time); err != nil {
		return nil, err
	}
	if out.Received, err = parseTime(e.Received); err != nil {
		return nil, err
	}
	if err := parseHex(e.Request, out.Trace[:]); err != nil {
		return nil, err
	}
	if err := parseHex(e.Chain, out.Chain[:]); err != nil {
		return nil, err
	}
	for _, text := range e.Rights {
		right, err := directory.ParseRight(text)
		if err != nil {
			return nil, err
		}
		out.Rights = append(out.Rights, right)
	}
	if out.Before, err = compact(e.Before); err != nil {
		return nil, err
	}
	out.After, err = compact(e.After)
	return out, err
}

func parseTime(s string) (directory.Time, error) {
	if s == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err == nil && t.Nanosecond()%int(time.Millisecond) != 0 {
		err = fmt.Errorf("time %s is finer than a millisecond", s)
	}
	return directory.TimeOf(t), err
}

func parseHex(s string, into []byte) error {
	if s == "" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err == nil && len(b) != len(into) {
		err = fmt.Errorf("%d bytes in hexadecimal, want %d", len(b), len(into))
	}
	copy(into, b)
	return err
}

// compact forgives a tool that has written the same JSON with other spaces.
func compact(raw json.RawMessage) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	var out bytes.Buffer
	err := json.Compact(&out, raw)
	return out.String(), err
}
