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

func openEmpty(t *testing.T) *fsm.Machine { return open(t, disk.NewMemory()) }

// before is what must not grow and must not change.
type before struct {
	held      []directory.Permission // by the attacker
	owners    []directory.UserID     // and would-be ones
	view      *state.Org
	permitted map[directory.UserID][]directory.Permission
}

func lookAround(o *state.Org) before {
	b := before{held: couldHold(o, userID(attacker)), view: o, permitted: map[directory.UserID][]directory.Permission{}}
	for n := range users {
		b.permitted[userID(n)] = couldHold(o, userID(n))
		if slices.Contains(b.permitted[userID(n)], directory.ManageOrganization) {
			b.owners = append(b.owners, userID(n))
		}
	}
	return b
}

// problem says which rule does not hold any more; empty: none.
func (b *before) problem(now *state.Org) string {
	var held [users][]directory.Permission
	for n := range users {
		user := userID(n)
		held[n] = couldHold(now, user)
		is, was := held[n], b.permitted[user]
		if gained := beyond(beyond(is, was), b.held); len(gained) > 0 {
			return fmt.Sprintf("user %d gained %v, which the attacker does not hold", n, gained)
		}
		if n == attacker && len(beyond(is, was)) > 0 {
			return fmt.Sprintf("the attacker gained %v", beyond(is, was))
		}
		for _, name := range []string{gateName, strangerName} {
			if hasRoleNamed(now, user, name) && !hasRoleNamed(b.view, user, name) && !slices.Contains(b.held, directory.ManageSettings) {
				return fmt.Sprintf("user %d gained the role %q, which a policy asks for", n, name)
			}
		}
	}
	if p := b.ownersProblem(now, held); p != "" {
		return p
	}
	if p := b.credentialsProblem(now); p != "" {
		return p
	}
	return ""
}

func hasRoleNamed(o *state.Org, user directory.UserID, name string) bool {
	r, ok := o.RoleByName(name)
	return ok && slices.Contains(o.Permissions().Roles(user), r.ID)
}

// ownersProblem: the same owners, each as they were, with their sessions, keys,
// groups and roles.
func (b *before) ownersProblem(now *state.Org, held [users][]directory.Permission) string {
	for n := range users {
		owns := slices.Contains(held[n], directory.ManageOrganization)
		if owned := slices.Contains(b.owners, userID(n)); owned != owns {
			return fmt.Sprintf("user %d owned %v and owns %v", n, owned, owns)
		}
	}
	for _, user := range b.owners {
		was, _ := b.view.User(user)
		is, ok := now.User(user)
		if !ok || fmt.Sprint(*was) != fmt.Sprint(*is) {
			return fmt.Sprintf("the owner %s was changed", was.UserName)
		}
		for _, look := range []func(*state.Org) string{
			func(o *state.Org) string { return fmt.Sprint(o.Permissions().DirectRoles(user)) },
			func(o *state.Org) string { return fmt.Sprint(o.Permissions().Groups(user)) },
			func(o *state.Org) (keys string) {
				o.EachUserAPIKey(user, func(k *directory.APIKey) bool { keys += k.ID.String(); return true })
				return keys
			},
			func(o *state.Org) (open string) {
				o.EachUserSession(user, func(s *directory.Session) bool { open += fmt.Sprint(s.ID, s.Ended); return true })
				return open
			},
		} {
			if left, right := look(b.view), look(now); left != right && !subset(left, right) {
				return fmt.Sprintf("of the owner %s: %s became %s", was.UserName, left, right)
			}
		}
	}
	return ""
}

// subset lets an owner be given a role: everything that was there is.
func subset(left, right string) bool {
	return left == "[]" || len(left) > 2 && len(right) > len(left) && left[0] == '[' && right[:len(left)-1] == left[:len(left)-1]
}

