package node

import (
	"slices"
	"strconv"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node/enforce"
	"github.com/prometheus/client_golang/prometheus"
)

// Modes of a service on a node.
const (
	serviceEnforced = "enforced"
	serviceDryRun   = "dry_run" // nothing is refused
	serviceClosed   = "closed"  // everything is
)

func modeOf(f *enforce.Followed) string {
	switch {
	case f.Closed:
		return serviceClosed
	case f.DryRun:
		return serviceDryRun
	}
	return serviceEnforced
}

// services are what this node enforces, with what it has decided: the addresses of a
// service together.
func (e *enforcer) services() (all []admin.ServiceEnforcement) {
	tallies := e.gate.Seen().Tallies()
	for _, f := range e.Followed() {
		if n := len(all); n == 0 || all[n-1].Service != f.Service {
			all = append(all, admin.ServiceEnforcement{
				Service: f.Service, Org: f.Org, Name: f.Name, Mode: modeOf(&f), PolicyVersion: f.Version,
				Verdicts: map[string]uint64{}, Routes: routesOf(&f, tallies[f.Listen]),
			})
		}
		s := &all[len(all)-1]
		s.Listen = append(s.Listen, f.Listen)
		add(s, tallies[f.Listen])
	}
	return all
}

// routesOf has a row for each route, if the gate counts them.
func routesOf(f *enforce.Followed, t enforce.Tally) []admin.RouteHits {
	if t.Routes == nil {
		return nil
	}
	hits := make([]admin.RouteHits, len(f.Routes))
	for i, text := range f.Routes {
		hits[i].Policy = text
	}
	return hits
}

func add(s *admin.ServiceEnforcement, t enforce.Tally) {
	for reason, n := range t.Reasons {
		if n > 0 {
			s.Verdicts[policy.Reason(reason).String()] += n
		}
	}
	s.LetThrough += t.LetThrough
	s.Refused += t.Refused
	s.WouldRefuse += t.WouldRefuse
	if t.Version != s.PolicyVersion || len(t.Routes) != len(s.Routes) {
		return // of the policies before, for a moment
	}
	for i, r := range t.Routes {
		s.Routes[i].LetThrough += r.LetThrough
		s.Routes[i].Refused += r.Refused
	}
}

// refusals are the newest of this node. The text of a route is known as long as the
// policies are those that decided.
func (e *enforcer) refusals() (all []admin.Refusal) {
	followed := e.Followed()
	for _, r := range e.gate.Seen().Refusals() {
		one := admin.Refusal{
			Time: r.Time, Seq: r.Seq, Method: r.Method, Reason: r.Decision.Reason.String(),
			Version: r.Decision.Version, User: directory.UserID(r.Subject), DryRun: r.Decision.DryRun,
		}
		if i := slices.IndexFunc(followed, func(f enforce.Followed) bool { return f.Listen == r.Listen }); i >= 0 {
			f := followed[i]
			one.Org, one.Service, one.Name = f.Org, f.Service, f.Name
			if route := r.Decision.Route; route >= 0 && route < len(f.Routes) && r.Decision.Version == f.Version {
				one.Policy = f.Routes[route]
			}
		}
		all = append(all, one)
	}
	return all
}

// dryRunLine names the services that refuse nothing; empty: none.
func dryRunLine(services []admin.ServiceEnforcement) (line string) {
	for _, s := range services {
		if s.Mode != serviceDryRun {
			continue
		}
		if line != "" {
			line += ", "
		}
		line += s.Name
	}
	if line != "" {
		line = "DRY RUN, nothing is refused: " + line
	}
	return line
}

// decisions reads what the gate has decided when it is scraped. A series is a service
// and a reason, or a service and a route: both are of the organization's own writing
// and bounded by seriesMax, whatever requests come.
type decisions struct{ n *Node }

// seriesMax bounds the series of one node, by services in the order of their names:
// 1,000 organizations may each have 1,000 services of 500 routes.
const seriesMax = 10_000

var (
	verdictsOfService = prometheus.NewDesc("authfi_service_verdicts_total",
		"Verdicts by service and reason; in a dry run those that would be.", []string{"service_id", "mode", "reason"}, nil)
	hitsOfRoute = prometheus.NewDesc("authfi_service_route_hits_total",
		"Requests that a route of a service's policies decided, since this version of them.", []string{"service_id", "version", "route", "result"}, nil)
	dryRuns = prometheus.NewDesc("authfi_services_in_dry_run",
		"Services that refuse nothing on this node.", nil, nil)
	seriesLeftOut = prometheus.NewDesc("authfi_service_series_left_out",
		"Series of services that are beyond the bound of one node.", nil, nil)
)

// Describe implements prometheus.Collector.
func (decisions) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{verdictsOfService, hitsOfRoute, dryRuns, seriesLeftOut} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (d decisions) Collect(out chan<- prometheus.Metric) { collect(d.n.enforcer.services(), out) }

func collect(services []admin.ServiceEnforcement, out chan<- prometheus.Metric) {
	series, left, dry := 0, 0, 0
	send := func(desc *prometheus.Desc, n uint64, labels ...string) {
		if series++; series > seriesMax {
			left++
			return
		}
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	for _, s := range services {
		if s.Mode == serviceDryRun {
			dry++
		}
		id, version := s.Service.String(), strconv.FormatUint(s.PolicyVersion, 10)
		for reason, n := range s.Verdicts {
			send(verdictsOfService, n, id, s.Mode, reason)
		}
		for i, r := range s.Routes {
			if r.LetThrough > 0 {
				send(hitsOfRoute, r.LetThrough, id, version, strconv.Itoa(i), "let_through")
			}
			if r.Refused > 0 {
				send(hitsOfRoute, r.Refused, id, version, strconv.Itoa(i), "refused")
			}
		}
	}
	out <- prometheus.MustNewConstMetric(dryRuns, prometheus.GaugeValue, float64(dry))
	out <- prometheus.MustNewConstMetric(seriesLeftOut, prometheus.GaugeValue, float64(left))
}
