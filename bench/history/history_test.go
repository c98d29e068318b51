package history_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bench/history"
)

func TestCheck(t *testing.T) {
	write := func(value string) history.Call {
		return history.Call{Kind: history.Write, Key: "title", Value: value}
	}
	read := history.Call{Kind: history.Read, Key: "title"}
	add := func(member int) history.Call {
		return history.Call{Kind: history.Add, Key: "group", Member: member}
	}
	list := history.Call{Kind: history.List, Key: "group"}
	has := func(member int) history.Call {
		return history.Call{Kind: history.Has, Key: "group", Member: member}
	}
	for name, c := range map[string]struct {
		do  func(h *history.History)
		bad string
	}{
		"what was written is read": {func(h *history.History) {
			h.Begin(1, write("a")).Answered(history.Answer{})
			h.Begin(2, read).Answered(history.Answer{Value: "a"})
		}, ""},
		"a stale read": {func(h *history.History) {
			h.Begin(1, write("a")).Answered(history.Answer{})
			h.Begin(1, write("b")).Answered(history.Answer{})
			h.Begin(2, read).Answered(history.Answer{Value: "a"})
		}, "title"},
		"a read during the write may see either": {func(h *history.History) {
			w := h.Begin(1, write("a"))
			h.Begin(2, read).Answered(history.Answer{})
			h.Begin(2, read).Answered(history.Answer{Value: "a"})
			w.Answered(history.Answer{})
		}, ""},
		"but not the new and then the old": {func(h *history.History) {
			w := h.Begin(1, write("a"))
			h.Begin(2, read).Answered(history.Answer{Value: "a"})
			h.Begin(2, read).Answered(history.Answer{})
			w.Answered(history.Answer{})
		}, "title"},
		"an unknown write happens late": {func(h *history.History) {
			h.Begin(1, write("a")).Unknown()
			h.Begin(2, read).Answered(history.Answer{})
			h.Begin(2, read).Answered(history.Answer{Value: "a"})
		}, ""},
		"an unknown write happens once": {func(h *history.History) {
			h.Begin(1, write("a")).Unknown()
			h.Begin(2, read).Answered(history.Answer{Value: "a"})
			h.Begin(2, write("b")).Answered(history.Answer{})
			h.Begin(2, read).Answered(history.Answer{Value: "a"})
		}, "title"},
		"a lost member": {func(h *history.History) {
			h.Begin(1, add(0)).Answered(history.Answer{})
			h.Begin(1, add(63)).Answered(history.Answer{})
			h.Begin(2, list).Answered(history.Answer{Members: 1 << 63})
		}, "group"},
		"a check agrees": {func(h *history.History) {
			h.Begin(1, add(5)).Answered(history.Answer{})
			h.Begin(2, has(5)).Answered(history.Answer{Has: true})
			h.Begin(2, has(4)).Answered(history.Answer{})
			h.Begin(1, history.Call{Kind: history.Remove, Key: "group", Member: 5}).Answered(history.Answer{})
			h.Begin(2, has(5)).Answered(history.Answer{})
		}, ""},
		"a check that was refused too late": {func(h *history.History) {
			h.Begin(1, add(5)).Answered(history.Answer{})
			h.Begin(2, has(5)).Answered(history.Answer{})
		}, "group"},
	} {
		h := history.New()
		c.do(h)
		err := h.Check(time.Minute)
		var illegal *history.Illegal
		switch {
		case c.bad == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.bad != "" && (!errors.As(err, &illegal) || len(illegal.Keys) != 1 || illegal.Keys[0] != c.bad):
			t.Errorf("%s: %v, want a contradiction in %s", name, err, c.bad)
		}
	}
}

func TestDraw(t *testing.T) {
	h := history.New()
	h.Begin(1, history.Call{Kind: history.Write, Key: "title", Value: "drawn"}).Answered(history.Answer{})
	h.Begin(1, history.Call{Kind: history.Read, Key: "title"}).Answered(history.Answer{})
	var illegal *history.Illegal
	if err := h.Check(time.Minute); !errors.As(err, &illegal) {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.html")
	if err := illegal.Draw(file); err != nil {
		t.Fatal(err)
	}
	if page, err := os.ReadFile(file); err != nil || !strings.Contains(string(page), "drawn") {
		t.Errorf("the page does not show the operation (%v)", err)
	}
}

func TestAdded(t *testing.T) {
	h := history.New()
	add := func(member int) history.Pending {
		return h.Begin(1, history.Call{Kind: history.Add, Key: "group", Member: member})
	}
	add(1).Answered(history.Answer{})
	add(2).Unknown()
	add(3)
	if got := h.Added("group"); got != 2 {
		t.Errorf("acknowledged members are %b", got)
	}
	if all, unknown := h.Len(); all != 2 || unknown != 1 {
		t.Errorf("%d operations, %d unknown", all, unknown)
	}
}
