package state

import (
	"fmt"
	"time"

	"github.com/authfi/authfi/audit"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/codec"
)

// Bounds of an organization's log besides its retention.
const (
	// auditBytesMax holds when every entry is as large as it may be: they are in
	// memory.
	auditBytesMax = 64 << 20
	// auditTrimMax bounds what one entry of the log removes when retention has
	// become much shorter; the next ones go on.
	auditTrimMax = 10_000
	// Refusals above RefusalsPerWindow are counted and not recorded, so that a
	// broken or hostile client cannot push the history of changes out: it would
	// need 100 hours for the default retention.
	RefusalsPerWindow = 500
	refusalWindow     = time.Hour
)

// packedEvent is an entry as it is stored. Entries are many and seldom read, and
// the encoded form takes half the memory.
type packedEvent []byte

func (p packedEvent) event() *directory.Event {
	e := new(directory.Event)
	if err := codec.Decode(p, e); err != nil {
		panic("state: an event that was encoded here: " + err.Error())
	}
	return e
}

// unpackable refuses a stored event that could not be read later.
func unpackable(value []byte) (any, error) {
	packed := packedEvent(append([]byte(nil), value...))
	return packed, codec.Decode(packed, new(directory.Event))
}

// encodeRow is a record as it is stored.
func encodeRow(record any) []byte {
	switch packed := record.(type) {
	case packedEvent:
		return packed
	case packedUser:
		return []byte(packed)
	}
	return codec.Encode(record)
}

// AuditLog is where the organization's chain stands.
func (r *rows) AuditLog() directory.AuditLog {
	if log, ok := get[directory.AuditLog](r, string(rune(tableAudit))); ok {
		return *log
	}
	log := directory.AuditLog{Retention: directory.Retention{
		Count: directory.RetentionCountDefault, Days: directory.RetentionDaysDefault,
	}}
	// Entries from before there was a chain stay readable and are not part of it.
	r.EachEventBefore(1<<64-1, 1<<32-1, func(last *directory.Event) bool {
		log.Anchor = directory.LogPlace{Index: last.Index, Ordinal: last.Ordinal}
		return false
	})
	log.Head = log.Anchor
	return log
}

// Log appends the events of one command, each with what the command changed of
// its object, and removes what retention no longer keeps.
func (tx *OrgTx) Log(events []directory.Event, now directory.Time) {
	told := tx.changes.rights.all()
	if len(events) == 0 {
		if len(told) > 0 {
			panic("state: a command changed who may do what, and its log does not say so")
		}
		return
	}
	describe(events, tx.changes)
	events[0].Rights = told
	log := tx.AuditLog()
	for i := range events {
		tx.chain(&log, events[i])
	}
	tx.trim(&log, now)
	tx.put(string(rune(tableAudit)), &log)
}

// LogRefusal appends a change that was refused, unless there were too many.
func (tx *OrgTx) LogRefusal(e directory.Event, now directory.Time) {
	log := tx.AuditLog()
	if window := directory.Time(refusalWindow.Milliseconds()); log.Refusals == 0 || now >= log.Window+window || now < log.Window-window {
		if log.Unwritten > 0 {
			e.Detail += fmt.Sprintf(" (%d earlier ones were not recorded)", log.Unwritten)
		}
		log.Window, log.Refusals, log.Unwritten = now, 0, 0
	}
	if log.Refusals == RefusalsPerWindow {
		log.Unwritten++
	} else {
		log.Refusals++
		tx.chain(&log, e)
		tx.trim(&log, now)
	}
	tx.put(string(rune(tableAudit)), &log)
}

// SetRetention keeps from now on what the organization's policy says.
func (tx *OrgTx) SetRetention(r directory.Retention) {
	log := tx.AuditLog()
	log.Retention = r
	tx.put(string(rune(tableAudit)), &log)
}

func (tx *OrgTx) chain(log *directory.AuditLog, e directory.Event) {
	e.Seq = log.Head.Seq + 1
	if log.Telling == 0 {
		log.Telling = e.Seq
	}
	e.Chain = audit.Link(log.Head.Chain, &e)
	packed := packedEvent(codec.Encode(&e))
	if log.Head.Seq == log.Anchor.Seq {
		log.Oldest = e.Time
	}
	log.Head = directory.LogPlace{Index: e.Index, Ordinal: e.Ordinal, Seq: e.Seq, Chain: e.Chain}
	log.Bytes += uint64(len(packed))
	tx.put(placeKey(tableEvent, e.Index, e.Ordinal), packed)
}

const day = directory.Time(24 * 60 * 60 * 1000)

// expired compares with the time in the entry that is applied, never a clock.
func expired(log *directory.AuditLog, kept int, now directory.Time) bool {
	return kept > int(log.Retention.Count) || log.Bytes > auditBytesMax ||
		log.Retention.Days != 0 && log.Oldest < now-directory.Time(log.Retention.Days)*day
}

// trim removes the oldest entries and leaves the last one that it removed as the
// anchor. The newest entry stays whatever its age.
func (tx *OrgTx) trim(log *directory.AuditLog, now directory.Time) {
	for n := 0; n < auditTrimMax && tx.counts[tableEvent] > 1 && expired(log, tx.counts[tableEvent], now); n++ {
		key := tx.first(tableEvent)
		old, _ := tx.tree.Get(key)
		tx.remove(key)
		if e := old.(packedEvent).event(); e.Seq != 0 {
			log.Anchor = directory.LogPlace{Index: e.Index, Ordinal: e.Ordinal, Seq: e.Seq, Chain: e.Chain}
			log.Bytes -= uint64(len(old.(packedEvent)))
		}
		oldest, _ := tx.tree.Get(tx.first(tableEvent))
		log.Oldest = oldest.(packedEvent).event().Time
	}
}
