package node_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestTidyRefuses shows that each rule of TestTidy and TestStill can fail, and
// that the excuse each offers is accepted.
func TestTidyRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		path, code string
		want       string // part of a finding; empty: none
	}{
		"no package comment":      {"a/a.go", "package a", "exactly one package comment"},
		"a name that says little": {"util/a.go", "// Package a is.\npackage a", "names no noun"},
		"a long file":             {"a/a.go", "// Package a is.\npackage a" + strings.Repeat("\n", fileLinesMax), "lines, more than"},
		"a file at the limit":     {"a/a.go", "// Package a is.\npackage a" + strings.Repeat("\n", fileLinesMax-1), ""},
		"a long function":         {"a/a.go", function(functionLinesMax + 1), "lines, more than"},
		"a function at the limit": {"a/a.go", function(functionLinesMax), ""},
		"a line of no request":    {"api/a.go", "// Package a is.\npackage a\nfunc x() { s.Log.Warn(`x`) }", "call WarnContext"},
		"a line of a request":     {"api/a.go", "// Package a is.\npackage a\nfunc x() { s.Log.WarnContext(c, `x`) }", ""},
		"a test that sleeps":      {"a/a_test.go", "package a\nfunc x() { time.Sleep(1) }", "time.Sleep"},
		"a test that excuses":     {"a/a_test.go", "package a\nfunc x() { t.Skip() }", "t.Skip"},
	} {
		fset := token.NewFileSet()
		sources := []source{parse(t, fset, row.path, row.code)}
		found := strings.Join(append(checkPackages(sources), checkFiles(fset, sources)...), "\n")
		if row.want == "" && found != "" || !strings.Contains(found, row.want) {
			t.Errorf("%s: want %q in findings, got %q", name, row.want, found)
		}
	}
}

func TestStillRefuses(t *testing.T) {
	resolve := exportData(t, "maps slices time")
	for name, row := range map[string]struct{ body, want string }{
		"the clock":               {"_ = time.Now()", "time.Now"},
		"the clock as a value":    {"f := time.Now; _ = f", "time.Now"},
		"a method of a time":      {"var t time.Time; _ = t.After(t)", ""},
		"a goroutine":             {"go f()", "goroutine"},
		"a map":                   {"for range m {}", "ranges over a map"},
		"a map, order explained":  {"// order-free: only counts\nfor range m {}", ""},
		"a map, no reason":        {"// order-free:\nfor range m {}", "ranges over a map"},
		"a map, copied":           {"o := map[int]int{}; for k, v := range m { o[k] = v }", ""},
		"a map, last one wins":    {"o := map[int]int{}; for _, v := range m { o[0] = v }", "ranges over a map"},
		"a slice":                 {"for range []int{} {}", ""},
		"a map's keys":            {"for range maps.Keys(m) {}", "maps.Keys"},
		"a map's keys, in order":  {"_ = slices.Sorted(maps.Keys(m))", ""},
		"a map's keys, collected": {"_ = slices.Collect(maps.Keys(m))", "maps.Keys"},
	} {
		fset := token.NewFileSet()
		code := "package a\nimport (\"maps\"; \"slices\"; \"time\")\nvar _, _, _ = maps.Keys[map[int]int], slices.Max[[]int], time.UTC\n" +
			"func f() {\nm := map[int]int{}; _ = m\n" + row.body + "\n}"
		files := []source{parse(t, fset, "a/a.go", code)}
		findings, err := checkStill(fset, "a", files, importer.ForCompiler(fset, "gc", resolve))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found := strings.Join(findings, "\n")
		if row.want == "" && found != "" || !strings.Contains(found, row.want) {
			t.Errorf("%s: want %q in findings, got %q", name, row.want, found)
		}
	}
}

// function is a file with one function of so many lines.
func function(lines int) string {
	return "// Package a is.\npackage a\n\nfunc f() {" + strings.Repeat("\n", lines-1) + "}"
}

func parse(t *testing.T, fset *token.FileSet, path, code string) source {
	t.Helper()
	file, err := parser.ParseFile(fset, path, code, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if ast.IsGenerated(file) {
		t.Fatalf("%s counts as generated", path)
	}
	return source{path: path, bytes: []byte(code), file: file}
}
