package node

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the node's figures for Prometheus. No label comes from a request.
func (n *Node) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), n.expires)
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "authfi", Name: name, Help: help}, value))
	}
	gauge("applied_index", "Index of this node's state.", func() float64 { return float64(n.machine.Applied()) })
	gauge("enforced_index", "Index that this node's enforcement tables reflect.", func() float64 { return float64(n.enforcer.Enforced()) })
	gauge("leader", "1 on the node that believes to lead.", func() float64 { return oneIf(n.cluster.IsLeader()) })
	gauge("organizations", "Organizations in the state.", func() float64 { return float64(n.machine.Root().Organizations()) })
	gauge("pinned_states", "States of organizations that lists in progress are read from.", func() float64 {
		pinned, _ := n.gate.Pins()
		return float64(pinned)
	})
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "authfi", Name: "pinned_states_dropped_total", Help: "Those that newer ones pushed out before their time.",
	}, func() float64 {
		_, dropped := n.gate.Pins()
		return float64(dropped)
	}))
	gauge("feed_streams", "Streams of the change feed that are open on this node.", func() float64 { return float64(n.watcher.Streams()) })
	registry.MustRegister(verdicts{n}, decisions{n}, standing{n}, acmeStanding{n})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// verdicts reads the gate's counters when it is scraped.
type verdicts struct{ n *Node }

var verdictsDesc = prometheus.NewDesc("authfi_gate_total", "Verdicts by reason and the gate's own counts.", []string{"what"}, nil)

// Describe implements prometheus.Collector.
func (verdicts) Describe(out chan<- *prometheus.Desc) { out <- verdictsDesc }

// Collect implements prometheus.Collector.
func (v verdicts) Collect(out chan<- prometheus.Metric) {
	counters, _, _, err := v.n.enforcer.gate.Report()
	if err != nil {
		out <- prometheus.NewInvalidMetric(verdictsDesc, err)
		return
	}
	for what, count := range counters {
		out <- prometheus.MustNewConstMetric(verdictsDesc, prometheus.CounterValue, float64(count), what)
	}
}