// credentialsProblem: what the attacker may sign in with holds no more than the
// attacker. That is a session or a key that was made, an account that was made, and
// an account of which it was changed who it is, as far as administration goes.
func (b *before) credentialsProblem(now *state.Org) (problem string) {
	reach := func(user directory.UserID, what string, covers func(directory.Permission) bool) {
		for _, p := range beyond(couldHold(now, user), b.held) {
			if covers(p) {
				problem = fmt.Sprintf("%s reaches %s", what, p)
			}
		}
	}
	now.EachSession(func(s *directory.Session) bool {
		if _, old := b.view.Session(s.ID); !old && s.Ended == 0 {
			reach(s.User, "a session of "+s.User.String(), func(directory.Permission) bool { return true })
		}
		return true
	})
	now.EachAPIKey(directory.APIKeyID{}, func(k *directory.APIKey) bool {
		if _, old := b.view.APIKey(k.ID); !old {
			reach(k.Owner, "a key of "+k.Owner.String(), k.Covers)
		}
		return true
	})
	now.EachUser(directory.UserID{}, func(u *directory.User) bool {
		was, old := b.view.User(u.ID)
		if !old || was.UserName != u.UserName || was.Email != u.Email || was.Owner != u.Owner || u.Active && !was.Active {
			reach(u.ID, "the account "+u.UserName, func(p directory.Permission) bool {
				verb, _ := p.Verb()
				return !old || verb == "manage" || len(p) > 7 && p[:7] == "manage:"
			})
		}
		return true
	})
	now.EachClient(func(c *directory.Client) bool {
		if was, old := b.view.Client(c.ID); old && was.Version == c.Version {
			return true
		}
		if c.Account.IsZero() && c.Unbounded && !slices.Contains(b.held, directory.ManageOrganization) {
			problem = "a client carries everything"
		}
		for _, p := range beyond(c.Permissions, b.held) {
			problem = fmt.Sprintf("a client carries %s", p)
		}
		reach(c.Account, "a client of "+c.Account.String(), c.Covers)
		return true
	})
	now.EachConnection(func(c *directory.Connection) bool {
		was, old := b.view.Connection(c.ID)
		if slices.Contains(b.held, directory.ManageOrganization) {
			return true
		}
		if !old {
			problem = "a connection was made"
		} else if c.Trust != was.Trust && c.Trust != (directory.Trust{}) {
			problem = "a connection was made to trust an issuer"
		}
		return true
	})
	now.EachEventStream(func(s *directory.EventStream) bool {
		was, old := b.view.EventStream(s.ID)
		if (!old || s.Audience != was.Audience) && !slices.Contains(b.held, directory.ReadDirectory) {
			problem = "somebody reads the directory by an event stream"
		}
		return true
	})
	return problem
}

// campaign is one attacker on one world.
type campaign struct {
	w      *ward
	root   *state.Root
	actor  directory.Actor
	before before
	all    attempts
}

func newCampaign(t *testing.T, w *ward, actor directory.Actor, held []directory.Permission) *campaign {
	c := &campaign{w: w, root: w.m.Root(), actor: actor, before: lookAround(w.view())}
	c.before.held = held
	for _, a := range allAttempts(w) {
		if a.required == "" || slices.Contains(held, a.required) { // the others are refused before
			c.all = append(c.all, a)
		}
	}
	return c
}

func (c *campaign) envelope(a attempt) *fsm.Envelope {
	return &fsm.Envelope{Org: c.w.org, Actor: c.actor, Required: a.required, Now: c.w.now, Command: a.command}
}

// run tries a sequence, and reports which steps changed something and what is wrong.
func (c *campaign) run(steps ...attempt) (changed bool, problem string) {
	fork, _ := fsm.NewFork(c.root, c.w.org)
	for _, step := range steps {
		out, err := fork.Apply(c.envelope(step))
		changed = err == nil && out.Changed
	}
	if !changed {
		return false, ""
	}
	return true, c.before.problem(fork.View())
}

// effective are the attempts that change something at the start.
func (c *campaign) effective(t *testing.T) (some attempts) {
	for _, a := range c.all {
		changed, problem := c.run(a)
		if problem != "" {
			t.Errorf("%v, %s: %s", c.before.held, a.name, problem)
		}
		if changed && problem == "" {
			some = append(some, a)
		}
	}
	return some
}

// pairs are all sets of one and of two permissions that somebody may be delegated.
func pairs() (all [][]directory.Permission) {
	delegated := []directory.Permission{
		directory.ManageUsers, directory.ManageGroups, directory.ManageRoles, directory.ManageSettings,
		directory.ManageSessions, "read:*",
	}
	for i, p := range delegated {
		all = append(all, []directory.Permission{p})
		for _, q := range delegated[i+1:] {
			all = append(all, []directory.Permission{p, q})
		}
	}
	return all
}

