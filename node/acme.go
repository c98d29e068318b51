package node

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/authfi/authfi/node/acme"
	"github.com/prometheus/client_golang/prometheus"
)

// methodACME is a question of the certificate of the API: challenges, and the
// certificate itself.
const methodACME = "node.acme"

// acmeAgent names this program to a certification authority.
const acmeAgent = "authfi"

// openACME takes the certificate that is there; without the setting there is none.
func (n *Node) openACME() {
	settings := n.cfg.Certificate.ACME
	if !settings.Enabled() {
		return
	}
	n.acme = acme.Open(acme.Config{
		Settings: settings, File: filepath.Join(n.cfg.Dir, acme.FileName), Ring: n.ring,
		Leads: n.cluster.IsLeader, Ask: n.askACME, Log: n.log, Agent: acmeAgent,
	})
	n.cluster.Handle(methodACME, n.acme.ServePeer)
	n.expires["acme"] = func() time.Time { return n.acme.Standing().Ends }
}

// askACME asks every other member at once. One that does not answer, or has no such
// certificate to keep, says nothing.
func (n *Node) askACME(ctx context.Context, question []byte) (answers [][]byte) {
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	for _, m := range n.cluster.Members() {
		if m.ID == n.cfg.NodeID {
			continue
		}
		all.Go(func() {
			answer, err := n.cluster.Call(ctx, m.ID, methodACME, question)
			if err != nil {
				n.log.Debug("a node does not say what it knows of the certificate by ACME", "peer", m.ID, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer)
		})
	}
	all.Wait()
	return answers
}

var (
	acmeFailures = prometheus.NewDesc("authfi_acme_failures", "Orders of a certificate by ACME that have failed since the last one that did not.", nil, nil)
	acmeMissing  = prometheus.NewDesc("authfi_acme_missing", "1 while clients are shown the certificate of the cluster's CA for want of the one by ACME.", nil, nil)
)

// acmeStanding is how it stands with the certificate by ACME, when it is scraped; without
// the setting nothing fails and nothing is missing.
type acmeStanding struct{ n *Node }

// Describe implements prometheus.Collector.
func (acmeStanding) Describe(out chan<- *prometheus.Desc) { out <- acmeFailures; out <- acmeMissing }

// Collect implements prometheus.Collector.
func (a acmeStanding) Collect(out chan<- prometheus.Metric) {
	var failures, missing float64
	if a.n.acme != nil {
		s := a.n.acme.Standing()
		failures, missing = float64(s.Failures), oneIf(s.Missing(time.Now()))
	}
	out <- prometheus.MustNewConstMetric(acmeFailures, prometheus.GaugeValue, failures)
	out <- prometheus.MustNewConstMetric(acmeMissing, prometheus.GaugeValue, missing)
}

// acmeWarning says that an order has failed, and what clients see meanwhile.
func acmeWarning(s acme.Standing, now time.Time) string {
	switch {
	case s.Failures > 0:
		return "no certificate by ACME could be had, and clients see " + s.Shown(now) + ": " + s.LastError
	case s.Missing(now):
		return "there is no certificate by ACME yet, and clients see " + s.Shown(now)
	}
	return ""
}

// acmeFinding is read from the disk: the doctor has no keyring.
func acmeFinding(c Config, now time.Time) Finding {
	const check = "certificate by ACME"
	s, err := acme.StandingOf(filepath.Join(c.Dir, acme.FileName))
	if err != nil {
		return failed(check, err, "remove the file and start the node: another certificate is ordered")
	}
	made := Finding{Check: check, State: StateOK, Detail: "until " + s.Ends.UTC().Format(time.DateOnly) + ", renewed on " + s.RenewAt.UTC().Format(time.DateOnly)}
	if s.Missing(now) {
		made.State, made.Detail = StateFailed, "there is none, and clients see that of the cluster's CA"
		made.Advice = "start the node: it orders one"
	}
	if s.Failures == 0 {
		return made
	}
	if made.State == StateOK {
		made.State = StateWarning
	}
	made.Detail += ": " + s.LastError
	made.Advice = "mend that, then start the node anew: it tries at " + s.Next.UTC().Format(time.DateTime) + " UTC, or a quarter of an hour after the last time"
	return made
}
