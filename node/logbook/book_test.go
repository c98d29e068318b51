package logbook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/node/logbook"
)

type requestKey struct{}

func requestOf(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

type fields struct{ Header string }

// TestNothingSecretIsWritten: what a careless line holds is in neither the output nor
// the memory, whatever way it came there.
func TestNothingSecretIsWritten(t *testing.T) {
	const canary = "CANARYcanary0123456789CANARYcanary"
	var out bytes.Buffer
	h, book := logbook.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}), requestOf)
	log := slog.New(h)
	key := []byte(canary)
	lines := []func(){
		func() { log.Info("token afo_" + canary) },
		func() { log.Info("a line", "path", "/scim/v2/clinic/afs_"+canary) },
		func() { log.Info("a line", "password", canary) },
		func() {
			log.Info("a line", "client_secret", 1, "x", slog.GroupValue(slog.String("Set-Cookie", canary)))
		},
		func() { log.Info("a line", "error", fmt.Errorf("sent %q", "Authorization: Bearer "+canary)) },
		func() { log.Info("a line", "error", fmt.Errorf("sent Basic %s", canary)) },
		func() { log.Info("a line", "url", "https://user:"+canary+"@receiver.example/x?access_token="+canary) },
		func() { log.Info("a line", "error", errors.New(`{"refresh_token":"`+canary+`"}`)) },
		func() { log.Info("a line", "header", fields{"dpop eyJ" + canary + "." + canary + "." + canary}) },
		func() { log.Info("a line", "jwt", "eyJ"+canary+"."+canary) },
		func() { log.Info("a line", "key", key) },
		func() { log.Info("a line", "key", [34]byte(key)) },
		func() { log.Info("a line", "key", "AGE-SECRET-KEY-PQ-1"+strings.ToUpper(canary)) },
		func() {
			log.Info("a line", "pem", "-----BEGIN PRIVATE KEY-----\n"+canary+"\n-----END PRIVATE KEY-----")
		},
		func() { log.Info("a line", "error", "the user "+canary+"@clinic.example is taken") },
		func() { log.Info("a line", "path", "/users/"+canary+"%40clinic.example") },
		func() { log.With("authorization", canary).Debug("a line") },
		func() { log.WithGroup("g").With("email", canary).Warn("a line", "error", "secret: "+canary) },
		func() {
			log.Info("a line", "token", "v1."+strings.Repeat("A", 52)+".ABCDEFGH."+strings.ToUpper(strings.ReplaceAll(canary, "0123456789", "")))
		},
	}
	for i, line := range lines {
		before := out.Len()
		line()
		if out.Len() == before {
			t.Errorf("line %d was not written", i)
		}
	}
	notable, detail, total := book.Lines()
	kept := bytes.Join(append(notable, detail...), nil)
	if int(total) != len(lines) || bytes.Count(kept, []byte("\n")) != len(lines) {
		t.Errorf("%d of %d lines are kept", total, len(lines))
	}
	for where, text := range map[string]string{"written": out.String(), "kept": string(kept)} {
		for _, part := range []string{"canary", "CANARY", "67, 65, 78", "67 65 78", "434e4152"} {
			if strings.Contains(text, part) {
				t.Errorf("%s:\n%s", where, text)
			}
		}
	}
}

// TestOrdinaryLinesStay: what is no secret is not taken out.
func TestOrdinaryLinesStay(t *testing.T) {
	for _, text := range []string{
		"serving", "127.0.0.1:8441", "node-2.clinic.example:8541", "[::1]:443", "/scim/v2/clinic/Users/usr-0123456789abcdef0123456789abcdef",
		"https://id.example/o/clinic", "remote error: tls: unknown certificate authority", "state is at 12, the cluster at 14",
		"org-0123456789abcdef0123456789abcdef", "join token: connection refused", "exit code: 3",
		"fsync takes 2.2ms, p99 111ms", "3f1c9a20c4f9e1d60b7c2385aabbccdd",
	} {
		if got := logbook.Clean(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestRequest: a line that has the context of a request has its id, in what is written
// and in what is kept, and another has none.
func TestRequest(t *testing.T) {
	var out bytes.Buffer
	h, book := logbook.New(slog.NewTextHandler(&out, nil), requestOf)
	log := slog.New(h).With("node", "node-1")
	log.InfoContext(context.WithValue(t.Context(), requestKey{}, "4711"), "of a request", "n", 1)
	log.Info("of none")
	log.Debug("not written, and kept")
	if got := out.String(); strings.Count(got, "request=4711") != 1 || strings.Count(got, "node=node-1") != 2 || strings.Contains(got, "not written") {
		t.Errorf("written: %s", got)
	}
	notable, detail, _ := book.Lines()
	var line struct {
		Msg, Node, Request string
		N                  int
	}
	if err := json.Unmarshal(notable[0], &line); err != nil || line.Request != "4711" || line.Node != "node-1" || line.N != 1 || line.Msg != "of a request" {
		t.Errorf("%s: %v", notable[0], err)
	}
	if book.Count(slog.LevelInfo) != 2 || book.Count(slog.LevelDebug) != 1 || book.Count(slog.LevelError) != 0 {
		t.Error("the lines are not counted")
	}
	if len(notable) != 2 || len(detail) != 1 || !strings.Contains(string(detail[0]), "not written") {
		t.Errorf("%q %q", notable, detail)
	}
}

// TestBounds: at the limit the first line is there, one past it the second is the
// first, and what is only detail pushes out nothing notable. A line at its limit is
// whole.
func TestBounds(t *testing.T) {
	h, book := logbook.New(slog.DiscardHandler, requestOf)
	log := slog.New(h)
	for n := range logbook.NotableMax {
		log.Info("line", "n", n)
	}
	for range 2 * logbook.DetailMax {
		log.Debug("noise")
	}
	first := func() (n int) {
		t.Helper()
		notable, detail, _ := book.Lines()
		var line struct{ N int }
		if err := json.Unmarshal(notable[0], &line); err != nil || len(notable) != logbook.NotableMax || len(detail) != logbook.DetailMax {
			t.Fatal(err, len(notable), len(detail))
		}
		return line.N
	}
	if n := first(); n != 0 {
		t.Errorf("at the limit the first is %d", n)
	}
	log.Info("line", "n", logbook.NotableMax)
	if n := first(); n != 1 {
		t.Errorf("one past it the first is %d", n)
	}
	size := func(text int) (whole bool, bytes int) {
		line := slog.NewRecord(time.Unix(1, 0), slog.LevelInfo, "line", 0) // times differ in length
		line.Add("text", strings.Repeat("x", text))
		if err := h.Handle(t.Context(), line); err != nil {
			t.Fatal(err)
		}
		notable, _, _ := book.Lines()
		last := notable[len(notable)-1]
		return json.Valid(last), len(last)
	}
	_, empty := size(0)
	if whole, bytes := size(logbook.LineMax - empty); !whole || bytes != logbook.LineMax {
		t.Errorf("at the limit: whole %v, %d bytes", whole, bytes)
	}
	if whole, bytes := size(logbook.LineMax - empty + 1); whole || bytes != logbook.LineMax {
		t.Errorf("one past it: whole %v, %d bytes", whole, bytes)
	}
}

// BenchmarkUnwritten is what a line of detail costs that is only kept.
func BenchmarkUnwritten(b *testing.B) {
	h, _ := logbook.New(slog.DiscardHandler, requestOf)
	log := slog.New(h)
	b.ReportAllocs()
	for b.Loop() {
		log.Debug("a node does not say what it enforces", "peer", "node-2", "error", context.Canceled)
	}
}
