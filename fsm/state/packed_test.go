package state

import (
	"reflect"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/codec"
)

// wholeUser has content in every field.
func wholeUser() *directory.User {
	u := new(directory.User)
	set(reflect.ValueOf(u).Elem())
	return u
}

// TestPackedUserHasEveryField: a field that is added to the type and not to fill
// would make every read take the long way.
func TestPackedUserHasEveryField(t *testing.T) {
	typ := reflect.TypeFor[directory.User]()
	users := []*directory.User{wholeUser(), {}}
	for i := range typ.NumField() {
		one := new(directory.User)
		set(reflect.ValueOf(one).Elem().Field(i))
		users = append(users, one)
	}
	for _, want := range append(users, &directory.User{Created: -5, Modified: 1 << 40, Version: 1<<64 - 1}) {
		if by := packedUser(codec.Encode(want)).sentBy(); by != want.Connection {
			t.Errorf("sent by %s, want %s", by, want.Connection)
		}
		got := new(directory.User)
		if !packedUser(codec.Encode(want)).fill(got) || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// TestPackedUserOfDamagedRow: every byte changed and every length cut. What can be
// read is what Decode reads, and nothing panics.
func TestPackedUserOfDamagedRow(t *testing.T) {
	whole := codec.Encode(wholeUser())
	try := func(b []byte) {
		want := new(directory.User)
		if codec.Decode(b, want) != nil {
			packedUser(b).read()
			return
		}
		if got, err := packedUser(b).read(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%x: got %+v, %v, want %+v", b, got, err, want)
		}
	}
	for i := range whole {
		try(whole[:i])
		for change := 1; change < 256; change++ {
			damaged := append([]byte(nil), whole...)
			damaged[i] ^= byte(change)
			try(damaged)
		}
	}
	if _, err := unpackableUser(whole[1:]); err == nil {
		t.Error("half a row was taken")
	}
	if _, err := unpackableUser(append(whole[:len(whole):len(whole)], 0)); err == nil {
		t.Error("a row with more behind it was taken")
	}
}

func BenchmarkReadUser(b *testing.B) {
	p := packedUser(codec.Encode(&directory.User{
		ID: directory.UserID{1}, UserName: "person-0000001", Email: "person-0000001@bench.example", DisplayName: "person-0000001",
		Active: true, Source: directory.SourceAPI, Created: 1_764_000_000_000, Modified: 1_764_000_000_000, Version: 100_000,
	}))
	b.ReportAllocs()
	for b.Loop() {
		if p.user().UserName == "" {
			b.Fatal("no name")
		}
	}
}
