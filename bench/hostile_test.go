package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/authfi/authfi/bpf/policy"
)

// nobody is a table of one token, of a user who may read patients.
type nobody struct{ key policy.TokenKey }

func (n nobody) Token(k policy.TokenKey) (policy.TokenEntry, bool) {
	return policy.TokenEntry{ExpiresNs: 10, Subject: policy.Subject{1}, Org: 1, Length: hostileToken, MFA: 1}, k == n.key
}

func (n nobody) Subject(policy.Subject) (policy.SubjectEntry, bool) {
	return policy.SubjectEntry{Org: 1, Rights: reader}, true
}

const hostileToken = 300 // bytes

var (
	demoRoutes = []policy.Route{
		{Methods: []string{"POST"}, Path: "/api/patients/*", Roles: []string{"doctor"}, MFA: true},
		{Methods: []string{"GET"}, Path: "/api/patients/*", Permissions: []string{"read:patients"}},
		{Methods: []string{"GET"}, Path: "/health", Public: true},
		{Methods: []string{"GET"}, Path: "/demo/served", Public: true},
	}
	reader = policy.NewNumbering(demoRoutes).With(policy.Rights{}, policy.PermissionName("read:patients"))
)

// Every hostile request is one: the policy of the demo refuses it before anything
// that the service would count.
func TestHostileRequestsAreHostile(t *testing.T) {
	program, err := policy.Compile(1, demoRoutes, policy.NewNumbering(demoRoutes))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Repeat("t", hostileToken)
	table := nobody{policy.SipHash128(1, 2, []byte(token))}
	a := newArsenal(token)
	all := []weapon{a.oversize}
	for _, kind := range a.kinds {
		all = append(all, kind...)
	}
	seen := map[policy.Reason]int{}
	for _, w := range all {
		text, open := w.text, 0
		m, rest, reason := policy.NewMachine(), []byte(text), policy.ReasonAllowed
		for len(rest) > 0 && reason.Allows() {
			if m.Idle() {
				m.Begin(program, 1, 2)
			}
			n, complete, refusal := m.Feed(rest)
			rest, reason = rest[n:], refusal
			if !complete {
				continue
			}
			if reason = policy.Verdict(program, m.Flow(), table, 5, 6); reason == policy.ReasonAllowed {
				t.Fatalf("let through: %q", text)
			}
			if reason.Allows() {
				open++
			}
			m.Allow()
		}
		if reason.Allows() {
			t.Fatalf("not refused: %q", text)
		}
		if open > 0 != w.behind {
			t.Errorf("behind an open request: %v, but %d are: %q", w.behind, open, text)
		}
		seen[reason]++
	}
	if len(seen) < 8 {
		t.Errorf("refused for few reasons: %v", seen)
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	r := &report{Metrics: map[string]metric{}}
	r.add("added_a<b", "us", "", []float64{-1, 2, 3})
	r.add("added_b", "us", "", []float64{0})
	r.addOr("added_c", "us", "", nil, "nothing")
	r.plot("both", "added_")
	r.plot("none", "missing_")
	if len(r.Plots) != 1 || len(r.Plots[0].bars) != 2 || r.Plots[0].bars[0].name != "b" {
		t.Fatalf("%+v", r.Plots)
	}
	for d := xml.NewDecoder(strings.NewReader(string(r.Plots[0].SVG()))); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
