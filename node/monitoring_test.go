package node_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
	"github.com/goccy/go-yaml"
)

const (
	monitoring  = "../packaging/monitoring/"
	metricsFile = monitoring + "metrics.txt"
	alertsPage  = "../docs/reference/alerts.md"
)

var updateMetrics = flag.Bool("update-metrics", false, "rewrite the list of exported metrics")

// scrape gives the names of the series that a node exports.
func scrape(t *testing.T, c *nodetest.Cluster, i int) (names []string) {
	t.Helper()
	seen := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(string(c.Do(i, http.MethodGet, "/metrics", "", nil).Body)))
	for lines.Scan() {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			seen[line[:strings.IndexAny(line, "{ ")]] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// expressions are those of the rules and of the dashboard, by what they are of.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	read(t, "authfi.rules.yaml", func(b []byte) error { return yaml.Unmarshal(b, &rules) })
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			all["alert "+rule.Alert] = rule.Expr
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, RefID string }
		}
	}
	read(t, "authfi-dashboard.json", func(b []byte) error { return json.Unmarshal(b, &dashboard) })
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all["panel "+panel.Title+" "+target.RefID] = target.Expr
		}
	}
	return all
}

func read(t *testing.T, file string, into func([]byte) error) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(monitoring, file))
	if err == nil {
		err = into(content)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

var ofANode = regexp.MustCompile(`\b(?:authfi|go|process)_[a-z0-9_]+`)

// TestMonitoring: a node exports every metric that a rule or a panel names, and the list
// by which the expressions are checked, in packaging/monitoring, is what it exports.
func TestMonitoring(t *testing.T) {
	address := nodetest.Free(t, 1)[0]
	c := nodetest.Start(t, func(cfg *node.Config) {
		if cfg.NodeID == "node-1" {
			cfg.Enforce.Listen = []string{address}
		}
	})
	var made struct{ ID string }
	c.Do(0, http.MethodPost, "/api/v1/organizations", `{"slug":"clinic","name":"Clinic"}`, &made)
	c.Do(0, http.MethodPost, "/api/v1/services", fmt.Sprintf(`{"org_id":%q,"name":"demo","listen":[%q],"upstream":"127.0.0.1:1"}`, made.ID, address), &made)
	c.Do(0, http.MethodPut, "/api/v1/services/"+made.ID+"/policies", `[{"methods":["GET"],"path":"/x","permissions":["read:patients"]}]`, nil)
	var names []string
	until(t, "a verdict is counted", func() bool {
		if res, err := http.Get("http://" + address + "/x"); err == nil {
			res.Body.Close()
		}
		names = scrape(t, c, 0)
		return slices.Contains(names, "authfi_service_verdicts_total") && slices.Contains(names, "authfi_service_route_hits_total")
	})
	if *updateMetrics {
		if err := os.WriteFile(metricsFile, []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(listed)) {
		if strings.HasPrefix(name, "authfi_") && !slices.Contains(names, name) {
			t.Errorf("%s is listed and not exported; go test ./node -run Monitoring -update-metrics", name)
		}
	}
	all := expressions(t)
	if len(all) < 30 {
		t.Fatalf("only %d expressions", len(all))
	}
	for what, expression := range all {
		named := ofANode.FindAllString(expression, -1)
		if len(named) == 0 && !strings.Contains(expression, "up{") {
			t.Errorf("%s names no metric: %s", what, expression)
		}
		for _, name := range named {
			if !slices.Contains(names, name) {
				t.Errorf("%s: no node exports %s", what, name)
			}
			if !slices.Contains(strings.Fields(string(listed)), name) {
				t.Errorf("%s: %s is not listed; go test ./node -run Monitoring -update-metrics", what, name)
			}
		}
	}
}

// TestAlertsAreDescribed: the page has a heading for each alert, and none for another.
func TestAlertsAreDescribed(t *testing.T) {
	page, err := os.ReadFile(alertsPage)
	if err != nil {
		t.Fatal(err)
	}
	var described, alerts []string
	for _, heading := range regexp.MustCompile(`(?m)^### (AuthFI\w+)$`).FindAllStringSubmatch(string(page), -1) {
		described = append(described, heading[1])
	}
	for what := range expressions(t) {
		if alert, ok := strings.CutPrefix(what, "alert "); ok {
			alerts = append(alerts, alert)
		}
	}
	slices.Sort(described)
	slices.Sort(alerts)
	if len(alerts) < 15 || !slices.Equal(described, alerts) {
		t.Errorf("the page describes %v\nthe rules have %v", described, alerts)
	}
}
