package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// progress tells how far long work has come: a bar that is drawn over itself on
// a terminal, otherwise a line at the end of each part, and now and then before.
type progress struct {
	w     io.Writer
	width int // of the terminal; 0 when there is none

	mu    sync.Mutex // guards what follows
	what  string
	done  int
	total int
	began time.Time
	drawn time.Time
}

// How often it tells: a bar must not cost more than the work, and a log is read
// by people.
const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 5 * time.Second
)

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if file, ok := w.(*os.File); ok {
		p.width = terminalWidth(file)
	}
	return p
}

// begin starts a part; one with nothing to do says nothing.
func (p *progress) begin(what string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
	now := time.Now()
	p.what, p.done, p.total, p.began, p.drawn = what, 0, total, now, now
}

func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done += n; n == 0 {
		return
	}
	now, every := time.Now(), lineEvery
	if p.width > 0 {
		every = redrawEvery
	}
	if p.done < p.total && now.Sub(p.drawn) < every {
		return
	}
	p.drawn = now
	if p.width > 0 {
		p.draw(now)
		return
	}
	fmt.Fprintf(p.w, "%s: %d of %d, %s\n", p.what, p.done, p.total, now.Sub(p.began).Round(10*time.Millisecond))
}

const barWidth = 24

func (p *progress) draw(now time.Time) {
	filled := barWidth * min(p.done, p.total) / max(p.total, 1)
	line := fmt.Sprintf("%-14s [%s%s] %3d%% %d of %d", p.what, strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled),
		100*p.done/max(p.total, 1), p.done, p.total)
	took := now.Sub(p.began)
	switch left := time.Duration(float64(took) / float64(max(p.done, 1)) * float64(p.total-p.done)); {
	case p.done >= p.total:
		line += ", " + took.Round(10*time.Millisecond).String()
	case took > time.Second:
		line += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	fmt.Fprint(p.w, "\r\x1b[K"+cut(line, p.width-1))
	if p.done >= p.total {
		fmt.Fprintln(p.w)
	}
}

// say prints a line beside the bar.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
	fmt.Fprintln(p.w, "authfi:", printable(text))
}

// leave puts what comes next on a line of its own, when a bar is not full.
func (p *progress) leave() {
	if p.width > 0 && p.done < p.total && p.drawn.After(p.began) {
		fmt.Fprintln(p.w)
		p.drawn = p.began
	}
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
}
