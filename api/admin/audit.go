package admin

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// Bounds of a search.
const (
	filterTextMax = 256
	// auditScanMax is how many entries one page looks at: some 50 ms. A search
	// that finds little answers with short pages and a cursor.
	auditScanMax = 20_000
)

// The operations on the instance's own log; those of the table are on the log of
// an organization.
const (
	readInstanceLog access.Operation = "audit-log.read-instance"
	readAuditLog    access.Operation = "audit-log.read"
)

// chronicle is the log of an organization or of the instance, at one index.
type chronicle interface {
	Applied() directory.Index
	AuditLog() directory.AuditLog
	Events() int
	EachEvent(after directory.Index, ordinal uint32, yield func(*directory.Event) bool)
	EachEventBefore(before directory.Index, ordinal uint32, yield func(*directory.Event) bool)
}

// chronicle admits the call to the log of the organization that it names, or to
// the instance's when it names none.
func (c *call) chronicle(org string) (chronicle, error) {
	if org == "" {
		c.op = readInstanceLog
		pass, err := c.instance()
		if err != nil {
			return nil, err
		}
		return pass.View(), nil
	}
	pass, err := c.named(org)
	if err != nil {
		return nil, err
	}
	return pass.View(), nil
}

// ListAuditLog implements AuditService.
func (a *api) ListAuditLog(ctx context.Context, r *authfiv1.ListAuditLogRequest) (*authfiv1.ListAuditLogResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	log, err := c.chronicle(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	filter := eventFilter{
		actor: r.GetActor(), typ: r.GetType(), object: r.GetObject(),
		source: r.GetSource(), status: r.GetStatus(), text: directory.Fold(r.GetQ()),
	}
	if err := filter.times(r.GetAfterTime(), r.GetBeforeTime()); err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), append(filter.parts(), r.GetOrgId())...)
	if err != nil {
		return nil, err
	}
	events, cursor, err := find(log, p, &filter)
	if err != nil {
		return nil, err
	}
	entries := make([]*authfiv1.AuditEntry, len(events))
	for i, e := range events {
		if entries[i], err = auditEntry(e); err != nil {
			return nil, err
		}
	}
	return &authfiv1.ListAuditLogResponse{Entries: entries, Cursor: cursor, Total: int32(log.Events())}, nil
}

func auditEntry(e *directory.Event) (entry *authfiv1.AuditEntry, err error) {
	entry = &authfiv1.AuditEntry{
		Seq: e.Seq, Index: uint64(e.Index), Ordinal: e.Ordinal, Time: timestamp(e.Time), Type: string(e.Type),
		Actor: e.Actor.String(), Source: e.Source, Object: e.Object, Detail: e.Detail, Operation: e.Operation,
		Status: e.Status(), Error: e.Error, Origin: e.Origin, Received: timestamp(e.Received),
		Chain: hex.EncodeToString(e.Chain[:]),
	}
	if !e.Trace.IsZero() {
		entry.RequestId = e.Trace.String()
	}
	if entry.Before, err = fieldsOf(e.Before); err != nil {
		return nil, err
	}
	entry.After, err = fieldsOf(e.After)
	return entry, err
}

func fieldsOf(text string) (*structpb.Struct, error) {
	if text == "" {
		return nil, nil
	}
	var values map[string]any
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, err
	}
	return structpb.NewStruct(values)
}

// eventFilter says which entries are asked for; what is empty asks for all.
type eventFilter struct {
	actor, typ, object, source, status, text string
	after, before                            string // as sent
	from, to                                 directory.Time
}

// parts bind a cursor to the filter.
func (f *eventFilter) parts() []string {
	return []string{f.actor, f.typ, f.object, f.source, f.status, f.text, f.after, f.before}
}

