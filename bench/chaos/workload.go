package chaos

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/bench/history"
)

// Shape of a round's directory and of who works on it. The keys are few, so that
// operations meet; the clients are few, so that an order can be searched for.
const (
	registers = 6 // users whose titles are written
	members   = 24
	sets      = 2 // groups; the first holds a role, so that checks ask for it
	clients   = 10
	// pause keeps the rate of a client that is refused at once below that of one
	// that is answered.
	pause = 5 * time.Millisecond
	// checkWait bounds the search for an order, a key each.
	checkWait = 60 * time.Second
)

// permission of the first set's role; no other role in the organization has it.
const permission = "read:charts"

// world is what a round works on.
type world struct {
	org     string
	role    string
	titles  []string // users
	people  []string // users who become members
	groups  []string // one for each set
	history *history.History
}

func setKey(set int) string           { return fmt.Sprintf("group-%d", set+1) }
func titleKey(title int) string       { return fmt.Sprintf("title-%d", title+1) }
func (w *world) setOf(set int) string { return "/api/v1/groups/" + w.groups[set] + "/members" }

// newWorld makes the round's users and groups. Nothing is wrong yet, so it must work.
func newWorld(ctx context.Context, a *api, org, role string, round int) (*world, error) {
	w := &world{org: org, role: role, history: history.New()}
	make := func(path string, in map[string]any) (string, error) {
		var made struct{ ID string }
		_, err := a.call(ctx, http.MethodPost, path, false, in, &made)
		return made.ID, err
	}
	for i := range registers + members {
		name := fmt.Sprintf("r%d-u%d@chaos.example", round, i)
		id, err := make("/api/v1/users", map[string]any{"org_id": org, "user_name": name, "email": name, "display_name": name})
		if err != nil {
			return nil, fmt.Errorf("user: %w", err)
		}
		if i < registers {
			w.titles = append(w.titles, id)
		} else {
			w.people = append(w.people, id)
		}
	}
	for i := range sets {
		id, err := make("/api/v1/groups", map[string]any{"org_id": org, "name": fmt.Sprintf("r%d-g%d", round, i)})
		if err != nil {
			return nil, fmt.Errorf("group: %w", err)
		}
		w.groups = append(w.groups, id)
	}
	_, err := a.call(ctx, http.MethodPost, "/api/v1/groups/"+w.groups[0]+"/roles", false, map[string]string{"role_id": role}, nil)
	return w, err
}

// work sends operations from all clients until the context ends.
func (w *world) work(ctx context.Context, nodes []*api, seed uint64) {
	var all sync.WaitGroup
	for client := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				// What has been sent is waited for: its fate is what is checked.
				if w.one(context.WithoutCancel(ctx), nodes[random.IntN(len(nodes))], client, n, random) != done {
					select {
					case <-time.After(pause):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	all.Wait()
}

// one sends one operation. Members of the second set are only added, so that the end
// shows whether one was lost.
func (w *world) one(ctx context.Context, a *api, client, n int, random *rand.Rand) fate {
	title, member, set := random.IntN(registers), random.IntN(members), random.IntN(sets)
	switch dice := random.IntN(10); {
	case dice < 3:
		call := history.Call{Kind: history.Write, Key: titleKey(title), Value: fmt.Sprintf("c%d-%d", client, n)}
		return w.change(ctx, a, client, call, http.MethodPatch, "/api/v1/users/"+w.titles[title], map[string]string{"title": call.Value})
	case dice < 6:
		return w.readTitle(ctx, a, client, title)
	case dice < 7:
		call := history.Call{Kind: history.Add, Key: setKey(set), Member: member}
		return w.change(ctx, a, client, call, http.MethodPost, w.setOf(set), map[string]string{"user_id": w.people[member]})
	case dice < 8 && set == 0:
		call := history.Call{Kind: history.Remove, Key: setKey(0), Member: member}
		return w.change(ctx, a, client, call, http.MethodDelete, w.setOf(0)+"/"+w.people[member], nil)
	case dice < 9:
		return w.list(ctx, a, client, set)
	}
	return w.check(ctx, a, client, member)
}

func (w *world) change(ctx context.Context, a *api, client int, call history.Call, method, path string, in any) fate {
	pending := w.history.Begin(client, call)
	fate, _ := a.call(ctx, method, path, false, in, nil)
	switch fate {
	case done:
		pending.Answered(history.Answer{})
	case unknown:
		pending.Unknown()
	}
	return fate
}

func (w *world) readTitle(ctx context.Context, a *api, client, title int) fate {
	pending := w.history.Begin(client, history.Call{Kind: history.Read, Key: titleKey(title)})
	var user struct{ Title string }
	fate, _ := a.call(ctx, http.MethodGet, "/api/v1/users/"+w.titles[title], true, nil, &user)
	if fate == done {
		pending.Answered(history.Answer{Value: user.Title})
	}
	return fate
}

func (w *world) list(ctx context.Context, a *api, client, set int) fate {
	pending := w.history.Begin(client, history.Call{Kind: history.List, Key: setKey(set)})
	var answer struct{ Members []struct{ ID string } }
	fate, _ := a.call(ctx, http.MethodGet, w.setOf(set)+"?limit=100", true, nil, &answer)
	if fate != done {
		return fate
	}
	var bitmap uint64
	for _, m := range answer.Members {
		for i, id := range w.people {
			if id == m.ID {
				bitmap |= 1 << i
			}
		}
	}
	pending.Answered(history.Answer{Members: bitmap})
	return done
}

func (w *world) check(ctx context.Context, a *api, client, member int) fate {
	pending := w.history.Begin(client, history.Call{Kind: history.Has, Key: setKey(0), Member: member})
	var answer struct{ Allowed bool }
	fate, _ := a.call(ctx, http.MethodPost, "/api/v1/check", true, map[string]string{"user_id": w.people[member], "permission": permission}, &answer)
	if fate == done {
		pending.Answered(history.Answer{Has: answer.Allowed})
	}
	return fate
}

// settle reads everything once more at every node, when nothing is wrong any more.
// Each of these reads must be answered, and takes part in the search for an order.
func (w *world) settle(ctx context.Context, nodes []*api) error {
	for n, a := range nodes {
		for title := range registers {
			if w.readTitle(ctx, a, n, title) != done {
				return fmt.Errorf("node-%d does not answer after the faults", n+1)
			}
		}
		for set := range sets {
			if w.list(ctx, a, n, set) != done {
				return fmt.Errorf("node-%d does not answer after the faults", n+1)
			}
		}
		for member := range members {
			if w.check(ctx, a, n, member) != done {
				return fmt.Errorf("node-%d does not answer after the faults", n+1)
			}
		}
	}
	return nil
}

// lost counts acknowledged members of the set that only grows who are not there.
func (w *world) lost(ctx context.Context, a *api) (int, error) {
	var answer struct{ Members []struct{ ID string } }
	if _, err := a.call(ctx, http.MethodGet, w.setOf(1)+"?limit=100", true, nil, &answer); err != nil {
		return 0, err
	}
	there := uint64(0)
	for _, m := range answer.Members {
		for i, id := range w.people {
			if strings.EqualFold(id, m.ID) {
				there |= 1 << i
			}
		}
	}
	return bits.OnesCount64(w.history.Added(setKey(1)) &^ there), nil
}
