package node

import (
	"log/slog"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/prometheus/client_golang/prometheus"
)

// standing is how a node stands in its cluster and on its machine, read when it is
// scraped: what the alert rules go by. None of it waits for another node, so that a
// node without a quorum is scraped as fast as any.
type standing struct{ n *Node }

var (
	leaderKnown = prometheus.NewDesc("authfi_leader_known", "1 while this node follows a leader or leads.", nil, nil)
	voters      = prometheus.NewDesc("authfi_voters", "Members with a vote, as this node knows them.", nil, nil)
	nonVoters   = prometheus.NewDesc("authfi_nonvoters", "Members without a vote: they are joining.", nil, nil)
	term        = prometheus.NewDesc("authfi_term", "Term of the log; it grows with each election.", nil, nil)
	committed   = prometheus.NewDesc("authfi_commit_index", "Index up to which this node knows the log to be decided.", nil, nil)
	contactAge  = prometheus.NewDesc("authfi_leader_contact_age_seconds", "How long ago this node heard of its leader; 0 at the leader, and of a node that never has.", nil, nil)
	leaseLeft   = prometheus.NewDesc("authfi_enforcement_lease_seconds", "How long the gates of this node go on without hearing of the cluster; 0: they are closed.", nil, nil)
	diskFree    = prometheus.NewDesc("authfi_disk_free_bytes", "Free space of the data directory.", nil, nil)
	diskReserve = prometheus.NewDesc("authfi_disk_reserve_bytes", "Free space below which this node refuses writes.", nil, nil)
	quarantined = prometheus.NewDesc("authfi_connections_quarantined", "SCIM connections that the identity provider would put into quarantine, by what this node saw.", nil, nil)
	logLines    = prometheus.NewDesc("authfi_log_lines_total", "Lines that this node has logged.", []string{"level"}, nil)
)

// Describe implements prometheus.Collector.
func (standing) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		leaderKnown, voters, nonVoters, term, committed, contactAge, leaseLeft, diskFree, diskReserve, quarantined, logLines,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s standing) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	_, led := s.n.cluster.Leader()
	gauge(leaderKnown, oneIf(led))
	with, without := 0, 0
	for _, m := range s.n.cluster.Members() {
		if m.Voter {
			with++
		} else {
			without++
		}
	}
	gauge(voters, float64(with))
	gauge(nonVoters, float64(without))
	place := s.n.cluster.Place()
	gauge(term, float64(place.Term))
	gauge(committed, float64(place.Committed))
	gauge(contactAge, place.ContactAge.Seconds())
	if _, _, lease, err := s.n.enforcer.gate.Report(); err == nil {
		gauge(leaseLeft, leaseSeconds(lease, bpf.BootNow()))
	}
	if free, err := freeSpace(s.n.cfg.Dir); err == nil {
		gauge(diskFree, float64(free))
	}
	gauge(diskReserve, spaceReserve)
	bad := 0
	for _, t := range s.n.journal.Tallies(time.Now()) {
		if t.State.Quarantined() != "" {
			bad++
		}
	}
	gauge(quarantined, float64(bad))
	for level, name := range map[slog.Level]string{slog.LevelDebug: "debug", slog.LevelInfo: "info", slog.LevelWarn: "warn", slog.LevelError: "error"} {
		out <- prometheus.MustNewConstMetric(logLines, prometheus.CounterValue, float64(s.n.book.Count(level)), name)
	}
}

func leaseSeconds(lease, now uint64) float64 {
	if lease <= now {
		return 0
	}
	return time.Duration(lease - now).Seconds()
}

func oneIf(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