// reads adds what read:* covers.
func reads(held []directory.Permission) []directory.Permission {
	if slices.Contains(held, "read:*") {
		return append(slices.Clone(held), directory.ReadDirectory, directory.ReadAuditLogs, seePatients)
	}
	return held
}

// TestDelegatesGainNothing: every delegate with one or two permissions tries every
// command, every two of them that take one permission or the two, and many sequences
// of three.
func TestDelegatesGainNothing(t *testing.T) {
	for _, held := range pairs() {
		t.Run(fmt.Sprint(held), func(t *testing.T) {
			w := world(t, held)
			c := newCampaign(t, w, directory.Actor{Kind: directory.ActorUser, ID: userID(attacker)}, reads(held))
			first := c.effective(t)
			if len(first) == 0 && held[0] != "read:*" {
				t.Error("the delegate may do nothing at all")
			}
			rng := rand.New(rand.NewSource(1))
			for _, a := range first {
				for _, b := range c.all {
					if len(held) == 2 && a.required == b.required && rng.Intn(4) > 0 {
						continue // tried by whoever holds this one alone, too
					}
					if changed, problem := c.run(a, b); problem != "" {
						t.Fatalf("%s, then %s: %s", a.name, b.name, problem)
					} else if changed && rng.Intn(20) == 0 {
						last := c.all[rng.Intn(len(c.all))]
						if _, problem := c.run(a, b, last); problem != "" {
							t.Fatalf("%s, then %s, then %s: %s", a.name, b.name, last.name, problem)
						}
					}
				}
			}
		})
	}
}

// TestKeysGainNothing: a key that names one or two permissions, of a delegate and of
// an owner, is no more than a delegate with these.
func TestKeysGainNothing(t *testing.T) {
	key := directory.Actor{Kind: directory.ActorAPIKey, ID: id[directory.APIKeyID](99)}
	for _, held := range pairs() {
		for _, of := range []int{attacker, owner} {
			t.Run(fmt.Sprint(held, " of ", of), func(t *testing.T) {
				w := world(t, held)
				named := slices.DeleteFunc(slices.Clone(held), func(p directory.Permission) bool { return of == owner && p == "read:*" })
				if len(named) == 0 {
					return // an owner does not hold read:*
				}
				w.must(&fsm.CreateAPIKey{Key: directory.APIKey{ID: key.ID, Name: "key", Owner: userID(of), Permissions: named}})
				c := newCampaign(t, w, key, reads(named))
				rng := rand.New(rand.NewSource(1))
				for _, a := range c.effective(t) {
					for range 20 {
						b := c.all[rng.Intn(len(c.all))]
						if _, problem := c.run(a, b); problem != "" {
							t.Fatalf("%s, then %s: %s", a.name, b.name, problem)
						}
					}
				}
			})
		}
	}
}

// TestTheSearchFindsWhatOwnersMayDo: the search has teeth.
func TestTheSearchFindsWhatOwnersMayDo(t *testing.T) {
	held := []directory.Permission{directory.ManageOrganization, directory.ManageUsers, directory.ManageRoles, directory.ManageGroups, directory.ManageSessions, directory.ManageSettings}
	w := world(t, held)
	c := newCampaign(t, w, directory.Actor{Kind: directory.ActorUser, ID: userID(attacker)}, held[1:])
	found := map[string]bool{}
	for _, a := range c.all {
		if _, problem := c.run(a); problem != "" {
			found[fmt.Sprintf("%T", a.command)] = true
		}
	}
	for _, command := range []fsm.Command{
		&fsm.UpdateUser{}, &fsm.SetUserActive{}, &fsm.DeleteUser{}, &fsm.CreateAPIKey{}, &fsm.RevokeAPIKey{},
		&fsm.ChangeGroup{}, &fsm.DeleteGroup{}, &fsm.NestGroup{}, &fsm.UnnestGroup{}, &fsm.UpdateRole{}, &fsm.DeleteRole{},
		&fsm.AssignRole{}, &fsm.UnassignRole{}, &fsm.StartSession{}, &fsm.EndSession{}, &fsm.EndUserSessions{}, &fsm.CreateConnection{},
		&fsm.PutEventStream{},
	} {
		if !found[fmt.Sprintf("%T", command)] {
			t.Errorf("an owner's %T is no finding", command)
		}
	}
}
