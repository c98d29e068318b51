package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestRatesOfTwoLooks(t *testing.T) {
	look := func(node string, through, refused uint64) nodeReport {
		return nodeReport{NodeID: node, Services: []serviceReport{{
			Name: "charts", LetThrough: through, Refused: refused,
			Routes: []routeReport{{Policy: "GET /a", LetThrough: through}, {Policy: "GET /b"}},
		}}}
	}
	before := []nodeReport{look("node-1", 10, 4), look("node-2", 100, 0)}
	after := []nodeReport{look("node-1", 30, 6), look("node-2", 6, 0), look("node-3", 2, 0)} // node 2 began anew
	rates := ratesOf(before, after, 2*time.Second)
	want := []rate{{"charts", "", 14, 1}, {"charts", "GET /a", 14, 0}, {"charts", "GET /b", 0, 0}}
	if len(rates) != len(want) {
		t.Fatalf("rates %+v", rates)
	}
	for i := range want {
		if rates[i] != want[i] {
			t.Errorf("rate %+v, want %+v", rates[i], want[i])
		}
	}
}

// TestTraceShowsEachRefusalOnce, also those of a node that began anew.
func TestTraceShowsEachRefusalOnce(t *testing.T) {
	tr := &trace{seen: map[string]uint64{}}
	show := func(items string) string {
		var out bytes.Buffer
		if err := tr.show(&printer{w: &out, format: formatJSONLines}, []byte(`{"refusals":[`+items+`]}`)); err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(out.String(), "\n", " ")
	}
	const a1, a2, b1 = `{"node_id":"a","seq":1}`, `{"node_id":"a","seq":2}`, `{"node_id":"b","seq":7}`
	for i, step := range []struct{ items, want string }{
		{a1, a1 + " "}, {a1 + "," + a2 + "," + b1, a2 + " " + b1 + " "}, {a1 + "," + a2 + "," + b1, ""}, {a1, ""}, {a1 + "," + a2, a2 + " "},
	} {
		if got := show(step.items); got != step.want {
			t.Errorf("look %d: %q, want %q", i, got, step.want)
		}
	}
}

func TestWantOfRoomIsSaidFirst(t *testing.T) {
	nodes := []nodeReport{{NodeID: "node-1", Reachable: true, Counters: map[string]uint64{"users_without_room": 2, "addresses_without_room": 1, "allowed": 9}}, {NodeID: "node-2"}}
	var out bytes.Buffer
	if err := (&printer{w: &out}).enforcement(nodes); err != nil {
		t.Fatal(err)
	}
	if first, rest, _ := strings.Cut(out.String(), "\n"); first != "NO ROOM: node-1 refuses those for which its kernel has none: users=2 addresses=1" || strings.Contains(rest, "NO ROOM") {
		t.Errorf("it says %s", out.String())
	}
}

func TestDryRunIsSaidFirst(t *testing.T) {
	nodes := []nodeReport{{NodeID: "node-1", Reachable: true, Mode: "gate", Services: []serviceReport{{
		Name: "charts", Listen: []string{"127.0.0.1:80"}, Mode: modeDryRun, WouldRefuse: 3, Verdicts: map[string]uint64{"no_token": 1, "no_route": 2, "allowed": 9},
	}}}, {NodeID: "node-2"}}
	var out bytes.Buffer
	if err := (&printer{w: &out}).enforcement(nodes); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(out.String(), "\n")
	if first != "DRY RUN: node-1 refuses nothing of charts (127.0.0.1:80); 3 requests would have been refused" {
		t.Errorf("the first line is %q", first)
	}
	if !strings.Contains(out.String(), "no_route=2 no_token=1\n") || !strings.Contains(out.String(), "node-2  no answer") {
		t.Errorf("status\n%s", out.String())
	}
	if err := doubts(nodes); err == nil || err.Error() != "node-1 has no lease and refuses; node-2 does not answer" {
		t.Errorf("doubts %v", err)
	}
}
