package cli

import (
	"bytes"
	"strings"
	"testing"
)

// table is a grid of rows on a terminal so many columns wide; 0 is a file.
func table(width int, rows ...string) string {
	var b bytes.Buffer
	g := &grid{printer: &printer{w: &b, width: width}}
	for _, row := range rows {
		g.add(strings.Split(row, "|")...)
	}
	if err := g.flush(); err != nil {
		return err.Error()
	}
	return b.String()
}

func TestGrid(t *testing.T) {
	for _, row := range []struct {
		name  string
		width int
		rows  []string
		want  string
	}{
		{"columns are as wide as their widest cell", 0, []string{"ID|NAME", "1|Alice", "200|B"}, "ID   NAME\n1    Alice\n200  B\n"},
		{"wide and combining characters", 0, []string{"看護師|x", "e\u0301|y"}, "看護師  x\ne\u0301       y\n"},
		{"what steers a terminal is shown, not obeyed", 0, []string{"a\x1b[31m|b\n"}, "a·[31m  b·\n"},
		{"a narrow terminal cuts the widest column", 20, []string{"short|a very long cell that does not fit"}, "short  a very long …\n"},
		{"no column is cut below what can be read", 10, []string{"abcdefghijklmnop|abcdefghijklmnop"}, "abcdefghijk…  abcdefghijk…\n"},
		{"a file gets all of it", 0, []string{strings.Repeat("x", 300)}, strings.Repeat("x", 300) + "\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := table(row.width, row.rows...); got != row.want {
				t.Errorf("got\n%swant\n%s", got, row.want)
			}
		})
	}
}

func TestYAML(t *testing.T) {
	v, err := decode([]byte(`{"a":"x","b":"yes","c":["1","two",{"d":null,"e":[]}],"f":{},"g":1.50,"h":"a: b","i":[[1]],"j":""}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `
a: x
b: "yes"
c:
  - "1"
  - two
  - d: null
    e: []
f: {}
g: 1.50
h: "a: b"
i:
  - - 1
j: ""`
	if got := string(appendYAML(nil, v, 0)); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, width: 80}
	p.begin("users", 4)
	p.add(0)
	p.add(4)
	p.begin("members", 2)
	p.drawn = p.began.Add(-redrawEvery) // a moment ago
	p.add(1)
	p.say("trying again")
	p.end()
	got := b.String()
	for _, want := range []string{"[########################] 100% 4 of 4", "[############............]  50% 1 of 2\nauthfi: trying again\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}
