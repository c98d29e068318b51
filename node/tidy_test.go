package node_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	fileLinesMax     = 600 // above it a second noun hides in the file
	functionLinesMax = 70  // a function fits a screen
)

// vagueNames say nothing about what a package is for; the second group are
// words that the glossary in package directory replaces.
var vagueNames = []string{
	"util", "utils", "common", "helper", "helpers", "manager", "base", "impl", "misc", "shared",
	"tenant", "account", "principal",
}

// clockCalls read the clock or wait for it.
var clockCalls = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// source is one Go file of the tree, generated ones excluded.
type source struct {
	path  string // slash-separated, below the module
	bytes []byte
	file  *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }
func (s source) dir() string  { return filepath.ToSlash(filepath.Dir(s.path)) }

func TestTidy(t *testing.T) {
	fset := token.NewFileSet()
	sources := parseTree(t, fset)
	if len(sources) == 0 {
		t.Fatal("no Go file found: nothing was checked")
	}
	for _, finding := range slices.Concat(checkPackages(sources), checkFiles(fset, sources)) {
		t.Error(finding)
	}
}

// TestStill holds the deterministic packages to values in, values out: no
// clock, no goroutine, and no map whose order could reach the outside. A map
// is ranged over only on a line that says, or follows a comment that says,
// "order-free:" and why. Two forms need no comment: slices.Sorted over its
// keys, and a body that only assigns to a map at the key ranged over.
func TestStill(t *testing.T) {
	fset := token.NewFileSet()
	sources := parseTree(t, fset)
	resolve := exportData(t, "./"+strings.Join(still, " ./"))
	for _, pkg := range still {
		var files []source
		for _, s := range sources {
			if s.dir() == pkg && !s.isTest() {
				files = append(files, s)
			}
		}
		if len(files) == 0 {
			t.Errorf("%s: no such package, yet the table of still packages names it", pkg)
			continue
		}
		findings, err := checkStill(fset, pkg, files, importer.ForCompiler(fset, "gc", resolve))
		if err != nil {
			t.Fatalf("%s: %v", pkg, err)
		}
		for _, finding := range findings {
			t.Error(finding)
		}
	}
}

// checkPackages wants one package comment per package, and a name that says
// something.
func checkPackages(sources []source) []string {
	var found []string
	docs := map[string][]string{}
	for _, s := range sources {
		if s.isTest() {
			continue
		}
		if _, seen := docs[s.dir()]; !seen {
			docs[s.dir()] = nil
		}
		if s.file.Doc != nil {
			docs[s.dir()] = append(docs[s.dir()], filepath.Base(s.path))
		}
		for _, word := range append(strings.Split(s.dir(), "/"), s.file.Name.Name) {
			if slices.Contains(vagueNames, word) {
				found = append(found, fmt.Sprintf("%s: %q names no noun of the product", s.path, word))
			}
		}
	}
	for dir, files := range docs {
		if len(files) != 1 {
			found = append(found, fmt.Sprintf("%s: want exactly one package comment, found %d %v", dir, len(files), files))
		}
	}
	slices.Sort(found)
	return found
}

func checkFiles(fset *token.FileSet, sources []source) []string {
	var found []string
	for _, s := range sources {
		if lines := bytes.Count(s.bytes, []byte("\n")); lines > fileLinesMax {
			found = append(found, fmt.Sprintf("%s: %d lines, more than %d", s.path, lines, fileLinesMax))
		}
		if s.isTest() {
			found = append(found, checkTest(fset, s)...)
		} else {
			found = append(found, checkFunctions(fset, s)...)
			found = append(found, checkLines(fset, s)...)
		}
	}
	return found
}

func checkFunctions(fset *token.FileSet, s source) []string {
	var found []string
	for _, decl := range s.file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start := fset.Position(fn.Pos())
		if lines := fset.Position(fn.End()).Line - start.Line + 1; lines > functionLinesMax {
			found = append(found, fmt.Sprintf("%v: %s has %d lines, more than %d", start, fn.Name.Name, lines, functionLinesMax))
		}
	}
	return found
}

// checkLines refuses lines of the faces of a node that leave out whose request they
// are about: there, every log line is given a context.
func checkLines(fset *token.FileSet, s source) []string {
	if s.isTest() || !strings.HasPrefix(s.path, "api/") {
		return nil
	}
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, call.Sel.Name) {
			return true
		}
		name := ""
		switch x := call.X.(type) {
		case *ast.Ident:
			name = x.Name
		case *ast.SelectorExpr:
			name = x.Sel.Name
		}
		if strings.EqualFold(name, "log") {
			found = append(found, fmt.Sprintf("%v: a line without the context of its request; call %sContext", fset.Position(n.Pos()), call.Sel.Name))
		}
		return true
	})
	return found
}

// checkTest refuses tests that wait for the wall clock or excuse themselves: a
// test that cannot run where it should run fails.
func checkTest(fset *token.FileSet, s source) []string {
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		sleeps := x.Name == "time" && sel.Sel.Name == "Sleep"
		skips := slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) &&
			slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name)
		if sleeps || skips {
			found = append(found, fmt.Sprintf("%v: a test does not call %s.%s", fset.Position(n.Pos()), x.Name, sel.Sel.Name))
		}
		return true
	})
	return found
}

