package journal

import "net/http"

// When Entra puts a provisioning job into quarantine, by Microsoft's "Application
// provisioning in quarantine status" (application-provisioning-quarantine-status):
// at once when the credentials are refused or the test query is answered with 404,
// and otherwise by these figures. It then tries more and more rarely, at last once a
// day, and switches the job off after 28 days.
const (
	// QuarantineFailuresMin is how many failures it takes before anything else is
	// looked at.
	QuarantineFailuresMin = 5_000
	// QuarantinePercent is the share of failed operations above which a job is
	// quarantined. Failures of references do not count.
	QuarantinePercent = 40
	// QuarantineFailuresMax is how many failures quarantine a job whatever their share,
	// without those of references.
	QuarantineFailuresMax = 40_000
	// QuarantineAllMax is the same with those of references.
	QuarantineAllMax = 60_000
)

// Reason is the rule by which a connection would be quarantined; empty: none.
type Reason string

// The rules, in the order in which they are looked at.
const (
	ReasonCredentials Reason = "credentials"  // the last token that was shown was refused
	ReasonNotFound    Reason = "not_found"    // the last test query was answered with 404
	ReasonFailures    Reason = "failures"     // more than QuarantineFailuresMax
	ReasonAllFailures Reason = "all_failures" // more than QuarantineAllMax
	ReasonPercent     Reason = "percent"      // more than QuarantinePercent
)

// FailedPercent is the share of failures without those of references.
func (s State) FailedPercent() float64 {
	if s.Window.Requests() == 0 {
		return 0
	}
	return 100 * float64(s.Window.Failures()-s.Window.Reference) / float64(s.Window.Requests())
}

// Quarantined says by which rule Entra would put the connection into quarantine. The
// figures are those of the window; Entra counts what it calls operations in a cycle,
// of which a request is the nearest that a server sees.
func (s State) Quarantined() Reason {
	all, own := s.Window.Failures(), s.Window.Failures()-s.Window.Reference
	switch {
	case s.LastRefused.After(s.LastRequest):
		return ReasonCredentials
	case s.ProbeStatus == http.StatusNotFound:
		return ReasonNotFound
	case all < QuarantineFailuresMin:
		return ""
	case own > QuarantineFailuresMax:
		return ReasonFailures
	case all > QuarantineAllMax:
		return ReasonAllFailures
	case s.FailedPercent() > QuarantinePercent:
		return ReasonPercent
	}
	return ""
}
