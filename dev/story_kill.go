package dev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Shape of the last step: writers that create users through one surviving node
// while the leader is killed under them.
const (
	killWriters = 8
	killBefore  = 24 // acknowledged creations before the leader is killed
	killAfter   = 48 // further ones before the step looks at the damage
	killWait    = 30 * time.Second
)

// run counts the creations that a survivor acknowledged.
type run struct {
	mu           sync.Mutex
	acknowledged []string // ids
	refused      int
	lastGap      time.Time
	longest      time.Duration
	reached      chan struct{} // closed at killBefore
	done         chan struct{} // closed at killBefore+killAfter
}

func (s *story) killLeader(ctx context.Context) (string, error) {
	leader, err := s.leader(ctx)
	if err != nil {
		return "", err
	}
	survivor := (leader + 1) % Nodes
	scim := entra{newClient(s.API(survivor)+"/scim/v2/"+s.org.Slug, s.entra.scim.token, s.http)}
	r := &run{lastGap: time.Now(), reached: make(chan struct{}), done: make(chan struct{})}
	writing, stop := context.WithTimeout(ctx, killWait)
	defer stop()
	var writers sync.WaitGroup
	for w := range killWriters {
		writers.Go(func() { r.write(writing, scim, w) })
	}
	select {
	case <-r.reached:
	case <-writing.Done():
		stop()
		writers.Wait()
		return "", errors.New("writes do not get through before the kill")
	}
	if err := s.Kill(leader); err != nil {
		return "", err
	}
	select {
	case <-r.done:
	case <-writing.Done():
	}
	stop()
	writers.Wait()
	return s.damage(ctx, leader, r)
}

func (s *story) leader(ctx context.Context) (int, error) {
	status, err := s.status(ctx, 0)
	if err != nil {
		return 0, err
	}
	for i := range Nodes {
		if status.Leader == fmt.Sprintf("node-%d", i+1) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("leader is %q", status.Leader)
}

// write creates users one after the other until the run is done. A creation
// that was not acknowledged is counted and not repeated: whether it happened is
// nobody's promise.
func (r *run) write(ctx context.Context, scim entra, writer int) {
	stamp := time.Now().UnixNano()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-r.done:
			return
		default:
		}
		id, err := scim.user(ctx, fmt.Sprintf("staff-%d-%d-%d", stamp, writer, n))
		r.count(id, err)
	}
}

func (r *run) count(id string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.refused++
		return
	}
	now := time.Now()
	r.longest = max(r.longest, now.Sub(r.lastGap))
	r.lastGap = now
	r.acknowledged = append(r.acknowledged, id)
	switch len(r.acknowledged) {
	case killBefore:
		close(r.reached)
	case killBefore + killAfter:
		close(r.done)
	}
}

// damage looks for every acknowledged user on every node, the killed one after
// its restart included.
func (s *story) damage(ctx context.Context, killed int, r *run) (string, error) {
	r.mu.Lock()
	acknowledged, refused, longest := r.acknowledged, r.refused, r.longest
	r.mu.Unlock()
	if len(acknowledged) < killBefore+killAfter {
		return "", fmt.Errorf("only %d writes acknowledged, %d refused, after the leader was killed", len(acknowledged), refused)
	}
	if err := s.startNode(ctx, killed); err != nil {
		return "", err
	}
	for i := range Nodes {
		lost, err := s.missing(ctx, i, acknowledged)
		if err != nil {
			return "", fmt.Errorf("node-%d: %w", i+1, err)
		}
		if lost != 0 {
			return "", fmt.Errorf("node-%d has lost %d of %d acknowledged users", i+1, lost, len(acknowledged))
		}
	}
	return fmt.Sprintf("node-%d killed; %d users acknowledged, %d not, 0 lost on any node; longest gap between acknowledgements %d ms",
		killed+1, len(acknowledged), refused, longest.Milliseconds()), nil
}

// missing asks by SCIM, whose reads are linearizable.
func (s *story) missing(ctx context.Context, node int, ids []string) (lost int, err error) {
	scim := newClient(s.API(node)+"/scim/v2/"+s.org.Slug, s.entra.scim.token, s.http)
	for _, id := range ids {
		var answer *answerError
		err := scim.do(ctx, http.MethodGet, "/Users/"+id, nil, nil)
		if errors.As(err, &answer) && answer.Status == http.StatusNotFound {
			lost++
			continue
		}
		if err != nil {
			return lost, err
		}
	}
	return lost, nil
}
