package cli

import (
	"fmt"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// columnGap is the space between two columns.
const columnGap = 2

// cellMin is what a cell keeps when a narrow terminal cuts long ones.
const cellMin = 12

// grid is a table on its way out.
type grid struct {
	printer *printer
	rows    [][]string
}

func (g *grid) add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	g.rows = append(g.rows, cells)
}

// flush writes the rows. Long cells are cut on a terminal alone: what a program
// reads is whole.
func (g *grid) flush() error {
	widths := g.widths()
	if g.printer.width > 0 {
		fit(widths, g.printer.width)
	}
	var out strings.Builder
	for _, row := range g.rows {
		for i, c := range row {
			if g.printer.width > 0 {
				c = cut(c, widths[i])
			}
			out.WriteString(c)
			if i < len(row)-1 {
				out.WriteString(strings.Repeat(" ", max(0, widths[i]-columns(c))+columnGap))
			}
		}
		out.WriteByte('\n')
	}
	g.rows = nil
	_, err := fmt.Fprint(g.printer.w, trimLines(out.String()))
	return err
}

func (g *grid) widths() (widths []int) {
	for _, row := range g.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(c))
		}
	}
	return widths
}

// fit takes from the widest column until the table is as wide as the terminal.
func fit(widths []int, terminal int) {
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > terminal; total-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= cellMin {
			return
		}
		widths[widest]--
	}
}

func cut(text string, width int) string {
	if columns(text) <= width {
		return text
	}
	kept, used := []rune{}, 0
	for _, r := range text {
		if used += runeColumns(r); used > width-1 {
			break
		}
		kept = append(kept, r)
	}
	return string(kept) + "…"
}

func trimLines(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}

// printable replaces what would steer a terminal: names come from strangers.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) && r != '‍' {
			return '·'
		}
		return r
	}, text)
}

func columns(text string) (n int) {
	for _, r := range text {
		n += runeColumns(r)
	}
	return n
}

// wide are the blocks whose characters take two columns of a terminal.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, {Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// terminalWidth is 0 when the file is no terminal.
func terminalWidth(file *os.File) int {
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
