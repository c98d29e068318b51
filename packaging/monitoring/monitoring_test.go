// Package monitoring holds what Prometheus and Grafana are given. It is a module of its
// own, so that the parser of Prometheus is no dependency of the node.
package monitoring

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// ofPrometheus is a metric that it makes itself.
const ofPrometheus = "up"

// exported are the metrics of a node; a test of package node holds the list to a real
// one.
func exported(t *testing.T) []string {
	t.Helper()
	list, err := os.ReadFile("metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	return append(strings.Fields(string(list)), ofPrometheus)
}

// check parses an expression as Prometheus does, and looks for each metric in it.
func check(t *testing.T, what, expression string, names []string) {
	t.Helper()
	parsed, err := parser.ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	selectors := 0
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			selectors++
			if !slices.Contains(names, selector.Name) {
				t.Errorf("%s: no node exports %s", what, selector.Name)
			}
		}
		return nil
	})
	if selectors == 0 {
		t.Errorf("%s asks for no metric: %s", what, expression)
	}
}

func TestRules(t *testing.T) {
	rules, problems := rulefmt.ParseFile("authfi.rules.yaml", false, model.UTF8Validation)
	for _, problem := range problems {
		t.Error(problem)
	}
	if t.Failed() {
		return
	}
	n, names := 0, exported(t)
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			n++
			check(t, rule.Alert, rule.Expr, names)
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("%s has no severity or no summary", rule.Alert)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d rules", n)
	}
}

func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("authfi-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	n, names := 0, exported(t)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			n++
			check(t, panel.Title, target.Expr, names)
		}
	}
	if n < 20 {
		t.Errorf("only %d expressions", n)
	}
}
