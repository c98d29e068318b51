package main

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// plot is a bar for each of some metrics, with a line from the least run to the
// most.
type plot struct {
	Title string
	bars  []bar
}

type bar struct {
	name           string
	value, low, to float64
}

// Sizes of a plot, in pixels.
const (
	barHeight  = 22
	labelWidth = 260
	plotWidth  = 560
	valueWidth = 100
)

// plot draws the measured metrics whose name begins so, the least first.
func (r *report) plot(title, prefix string) {
	p := plot{Title: title}
	for _, name := range r.Names() {
		m := r.Metrics[name]
		if rest, ok := strings.CutPrefix(name, prefix); ok && m.Value != nil {
			p.bars = append(p.bars, bar{rest, *m.Value, *m.Min, *m.Max})
		}
	}
	slices.SortStableFunc(p.bars, func(a, b bar) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	if len(p.bars) > 0 {
		r.Plots = append(r.Plots, p)
	}
}

// SVG is the plot. What is below zero, as noise may be, has no bar.
func (p plot) SVG() template.HTML {
	most := 0.0
	for _, b := range p.bars {
		most = max(most, b.value, b.to)
	}
	if most == 0 {
		most = 1
	}
	x := func(v float64) float64 { return labelWidth + plotWidth*math.Max(v, 0)/most }
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" role="img" width="%d" height="%d" font-family="system-ui,sans-serif" font-size="13">`,
		labelWidth+plotWidth+valueWidth, barHeight*len(p.bars)+4)
	for i, b := range p.bars {
		y := float64(i * barHeight)
		fmt.Fprintf(&s, `<text x="%d" y="%.0f" text-anchor="end">%s</text>`, labelWidth-8, y+15, template.HTMLEscapeString(b.name))
		fmt.Fprintf(&s, `<rect x="%d" y="%.0f" width="%.1f" height="%d" fill="#4a7fb5"/>`, labelWidth, y+3, x(b.value)-labelWidth, barHeight-6)
		fmt.Fprintf(&s, `<line x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f" stroke="#222"/>`, x(b.low), x(b.to), y+11, y+11)
		fmt.Fprintf(&s, `<text x="%.1f" y="%.0f">%.4g</text>`, x(math.Max(b.value, b.to))+6, y+15, b.value)
	}
	return template.HTML(s.String() + "</svg>")
}