func checkStill(fset *token.FileSet, pkg string, sources []source, imp types.Importer) ([]string, error) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	var files []*ast.File
	for _, s := range sources {
		files = append(files, s.file)
	}
	conf := types.Config{Importer: imp}
	if _, err := conf.Check(module+pkg, fset, files, info); err != nil {
		return nil, err
	}
	var found []string
	for _, s := range sources {
		c := stillChecker{fset: fset, info: info, excused: excusedLines(fset, s.file)}
		ast.Inspect(s.file, c.visit)
		found = append(found, c.found...)
	}
	return found, nil
}

type stillChecker struct {
	fset    *token.FileSet
	info    *types.Info
	excused map[int]bool // lines whose map order is explained
	sorted  []ast.Expr   // map iterators that slices.Sorted puts in order
	found   []string
}

func (c *stillChecker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report(n, "starts a goroutine")
	case *ast.RangeStmt:
		if c.isMap(n.X) && !c.excused[c.line(n)] && !c.copiesByKey(n) {
			c.report(n, "ranges over a map without saying order-free: why")
		}
	case *ast.CallExpr:
		c.visitCall(n)
	case *ast.SelectorExpr:
		if path, name := c.callee(n); path == "time" && slices.Contains(clockCalls, name) {
			c.report(n, "uses time."+name)
		}
	}
	return true
}

func (c *stillChecker) visitCall(call *ast.CallExpr) {
	path, name := c.callee(call.Fun)
	switch {
	case path == "slices" && strings.HasPrefix(name, "Sorted"):
		c.sorted = append(c.sorted, call.Args...)
	case path == "maps" && slices.Contains([]string{"All", "Keys", "Values"}, name):
		if !slices.Contains(c.sorted, ast.Expr(call)) && !c.excused[c.line(call)] {
			c.report(call, "iterates with maps."+name+", unsorted, without saying order-free: why")
		}
	}
}

// callee names the package and function that an expression refers to.
func (c *stillChecker) callee(fun ast.Expr) (path, name string) {
	sel, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	fn, ok := c.info.Uses[sel.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return "", ""
	}
	return fn.Pkg().Path(), fn.Name()
}

func (c *stillChecker) line(n ast.Node) int { return c.fset.Position(n.Pos()).Line }

func (c *stillChecker) report(n ast.Node, what string) {
	c.found = append(c.found, fmt.Sprintf("%v: a still package %s", c.fset.Position(n.Pos()), what))
}

func (c *stillChecker) isMap(x ast.Expr) bool {
	typ := c.info.TypeOf(x)
	if typ == nil {
		return false
	}
	_, ok := typ.Underlying().(*types.Map)
	return ok
}

// copiesByKey reports whether the loop's body is m[key] = … and nothing else:
// each turn then writes a place of its own, in whatever order they come.
func (c *stillChecker) copiesByKey(loop *ast.RangeStmt) bool {
	key, ok := loop.Key.(*ast.Ident)
	if !ok || len(loop.Body.List) != 1 {
		return false
	}
	assign, ok := loop.Body.List[0].(*ast.AssignStmt)
	if !ok || assign.Tok != token.ASSIGN || len(assign.Lhs) != 1 {
		return false
	}
	place, ok := assign.Lhs[0].(*ast.IndexExpr)
	if !ok || !c.isMap(place.X) {
		return false
	}
	index, ok := place.Index.(*ast.Ident)
	return ok && index.Name == key.Name
}

// excusedLines are the lines of an order-free comment and the line below it.
func excusedLines(fset *token.FileSet, file *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, group := range file.Comments {
		_, reason, ok := strings.Cut(group.Text(), "order-free:")
		if !ok || strings.TrimSpace(reason) == "" {
			continue
		}
		end := fset.Position(group.End()).Line
		lines[end], lines[end+1] = true, true
	}
	return lines
}

// parseTree reads every hand-written Go file of the module.
func parseTree(t *testing.T, fset *token.FileSet) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path != ".." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below := strings.TrimPrefix(filepath.ToSlash(path), "../")
		file, err := parser.ParseFile(fset, below, code, parser.ParseComments)
		if err == nil && !ast.IsGenerated(file) {
			sources = append(sources, source{path: below, bytes: code, file: file})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// exportData finds the compiled form of packages and all that they import, so
// that types are exact without type-checking the libraries again.
func exportData(t *testing.T, packages string) importer.Lookup {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}"}
	cmd := exec.Command("go", append(args, strings.Fields(packages)...)...)
	cmd.Dir = ".."
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -export: %v\n%s", err, problem.Bytes())
	}
	files := map[string]string{}
	for _, line := range strings.Fields(string(out)) {
		path, file, _ := strings.Cut(line, "=")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) {
		file, ok := files[path]
		if !ok {
			return nil, fmt.Errorf("no export data for %s", path)
		}
		return os.Open(file)
	}
}
