package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// plan is one that is over at once.
func quickPlan() *Plan {
	return &Plan{
		Questions: []Question{{User: 1, Permission: 2, Allowed: true}, {User: 1, Permission: 3}},
		Rounds:    2, Clients: []int{2}, Warm: 0.01, Measure: 0.05,
	}
}

func answering(check func(q Question) (bool, error)) *service {
	questions := quickPlan().Questions
	return newService("peer", "a test", func(_ context.Context, _, n int) (bool, error) { return check(questions[n]) }, []int{os.Getpid()})
}

// TestOnlyRightAnswersCount: a service that is wrong or fails once has no figure.
func TestOnlyRightAnswersCount(t *testing.T) {
	for _, row := range []struct {
		name, missing string
		check         func(q Question) (bool, error)
	}{
		{"right", "", func(q Question) (bool, error) { return q.Allowed, nil }},
		{"yes to everything", "wrong", func(Question) (bool, error) { return true, nil }},
		{"failing", "broken", func(Question) (bool, error) { return false, errors.New("broken") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := answering(row.check)
			if err := compare(t.Context(), quickPlan(), []*service{s, missing("absent", "not built")}); err != nil {
				t.Fatal(err)
			}
			if row.missing != "" {
				if !strings.Contains(s.result.Missing, row.missing) || len(s.result.Rounds) != 0 {
					t.Errorf("%+v", s.result)
				}
				return
			}
			if s.result.Missing != "" || len(s.result.Rounds) != 2 {
				t.Fatalf("%+v", s.result)
			}
			for _, r := range s.result.Rounds {
				if r.Answers == 0 || r.Rate <= 0 || r.P50 > r.P99 || r.CPU < 0 {
					t.Errorf("%+v", r)
				}
			}
			if s.result.Memory <= 0 {
				t.Errorf("no memory: %+v", s.result)
			}
		})
	}
}

// TestTimeOfAFamily: what a process uses is counted, and so are its children.
func TestTimeOfAFamily(t *testing.T) {
	family, err := familyOf(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, pid := range family {
		found = found || pid == os.Getpid()
	}
	if !found {
		t.Errorf("family %v of %d lacks %d", family, os.Getppid(), os.Getpid())
	}
	if _, err := cpuSeconds([]int{os.Getpid()}); err != nil {
		t.Error(err)
	}
	if _, err := cpuSeconds([]int{1 << 30}); err == nil {
		t.Error("a process that is not there used no time")
	}
}
