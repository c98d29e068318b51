package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/authfi/authfi/dev"
)

// Sizes of the freshness measurement.
const (
	freshRounds    = 5
	freshQuestions = 300 // of random members, after each write on each node
)

// freshness gives a role to a group that everybody is in, and takes it away, and
// asks at once: the node that answered without a condition, the others for the
// index of the answer.
func freshness(ctx context.Context, r *report, c *cluster, in *imported) error {
	operator := c.operator()
	group, err := operator.create(ctx, "/api/v1/groups", map[string]string{"org_id": in.org, "name": "everybody"})
	if err != nil {
		return err
	}
	if err := addMembers(ctx, operator, group, in.users); err != nil {
		return err
	}
	role, err := operator.create(ctx, "/api/v1/roles", map[string]any{"org_id": in.org, "name": "fresh", "permissions": []string{freshPermission}})
	if err != nil {
		return err
	}
	f := &freshRun{cluster: c, in: in, random: rand.New(rand.NewPCG(5, 5)), group: group, role: role}
	for round := range freshRounds {
		for _, given := range []bool{true, false} {
			if err := f.change(ctx, round%dev.Nodes, given); err != nil {
				return err
			}
		}
	}
	asked := 2 * freshRounds * freshQuestions
	how := fmt.Sprintf("A role given to a group of %d members, and taken away, %d times each: answers that are not yet, of %d checks of random members, %%s.", len(in.users), freshRounds, asked)
	r.add("stale_checks_same_node", "checks", fmt.Sprintf(how, "on the node that answered the write, at once"), []float64{float64(f.stale[0])})
	how = fmt.Sprintf(how, fmt.Sprintf("on each of the %d other nodes, with the X-Authfi-Index of the answer", dev.Nodes-1))
	r.add("stale_checks_other_nodes", "checks", how, []float64{float64(f.stale[1])})
	r.add("role_change_100k_members_p50_ms", "ms", fmt.Sprintf("p50 of these %d writes, durable on two of three nodes.", len(f.took)), []float64{quantile(f.took, 0.5)})
	return nil
}

const freshPermission = "read:fresh"

type freshRun struct {
	cluster     *cluster
	in          *imported
	random      *rand.Rand
	group, role string
	took        []float64
	stale       [2]int // on the node that answered, on the others
}

func (f *freshRun) change(ctx context.Context, node int, given bool) error {
	at := f.cluster.node(node)
	began := time.Now()
	var err error
	var index string
	path := "/api/v1/groups/" + f.group + "/roles"
	if given {
		index, err = at.send(ctx, http.MethodPost, path, map[string]string{"role_id": f.role}, nil)
	} else {
		index, err = at.send(ctx, http.MethodDelete, path+"/"+f.role, nil, nil)
	}
	if err != nil {
		return err
	}
	f.took = append(f.took, millis(time.Since(began)))
	if index == "" {
		return fmt.Errorf("%s: the answer has no %s", path, headerIndex)
	}
	for other := range dev.Nodes {
		asked := *f.cluster.node((node + other) % dev.Nodes)
		if other > 0 {
			asked.index = index
		}
		for range freshQuestions {
			var answer struct{ Allowed bool }
			question := map[string]string{"user_id": f.in.users[f.random.IntN(len(f.in.users))], "permission": freshPermission}
			if _, err := asked.send(ctx, http.MethodPost, "/api/v1/check", question, &answer); err != nil {
				return err
			}
			if answer.Allowed != given {
				f.stale[min(other, 1)]++
			}
		}
	}
	return nil
}
