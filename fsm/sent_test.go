package fsm_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// TestWhatAConnectionHasSentIsCounted, and groups are found by a name that several
// have, as a look at all of them says: in every state of random histories, and in
// those that are read from the disk.
func TestWhatAConnectionHasSentIsCounted(t *testing.T) {
	shared := 0
	for seed := int64(1); seed <= 6; seed++ {
		h := &history{rng: rand.New(rand.NewSource(seed)), now: 1_700_000_000_000}
		storage := disk.NewMemory()
		m := open(t, storage)
		begin(t, m)
		for i := range 1500 {
			env := h.next()
			switch { // more of what this is about
			case i%20 == 1:
				env = h.envelope(operator, h.of(fsm.KindCreateConnection))
			case i%3 == 0:
				con := h.connection()
				env = h.envelope(directory.Actor{Kind: directory.ActorConnection, ID: con}, &fsm.CreateGroup{
					Group: directory.Group{ID: h.group(), Name: h.name("group"), Connection: con},
				})
			}
			apply(t, m, fsm.Entry{Index: directory.Index(i + 2), Term: 1, Envelopes: []*fsm.Envelope{env}})
			if i%50 == 0 {
				shared += countsAgree(t, m.Root())
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		countsAgree(t, open(t, storage).Root())
	}
	if shared == 0 {
		t.Error("no two groups have had one name")
	}
}

func (h *history) envelope(by directory.Actor, c fsm.Command) *fsm.Envelope {
	return &fsm.Envelope{Org: h.org(), Actor: by, Now: h.now, Command: c}
}

// countsAgree gives the number of organizations in which groups share a name.
func countsAgree(t *testing.T, root *state.Root) (shared int) {
	t.Helper()
	root.EachOrg(directory.OrgID{}, func(o *state.Org) bool {
		for n := range 4 {
			by := id[directory.ConnectionID](n)
			var users, found []directory.UserID
			o.EachUser(directory.UserID{}, func(u *directory.User) bool {
				if u.Connection == by {
					users = append(users, u.ID)
				}
				return true
			})
			o.EachUserOf(by, directory.UserID{}, func(u *directory.User) bool { found = append(found, u.ID); return true })
			groups := 0
			o.EachGroup(directory.GroupID{}, func(g *directory.Group) bool {
				if g.Connection == by {
					groups++
				}
				return true
			})
			o.EachGroupOf(by, directory.GroupID{}, func(*directory.Group) bool { groups--; return true })
			if o.UsersOf(by) != len(users) || !slices.Equal(users, found) || groups != 0 {
				t.Fatalf("connection %d: %d users counted, %d found, has sent %d; %d groups too few", n, o.UsersOf(by), len(found), len(users), groups)
			}
		}
		if namesAgree(t, o) {
			shared++
		}
		return true
	})
	return shared
}

// namesAgree reports whether groups share a name.
func namesAgree(t *testing.T, o *state.Org) (shared bool) {
	t.Helper()
	named := map[string][]directory.GroupID{}
	o.EachGroup(directory.GroupID{}, func(g *directory.Group) bool { named[g.Name] = append(named[g.Name], g.ID); return true })
	for n := range objects {
		name := fmt.Sprintf("group-%d", n)
		var found []directory.GroupID
		o.EachGroupNamed(name, func(g *directory.Group) bool { found = append(found, g.ID); return true })
		first, ok := o.GroupByName(name)
		if !slices.Equal(found, named[name]) || ok != (len(found) > 0) || ok && first.ID != found[0] {
			t.Fatalf("%s: found %v, are %v", name, found, named[name])
		}
		shared = shared || len(found) > 1
	}
	if o.GroupNamesShared() != shared {
		t.Fatalf("names are shared: %v", shared)
	}
	if f := o.FindGroups("GROUP-", directory.GroupID{}, 2*objects); f.Total != o.Groups() || len(f.Page) != o.Groups() {
		t.Fatalf("%d of %d groups are found by how they begin", f.Total, o.Groups())
	}
	return shared
}

// TestSentOnly: to a connection that sees only what it has sent, everybody else is as
// unknown as who is not there, be they added one by one or in a list of all; but they
// can always be taken out.
func TestSentOnly(t *testing.T) {
	for _, row := range []struct {
		what    string
		command *fsm.ChangeGroup
	}{
		{"added", &fsm.ChangeGroup{Add: []directory.UserID{userID(1), userID(2), userID(3)}}},
		{"replaced", &fsm.ChangeGroup{SetMembers: true, Set: []directory.UserID{userID(1), userID(2), userID(3)}}},
		{"nested", &fsm.ChangeGroup{Add: []directory.UserID{userID(1)}, AddNested: []directory.GroupID{groupID(2), groupID(3)}}},
	} {
		p := newProvision(t)
		c := *row.command
		c.Group, c.SentOnly = id[directory.GroupID](1), true
		if err := p.do(p.provider(), &c); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("%s: %v", row.what, err)
		}
		c.SkipUnknown = true
		p.mustDo(p.provider(), &c)
		members := p.view().Permissions()
		if n := members.MemberCount(c.Group); n != 1 || len(members.Children(c.Group)) != 0 {
			t.Errorf("%s: %d members and %d groups, one of whom was sent", row.what, n, len(members.Children(c.Group)))
		}
		c.SentOnly = false
		p.mustDo(p.provider(), &c)
		c = fsm.ChangeGroup{Group: c.Group, SentOnly: true, Remove: []directory.UserID{userID(2)}, RemoveNested: []directory.GroupID{groupID(2)}}
		p.mustDo(p.provider(), &c)
		members = p.view().Permissions()
		if members.IsMember(c.Group, userID(2)) || len(members.Children(c.Group)) != 0 {
			t.Errorf("%s: who is not seen cannot be taken out", row.what)
		}
	}
	p := newProvision(t)
	made := directory.Group{ID: groupID(7), Name: "seven", Connection: p.connection}
	p.mustDo(p.provider(), &fsm.CreateGroup{
		Group: made, SentOnly: true, SkipUnknown: true,
		Members: []directory.UserID{userID(1), userID(2)}, Groups: []directory.GroupID{groupID(2)},
	})
	if members := p.view().Permissions(); members.MemberCount(made.ID) != 1 || len(members.Children(made.ID)) != 0 {
		t.Error("a new group has members who are unknown")
	}
}

// TestSharedNames: only groups of a connection that shares names may have one that is
// taken, and those who have one may keep it.
func TestSharedNames(t *testing.T) {
	p := newProvision(t)
	yes, no, taken := true, false, "TWO"
	make := func(n int) *fsm.CreateGroup {
		return &fsm.CreateGroup{Group: directory.Group{ID: groupID(n), Name: taken, Connection: p.connection}}
	}
	rename := &fsm.ChangeGroup{Group: groupID(1), Name: &taken}
	p.refused("name", p.provider(), make(5))
	p.refused("name", p.provider(), rename)
	p.mustDo(operator, &fsm.UpdateConnection{ID: p.connection, SharesNames: &yes})
	p.refused("name", operator, make(5))
	p.mustDo(p.provider(), make(5))
	p.mustDo(p.provider(), rename)

	p.mustDo(operator, &fsm.UpdateConnection{ID: p.connection, SharesNames: &no})
	text, respelt := "external", "tWo"
	p.mustDo(p.provider(), &fsm.ChangeGroup{Group: groupID(5), ExternalID: &text, Name: &respelt})
	p.mustDo(p.provider(), &fsm.DeleteGroup{Group: groupID(1)})
	p.refused("name", p.provider(), make(6))
	p.mustDo(operator, &fsm.DeleteGroup{Group: groupID(2)})
	if g, ok := p.view().GroupByName(taken); !ok || g.ID != groupID(5) || p.view().GroupNamesShared() {
		t.Error("the one that is left is not found by the name")
	}
}

// BenchmarkSentByOthers walks to the one user of a connection behind 100,000 of
// others, which is what a list without an index costs at most.
func BenchmarkSentByOthers(b *testing.B) {
	const others = 100_000
	fork := crowd(b, others).Fork()
	u := directory.User{ID: userID(others + 1), UserName: "own", Active: true, Connection: id[directory.ConnectionID](1)}
	if err := fork.Run(func(tx *state.OrgTx) error { return tx.PutUser(&u) }); err != nil {
		b.Fatal(err)
	}
	view := fork.View()
	for b.Loop() {
		found := 0
		view.EachUserOf(u.Connection, directory.UserID{}, func(*directory.User) bool { found++; return true })
		if found != 1 {
			b.Fatal(found)
		}
	}
}
