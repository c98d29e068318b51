package enforce

import (
	"log/slog"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

func compiledFor(t *testing.T, s policy.Service) *policy.Program {
	t.Helper()
	p, err := s.Compile(1, policy.NewNumbering(s.Routes))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSeenCountsByServiceAndRoute(t *testing.T) {
	s := NewSeen()
	routes := []policy.Route{{Path: "/a"}, {Path: "/b", Public: true}}
	s.follow("x", compiledFor(t, policy.Service{Version: 3, Routes: routes}))
	now := time.Unix(100, 0)
	for _, d := range []policy.Decision{
		{Reason: policy.ReasonAllowed, Route: 0, Version: 3},
		{Reason: policy.ReasonRights, Route: 0, Version: 3},
		{Reason: policy.ReasonPublic, Route: 1, Version: 3},
		{Reason: policy.ReasonRights, Route: 1, Version: 2}, // of the policies before
		{Reason: policy.ReasonNoRoute, Route: policy.NoRoute, Version: 3, DryRun: true},
	} {
		s.decided(now, Refusal{Listen: "x", Decision: d})
	}
	got := s.Tallies()["x"]
	if got.LetThrough != 3 || got.Refused != 2 || got.WouldRefuse != 1 || got.Reasons[policy.ReasonRights] != 2 {
		t.Errorf("tally %+v", got)
	}
	if got.Routes[0] != (RouteTally{1, 1}) || got.Routes[1] != (RouteTally{1, 0}) {
		t.Errorf("routes %+v", got.Routes)
	}
	// Compiled anew because another service of the organization changed: it goes on.
	s.follow("x", compiledFor(t, policy.Service{Version: 3, Routes: routes}))
	if again := s.Tallies()["x"]; again.Routes[0].LetThrough != 1 {
		t.Errorf("the same version: %+v", again)
	}
	s.follow("x", compiledFor(t, policy.Service{Version: 4, Routes: routes}))
	if next := s.Tallies()["x"]; next.Routes[0].LetThrough != 0 || next.LetThrough != 3 {
		t.Errorf("the next version: %+v", next)
	}
	s.forget("x")
	if len(s.Tallies()) != 0 {
		t.Error("an address that is let go is still counted")
	}
}

// Counts of the kernel belong to the mode in which they were made.
func TestCountsOfTheKernelBelongToAMode(t *testing.T) {
	s := NewSeen()
	var zero, first, second [policy.ReasonsMax]uint64
	first[policy.ReasonNoToken], first[policy.ReasonAllowed] = 3, 5
	second[policy.ReasonNoToken], second[policy.ReasonAllowed] = 4, 5
	s.advance("x", zero, first, true)
	s.advance("x", first, second, false)
	s.advance("x", second, first, false) // 4 went back to 3: began anew
	got := s.Tallies()["x"]
	if got.LetThrough != 8 || got.WouldRefuse != 3 || got.Refused != 1+3 || got.Reasons[policy.ReasonNoToken] != 7 || got.Routes != nil {
		t.Errorf("tally %+v", got)
	}
}

func TestRefusalsAreSampled(t *testing.T) {
	s := NewSeen()
	refuse := func(second int64) {
		s.decided(time.Unix(second, 0), Refusal{Listen: "x", Decision: policy.Decision{Reason: policy.ReasonNoToken}})
	}
	for range refusalsPerSecondMax {
		refuse(1)
	}
	if n := len(s.Refusals()); n != refusalsPerSecondMax {
		t.Errorf("%d, want all of a second", n)
	}
	refuse(1)
	if n := len(s.Refusals()); n != refusalsPerSecondMax {
		t.Errorf("%d, with one too many", n)
	}
	for second := range int64(RefusalsMax) {
		refuse(second + 2)
	}
	all := s.Refusals()
	if len(all) != RefusalsMax || all[0].Time.Unix() != 2 || all[len(all)-1].Seq != refusalsPerSecondMax+1+RefusalsMax {
		t.Errorf("%d, from %v to %d", len(all), all[0].Time, all[len(all)-1].Seq)
	}
	s.decided(time.Unix(9999, 0), Refusal{Listen: "x", Decision: policy.Decision{Reason: policy.ReasonAllowed}})
	if last := s.Refusals()[RefusalsMax-1]; last.Time.Unix() == 9999 {
		t.Error("what was let through is a refusal")
	}
}

func TestUserSpaceTellsWhatItDecided(t *testing.T) {
	u := NewUserSpace(nil, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { u.Close() })
	const listen = "127.0.0.1:0"
	program := compiledFor(t, policy.Service{Version: 5, Routes: []policy.Route{{Path: "/a"}}})
	if err := u.SetService(listen, "127.0.0.1:1", 1, program); err != nil {
		t.Fatal(err)
	}
	state := program.Next(program.Next(program.Start(), '/'), 'a')
	told := u.told(listen)
	told(program, &policy.Flow{Method: policy.MethodPut, State: state}, policy.ReasonRights, policy.Subject{7})
	told(program, nil, policy.ReasonMalformed, policy.Subject{})
	all := u.Seen().Refusals()
	if len(all) != 2 || all[0].Method != "PUT" || all[0].Subject != (policy.Subject{7}) || all[1].Method != "" {
		t.Fatalf("refusals %+v", all)
	}
	if d := all[0].Decision; d.Route != 0 || d.Version != 5 || d.Reason != policy.ReasonRights {
		t.Errorf("decision %+v", d)
	}
	if got := u.Seen().Tallies()[listen]; got.Refused != 2 || got.Routes[0].Refused != 1 {
		t.Errorf("tally %+v", got)
	}
}
