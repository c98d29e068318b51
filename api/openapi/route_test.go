package openapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestConditional: the document promises If-Match of exactly those procedures whose
// handlers look at it. It said so of every deletion once, and six of them did not.
func TestConditional(t *testing.T) {
	calls := callsOf(t, "../admin/*.go")
	for _, service := range services() {
		for i := range service.Methods().Len() {
			name := string(service.Methods().Get(i).Name())
			looks := reaches(calls, name, "ifMatch", nil)
			if full := string(service.Name()) + "." + name; looks != conditional[full] {
				t.Errorf("%s: its handler looks at If-Match: %t, the document says %t", full, looks, conditional[full])
			}
		}
	}
}

// callsOf are the names of the functions that each function calls.
func callsOf(t *testing.T, pattern string) map[string][]string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no handlers at %s: %v", pattern, err)
	}
	calls := map[string][]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
						calls[fn.Name.Name] = append(calls[fn.Name.Name], sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
	return calls
}

// reaches follows the methods of the one receiver that handlers have; a procedure is
// no part of another.
func reaches(calls map[string][]string, from, to string, seen []string) bool {
	if slices.Contains(seen, from) {
		return false
	}
	for _, callee := range calls[from] {
		local := strings.ToLower(callee[:1]) == callee[:1]
		if callee == to || local && reaches(calls, callee, to, append(seen, from)) {
			return true
		}
	}
	return false
}
