package node

import (
	"net"
	"net/http"
	"time"

	"github.com/authfi/authfi/api"
	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/api/authzen"
	"github.com/authfi/authfi/api/eventstream"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/api/scim"
	"github.com/authfi/authfi/api/watch"
)

// handler puts the dialects together.
func (n *Node) handler() (http.Handler, error) {
	n.figures = n.metrics()
	n.watcher = watch.New(n.gate, n.feed.Wait, n.tokens.Heartbeat, n.log)
	procedures, err := admin.New(admin.Config{
		Gate: n.gate, Sessions: n.sessions, Ring: n.ring, Issuer: n.cfg.Issuer, Log: n.log,
		Resolver: &net.Resolver{PreferGo: true}, // the machine's own name servers
		Status:   n.status, Enforcement: n.enforcement, JoinToken: n.createJoinToken, Latency: n.latencies,
		Journals: n.journals, CheckIssuer: n.issuers.Check,
		Backup: n.backup, RemoveMember: n.removeMember, Leave: n.leave, Builds: n.builds,
		Authority: n.authority, Authorities: n.authorities, NextAuthority: n.nextAuthority,
		Beside: []rest.Service{n.watcher.Service()},
	})
	if err != nil {
		return nil, err
	}
	roots, err := n.cfg.Push.roots()
	if err != nil {
		return nil, err
	}
	n.streams = eventstream.New(eventstream.Config{
		Gate: n.gate, Tokens: n.tokens, Ring: n.ring, Issuer: n.cfg.Issuer, Wait: n.feed.Wait, Log: n.log,
		Private: n.cfg.Push.Private, Roots: roots,
	})
	return api.New(api.Handlers{
		SCIM: scim.New(scim.Config{
			Gate: n.gate, Ring: n.ring, Base: func(*http.Request) string { return n.cfg.Issuer }, Journal: n.journal, Log: n.log,
		}),
		REST:    procedures,
		OIDC:    login.Handler(n.gate, n.tokens, n.sessions, n.cfg.signIn()),
		AuthZEN: authzen.New(authzen.Config{Gate: n.gate, Ring: n.ring, Issuer: n.cfg.Issuer, Log: n.log}),
		Events:  n.watcher.Events(),
		Polls:   n.streams,
		Health:  api.Health{Ready: n.ready, Leads: n.cluster.IsLeader, Leaving: n.draining.Load},
		Metrics: n.figures,
	}, n.log), nil
}

func (n *Node) status() admin.Status {
	leader, _ := n.cluster.Leader()
	s := admin.Status{NodeID: n.cfg.NodeID, Leader: leader}
	for _, m := range n.cluster.Members() {
		s.Members = append(s.Members, admin.Member{ID: m.ID, Address: m.Address, Voter: m.Voter})
	}
	if n.acme != nil {
		if warning := acmeWarning(n.acme.Standing(), time.Now()); warning != "" {
			s.Warnings = append(s.Warnings, warning)
		}
	}
	return s
}
