package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/authfi/authfi/audit"
	"github.com/authfi/authfi/directory"
)

// export is the log of an organization after retention has removed two entries.
func export(t *testing.T, entries int) []string {
	t.Helper()
	var chain [32]byte
	var events []directory.Event
	for i := range entries + 2 {
		e := directory.Event{
			Index: directory.Index(10 + i/2), Ordinal: uint32(i % 2), Time: directory.Time(1_700_000_000_000 + i), Seq: uint64(i + 1),
			Type: directory.UserUpdated, Source: "api", Object: "usr-1", Detail: "<ärztin>\u2028 & \"co\"",
			Actor:     directory.Actor{Kind: directory.ActorKind(i%5 + 1)},
			Operation: "users.update", Origin: "192.0.2.1", Trace: directory.TraceID{byte(i)}, Received: 1_700_000_000_000,
			Before: `{"title":"a<b"}`, After: `{"custom":{"n":[1,2]},"title":"b"}`,
		}
		if e.Actor.Kind != directory.ActorNode {
			e.Actor.ID[0] = 7
		}
		if i%4 == 1 {
			e.Rights = []directory.Right{
				{Kind: directory.RightMember, On: true, Of: [16]byte{1}, To: [16]byte{2}},
				{Kind: directory.RightPermissions, Of: [16]byte{3}, Permissions: []directory.Permission{"read:a", "write:*"}},
			}
		}
		if i%3 == 0 {
			e.Refused, e.Error, e.Before, e.After = true, "user_name: \"x\" is taken", "", ""
		}
		e.Chain = audit.Link(chain, &e)
		chain = e.Chain
		events = append(events, e)
	}
	place := func(e directory.Event) audit.Place {
		return audit.PlaceOf(directory.LogPlace{Index: e.Index, Ordinal: e.Ordinal, Seq: e.Seq, Chain: e.Chain})
	}
	var out bytes.Buffer
	w, err := audit.NewWriter(&out, audit.Head{
		Org: "org-1", Index: 99, Entries: uint64(entries), Anchor: place(events[1]), Last: place(events[len(events)-1]),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events[2:] {
		if err := w.Write(&events[i+2]); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func verify(t *testing.T, lines []string) audit.Report {
	t.Helper()
	report, err := audit.Verify(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAWholeExportHolds(t *testing.T) {
	report := verify(t, export(t, 40))
	if !report.OK() || report.Entries != 40 || report.Last.Seq != 42 || report.Anchor.Seq != 2 || report.Org != "org-1" {
		t.Fatalf("%+v %v", report, report.Broken)
	}
	if report = verify(t, export(t, 0)); !report.OK() {
		t.Fatalf("an empty log: %v", report.Broken)
	}
}

// TestWhatWasDoneToAnExportShows: each manipulation is found, at the right entry.
func TestWhatWasDoneToAnExportShows(t *testing.T) {
	replace := func(line int, old, new string) func([]string) []string {
		return func(lines []string) []string {
			if !strings.Contains(lines[line], old) {
				t.Fatalf("line %d does not hold %s", line, old)
			}
			lines[line] = strings.Replace(lines[line], old, new, 1)
			return lines
		}
	}
	for name, row := range map[string]struct {
		do  func([]string) []string
		seq uint64
	}{
		"the first removed":    {func(l []string) []string { return append(l[:1], l[2:]...) }, 3},
		"one removed":          {func(l []string) []string { return append(l[:10], l[11:]...) }, 12},
		"the last removed":     {func(l []string) []string { return l[:40] }, 42},
		"all removed":          {func(l []string) []string { return l[:1] }, 3},
		"two exchanged":        {func(l []string) []string { l[5], l[6] = l[6], l[5]; return l }, 7},
		"one repeated":         {func(l []string) []string { l[6] = l[5]; return l }, 8},
		"one added at the end": {func(l []string) []string { return append(l, l[40]) }, 43},
		"another actor":        {replace(6, "usr-07", "usr-08"), 8},
		"another time":         {replace(8, `.009Z","type"`, `.010Z","type"`), 10},
		"another value":        {replace(3, `a<b`, `a<c`), 5},
		"refused made ok":      {replace(5, `"status":"refused"`, `"status":"ok"`), 7},
		"a member more":        {replace(3, `{`, `{"note":"x",`), 5},
		"a member twice":       {replace(3, `{`, `{"detail":"x",`), 5},
		"a member in capitals": {replace(3, `{`, `{"Detail":"x",`), 5},
		"another chain value":  {replace(3, `"chain":"`, `"chain":"00`), 5},
		"another right":        {replace(4, `"+member`, `"-member`), 6},
		"a right less":         {replace(4, ` write:*"`, `"`), 6},
		"a right of no form":   {replace(4, `"+member`, `"+number`), 6},
		"another anchor":       {replace(0, `"anchor":{"seq":2`, `"anchor":{"seq":1`), 2},
		"another head":         {replace(0, `"head":{"seq":42`, `"head":{"seq":43`), 43},
		"another count":        {replace(0, `"entries":40`, `"entries":39`), 43},
		"not JSON":             {replace(4, `{`, ``), 6},
	} {
		report := verify(t, row.do(export(t, 40)))
		if report.OK() || report.Broken.Seq != row.seq {
			t.Errorf("%s: %v, want entry %d", name, report.Broken, row.seq)
		}
	}
}

// TestAnyChangedByteShows: spaces between members are the one thing that may
// change.
func TestAnyChangedByteShows(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 3000 {
		lines := export(t, 6)
		n := 1 + rng.Intn(len(lines)-1)
		b := []byte(lines[n])
		at := rng.Intn(len(b))
		old := b[at]
		if b[at] = byte(rng.Intn(256)); b[at] == old {
			continue
		}
		lines[n] = string(b)
		report, err := audit.Verify(strings.NewReader(strings.Join(lines, "\n")))
		if err == nil && report.OK() {
			t.Fatalf("line %d byte %d: %q instead of %q went through", n, at, b[at], old)
		}
	}
	lines := export(t, 6)
	for i := range lines[1:] {
		lines[i+1] = strings.ReplaceAll(lines[i+1], `,"chain":`, ` , "chain": `)
	}
	if report := verify(t, lines); !report.OK() {
		t.Fatalf("spaces: %v", report.Broken)
	}
}

func TestWhatIsNoExportIsAnError(t *testing.T) {
	for _, text := range []string{"", "{}", "[]", "\n", `{"authfi_audit_log":2}`, strings.Repeat("x", 2<<20)} {
		if _, err := audit.Verify(strings.NewReader(text)); !errors.Is(err, audit.ErrNotExport) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	lines := export(t, 3)
	lines[2] += strings.Repeat(" ", 1<<20)
	if _, err := audit.Verify(strings.NewReader(strings.Join(lines, "\n"))); err == nil {
		t.Error("a line beyond the bound was read")
	}
}

func TestActorsReadBack(t *testing.T) {
	for kind := range directory.ActorAPIKey + 1 {
		a := directory.Actor{Kind: kind}
		if kind != 0 && kind != directory.ActorNode {
			a.ID = [16]byte{1, 2, 3}
		}
		if back, err := directory.ParseActor(a.String()); err != nil || back != a {
			t.Errorf("%s: %v %v", a, back, err)
		}
	}
	for _, s := range []string{"", "usr-", "grp-" + strings.Repeat("1", 32), fmt.Sprint(directory.UserID{})} {
		if _, err := directory.ParseActor(s); err == nil {
			t.Errorf("%q is an actor", s)
		}
	}
}
