package policy

// Decision is a verdict with what it followed from.
type Decision struct {
	Reason  Reason
	Route   int    // index of the route that decided, NoRoute when none did
	Version uint64 // of the policies
	DryRun  bool   // the service refuses nothing
}

// NoRoute is the index of no route.
const NoRoute = -1

// Lets reports whether the request goes through.
func (d Decision) Lets() bool { return d.Reason.Allows() || d.DryRun }

// Decide is Verdict with the route and the version that it followed from.
func Decide(p *Program, f Flow, t Tables, nowNs, leaseNs uint64) Decision {
	return p.Name(f, Verdict(p, f, t, nowNs, leaseNs))
}

// Name says what a verdict on a flow of this program followed from.
func (p *Program) Name(f Flow, reason Reason) Decision {
	return Decision{Reason: reason, Route: p.Route(f), Version: p.Version(), DryRun: p.DryRun()}
}

// Route is the index of the route that decides a flow, NoRoute when none does.
func (p *Program) Route(f Flow) int {
	if p == nil || int(f.State) >= len(p.deciding) || f.Method < 0 || f.Method >= methodSlots {
		return NoRoute
	}
	return int(p.deciding[f.State][f.Method]) - 1
}

// Routes is how many routes the program was made of.
func (p *Program) Routes() int {
	if p == nil {
		return 0
	}
	return p.routes
}

// Version is that of the policies that the program was made of.
func (p *Program) Version() uint64 {
	if p == nil {
		return 0
	}
	return p.version
}

// DryRun reports whether the service lets through what would be refused. No
// program refuses.
func (p *Program) DryRun() bool { return p != nil && p.dryRun }
