package audit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/authfi/authfi/directory"
)

// lineMax bounds one line: an entry has at most AuditDetailMax of changes and
// texts of some hundred bytes.
const lineMax = 1 << 20

// ErrNotExport means that the text is no export of an audit log at all.
var ErrNotExport = errors.New("not an export of an audit log")

// Report is what the check of an export has found.
type Report struct {
	Org     string
	Index   uint64 // of the cluster when it was exported
	Entries uint64 // that hold together, from the anchor on
	Anchor  Place
	Last    Place // the last entry that holds
	Broken  *Finding
}

// OK: nothing was removed, altered, added or put in another order.
func (r *Report) OK() bool { return r.Broken == nil }

// Finding is the first entry at which the chain does not hold.
type Finding struct {
	Line    int    // of the text, the head being line 1
	Seq     uint64 // of the entry that is missing or broken
	Problem string
}

func (f *Finding) String() string {
	return fmt.Sprintf("line %d, entry %d: %s", f.Line, f.Seq, f.Problem)
}

// Verify reads an export and follows its chain. The error is for a text that
// cannot be read or is no export; what is wrong with the log itself stands in the
// report. An export proves that its entries belong together up to Last; whoever
// wants to know that it is the cluster's log compares Last with what another node,
// or an earlier export, says of the same entry.
func Verify(r io.Reader) (Report, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), lineMax)
	var head Head
	if !in.Scan() || decode(in.Bytes(), &head) != nil || head.Version == 0 {
		return Report{}, errors.Join(ErrNotExport, in.Err())
	}
	if head.Version != Version {
		return Report{}, fmt.Errorf("%w of a form that this build knows: version %d", ErrNotExport, head.Version)
	}
	v := verifier{report: Report{Org: head.Org, Index: head.Index, Anchor: head.Anchor, Last: head.Anchor}, line: 1}
	if err := parseHex(head.Anchor.Chain, v.chain[:]); err != nil {
		return Report{}, fmt.Errorf("%w: anchor: %w", ErrNotExport, err)
	}
	for in.Scan() {
		v.line++
		if v.report.Broken = v.entry(in.Bytes()); v.report.Broken != nil {
			return v.report, nil
		}
	}
	if err := in.Err(); err != nil {
		return v.report, fmt.Errorf("line %d: %w", v.line+1, err)
	}
	v.report.Broken = v.end(head)
	return v.report, nil
}

type verifier struct {
	report Report
	chain  [32]byte
	line   int
}

func (v *verifier) found(seq uint64, format string, args ...any) *Finding {
	return &Finding{Line: v.line, Seq: seq, Problem: fmt.Sprintf(format, args...)}
}

func (v *verifier) entry(line []byte) *Finding {
	next := v.report.Last.Seq + 1
	var entry Entry
	if err := decode(line, &entry); err != nil {
		return v.found(next, "cannot be read: %v", err)
	}
	event, err := entry.event()
	if err != nil {
		return v.found(next, "cannot be read: %v", err)
	}
	switch {
	case event.Seq > next:
		return v.found(next, "is missing; the next one is %d", event.Seq)
	case event.Seq < next:
		return v.found(next, "entry %d stands in its place", event.Seq)
	case Link(v.chain, event) != event.Chain:
		return v.found(next, "was altered, or what stood before it was")
	case !canonical(line, event):
		return v.found(next, "is written in another form: another reader may see other values")
	}
	v.chain = event.Chain
	v.report.Entries++
	v.report.Last = PlaceOf(directory.LogPlace{Index: event.Index, Ordinal: event.Ordinal, Seq: event.Seq, Chain: event.Chain})
	return nil
}

// end compares the last entry with what the head promised.
func (v *verifier) end(head Head) *Finding {
	v.line++
	switch next := v.report.Last.Seq + 1; {
	case v.report.Last.Seq < head.Last.Seq:
		return v.found(next, "is missing at the end; the head names entry %d as the last", head.Last.Seq)
	case v.report.Last.Seq > head.Last.Seq:
		return v.found(v.report.Last.Seq, "comes after the last that the head names, %d", head.Last.Seq)
	case hex.EncodeToString(v.chain[:]) != head.Last.Chain:
		return v.found(v.report.Last.Seq, "is not the one that the head names")
	case v.report.Entries != head.Entries:
		return v.found(next, "%d entries where the head promises %d", v.report.Entries, head.Entries)
	}
	return nil
}

// canonical: a member that stands twice, or in capitals, reads differently in
// different programs. Spaces do not matter.
func canonical(line []byte, e *directory.Event) bool {
	var want, got bytes.Buffer
	out := json.NewEncoder(&want)
	out.SetEscapeHTML(false)
	return out.Encode(EntryOf(e)) == nil && json.Compact(&got, line) == nil &&
		bytes.Equal(bytes.TrimSpace(want.Bytes()), got.Bytes())
}

// decode refuses members that are not known: they would not be sealed.
func decode(line []byte, into any) error {
	in := json.NewDecoder(bytes.NewReader(line))
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		return err
	}
	if in.More() {
		return errors.New("more than one value on the line")
	}
	return nil
}
