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
// a terminal, otherwise a line at every tenth.
type progress struct {
	w     io.Writer
	width int // of the terminal; 0 when there is none

	mu     sync.Mutex // guards what follows
	what   string
	done   int
	total  int
	began  time.Time
	drawn  time.Time
	tenths int
}

// redrawEvery keeps a bar from costing more than the work.
const redrawEvery = 100 * time.Millisecond

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if file, ok := w.(*os.File); ok {
		p.width = terminalWidth(file)
	}
	return p
}

func (p *progress) begin(what string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.done, p.total, p.began, p.tenths = what, 0, total, time.Now(), 0
}

func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	now := time.Now()
	if p.width > 0 {
		if p.done == p.total || now.Sub(p.drawn) >= redrawEvery {
			p.drawn = now
			p.draw(now)
		}
		return
	}
	if tenths := 10 * p.done / max(p.total, 1); tenths > p.tenths {
		p.tenths = tenths
		fmt.Fprintf(p.w, "%s: %d of %d, %s\n", p.what, p.done, p.total, now.Sub(p.began).Round(10*time.Millisecond))
	}
}

const barWidth = 24

func (p *progress) draw(now time.Time) {
	filled := barWidth * p.done / max(p.total, 1)
	line := fmt.Sprintf("%-12s [%s%s] %3d%% %d of %d", p.what, strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled),
		100*p.done/max(p.total, 1), p.done, p.total)
	if took := now.Sub(p.began); p.done < p.total && took > time.Second {
		left := time.Duration(float64(took) / float64(max(p.done, 1)) * float64(p.total-p.done))
		line += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	fmt.Fprint(p.w, "\r\x1b[K"+cut(line, p.width-1))
	if p.done == p.total {
		fmt.Fprintln(p.w)
	}
}

// end leaves a bar that was not filled on a line of its own.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width > 0 && p.done < p.total {
		fmt.Fprintln(p.w)
	}
}