// times reads the bounds and checks the other fields.
func (f *eventFilter) times(after, before string) (err error) {
	f.after, f.before, f.to = after, before, math.MaxInt64
	if f.from, err = filterTime("after_time", after, f.from); err != nil {
		return err
	}
	if f.to, err = filterTime("before_time", before, f.to); err != nil {
		return err
	}
	if f.status != "" && f.status != directory.StatusOK && f.status != directory.StatusRefused {
		return directory.Invalid("status", "must be %s or %s", directory.StatusOK, directory.StatusRefused)
	}
	for i, field := range []string{"actor", "type", "object", "source", "status", "q"} {
		if err := directory.CheckText(field, f.parts()[i], filterTextMax, false); err != nil {
			return err
		}
	}
	return nil
}

func filterTime(field, text string, none directory.Time) (directory.Time, error) {
	if text == "" {
		return none, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, directory.Invalid(field, "must be a time as in 2026-01-31T08:00:00Z")
	}
	return directory.TimeOf(t), nil
}

func (f *eventFilter) matches(e *directory.Event) bool {
	return e.Time >= f.from && e.Time < f.to &&
		(f.source == "" || f.source == e.Source) &&
		(f.status == "" || f.status == e.Status()) &&
		(f.object == "" || f.object == e.Object) &&
		(f.actor == "" || f.actor == e.Actor.String()) &&
		f.matchesType(string(e.Type)) && f.matchesText(e)
}

func (f *eventFilter) matchesType(typ string) bool {
	return f.typ == "" || f.typ == typ || strings.HasSuffix(f.typ, ".") && strings.HasPrefix(typ, f.typ)
}

func (f *eventFilter) matchesText(e *directory.Event) bool {
	if f.text == "" {
		return true
	}
	for _, s := range []string{e.Detail, e.Error, e.Operation, e.Object, e.Before, e.After} {
		if strings.Contains(directory.Fold(s), f.text) {
			return true
		}
	}
	return false
}

// find takes one page, newest first; the place in a cursor is that of the last
// entry that was looked at.
func find(log chronicle, p *page, filter *eventFilter) (events []*directory.Event, cursor string, err error) {
	index, ordinal := directory.Index(math.MaxUint64), uint32(math.MaxUint32)
	if len(p.after) == 12 {
		index, ordinal = directory.Index(binary.BigEndian.Uint64(p.after)), binary.BigEndian.Uint32(p.after[8:])
	}
	more, looked := false, 0
	log.EachEventBefore(index, ordinal, func(e *directory.Event) bool {
		if more = len(events) == p.limit || looked == auditScanMax; more {
			return false
		}
		looked++
		index, ordinal = e.Index, e.Ordinal
		if filter.matches(e) {
			events = append(events, e)
		}
		return true
	})
	if more {
		place := binary.BigEndian.AppendUint64(nil, uint64(index))
		cursor, err = p.cursor(binary.BigEndian.AppendUint32(place, ordinal))
	}
	return events, cursor, err
}

// GetRetention implements AuditService.
func (a *api) GetRetention(ctx context.Context, r *authfiv1.GetRetentionRequest) (*authfiv1.Retention, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	log, err := c.chronicle(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	return retention(log), nil
}

// SetRetention implements AuditService.
func (a *api) SetRetention(ctx context.Context, r *authfiv1.SetRetentionRequest) (*authfiv1.Retention, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	if r.GetCount() < 0 || r.GetDays() < 0 {
		return nil, directory.Invalid("count", "must not be negative, and days neither")
	}
	command := &fsm.SetRetention{Retention: directory.Retention{Count: uint32(r.GetCount()), Days: uint32(r.GetDays())}}
	if _, err := c.propose(pass, command, r); err != nil {
		return nil, err
	}
	return retention(pass.View()), nil
}

func retention(log chronicle) *authfiv1.Retention {
	chain := log.AuditLog()
	return &authfiv1.Retention{
		Count: int32(chain.Retention.Count), Days: int32(chain.Retention.Days), Entries: int32(log.Events()),
		FirstSeq: chain.Anchor.Seq + 1, LastSeq: chain.Head.Seq, Chain: hex.EncodeToString(chain.Head.Chain[:]),
	}
}

func indexText(index directory.Index) string { return strconv.FormatUint(uint64(index), 10) }
