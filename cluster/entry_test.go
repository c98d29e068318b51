package cluster

import (
	"bytes"
	"testing"
)

func TestEntryKeepsOrderAndBytes(t *testing.T) {
	in := []proposal{{proposalID{1}, []byte("first")}, {proposalID{2}, nil}, {proposalID{3}, []byte("third")}}
	out, err := decodeEntry(encodeEntry(in))
	if err != nil || len(out) != len(in) {
		t.Fatalf("decoded %d proposals, %v", len(out), err)
	}
	for i := range in {
		if in[i].id != out[i].id || !bytes.Equal(in[i].command, out[i].command) {
			t.Errorf("proposal %d: %v, want %v", i, out[i], in[i])
		}
	}
}

func TestDamagedEntryIsRefused(t *testing.T) {
	whole := encodeEntry([]proposal{{proposalID{1}, []byte("command")}})
	for n := range whole {
		if _, err := decodeEntry(whole[:n]); err == nil {
			t.Errorf("the first %d bytes decode", n)
		}
	}
	if _, err := decodeEntry(append(whole, 0)); err == nil {
		t.Error("a trailing byte decodes")
	}
}

func TestEntryHoldsNoMoreThanItsLimit(t *testing.T) {
	if _, err := decodeEntry(encodeEntry(make([]proposal, entryCommandsMax))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := decodeEntry(encodeEntry(make([]proposal, entryCommandsMax+1))); err == nil {
		t.Error("one past the limit decodes")
	}
}

func TestJoinTokenSurvivesItsText(t *testing.T) {
	want := NewJoinToken([]byte("public key"))
	got, err := ParseJoinToken(want.String())
	if err != nil || got.String() != want.String() {
		t.Fatalf("parsed %v, %v", got, err)
	}
	for _, s := range []string{"", "v1...", "v2" + want.String()[2:], want.String() + ".x"} {
		if _, err := ParseJoinToken(s); err == nil {
			t.Errorf("%q parses", s)
		}
	}
}
