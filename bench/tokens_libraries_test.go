package main

import (
	"strings"
	"testing"
)

// TestAddLibrary: what differs is told by name, both ways, and claims of our own count
// for nothing.
func TestAddLibrary(t *testing.T) {
	cases := []tokenVector{{"good", "good", "ok"}, {"forged", "signature", "invalid_token"}, {"fine", "good", "ok"}, {"no roles", claimsGroup, "invalid_token"}}
	r := &report{Name: "tokens", Metrics: map[string]metric{}}
	if err := addLibrary(r, "some-jwt 1.2.3", []bool{true, true, false, true}, cases); err != nil {
		t.Fatal(err)
	}
	m := r.Metrics["vectors_taken_some_jwt"]
	if m.Value == nil || *m.Value != 1 || !strings.Contains(m.How, "of 3 vectors") || !strings.Contains(m.How, "refuses: forged.") || !strings.Contains(m.How, "takes: fine.") {
		t.Errorf("%+v", m)
	}
	if addLibrary(r, "some-jwt 1.2.3", []bool{true}, cases) == nil {
		t.Error("a verdict that is missing is not missed")
	}
}
