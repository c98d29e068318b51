package enforce

import (
	"cmp"
	"slices"
	"sync"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
)

// Followed is one address and the policies that decide there.
type Followed struct {
	Listen  string
	Org     directory.OrgID
	Service directory.ServiceID
	Name    string // of the service
	Version uint64 // of the policies
	Routes  []string
	DryRun  bool
	Closed  bool // the policies do not compile here: everything is refused
}

// following is what the tables were filled with.
type following struct {
	mu        sync.Mutex
	addresses map[string]Followed // guarded by mu
}

func (f *following) set(one Followed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.addresses == nil {
		f.addresses = map[string]Followed{}
	}
	f.addresses[one.Listen] = one
}

func (f *following) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addresses = nil
}

func (f *following) forget(listen string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.addresses, listen)
}

// all are sorted by the name of the service, and then by address.
func (f *following) all() []Followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Followed, 0, len(f.addresses))
	for _, one := range f.addresses {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Followed) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Service[:], b.Service[:]), cmp.Compare(a.Listen, b.Listen))
	})
	return all
}

func followed(org directory.OrgID, s *directory.Service, listen string, closed bool) Followed {
	one := Followed{Listen: listen, Org: org, Service: s.ID, Name: s.Name, Version: s.PolicyVersion, DryRun: s.DryRun && !closed, Closed: closed}
	routes := serviceOf(s).Routes
	for i := range routes {
		one.Routes = append(one.Routes, routes[i].String())
	}
	return one
}

// compiled is the program of a service. Policies are compiled before they are
// proposed; what does not compile here closes its service, dry run or not: the empty
// program refuses.
func compiled(s *directory.Service, org uint32, numbers *policy.Numbering) (program *policy.Program, closed bool, err error) {
	whole := serviceOf(s)
	if program, err = whole.Compile(org, numbers); err == nil {
		return program, false, nil
	}
	program, err = (&policy.Service{Version: s.PolicyVersion}).Compile(org, numbers)
	return program, true, err
}

// serviceOf is a service as the compiler takes it.
func serviceOf(s *directory.Service) *policy.Service {
	out := &policy.Service{
		Version: s.PolicyVersion, FoldCase: s.FoldCase, FoldSlash: s.FoldSlash, DryRun: s.DryRun,
		Routes: make([]policy.Route, len(s.Policies)),
	}
	for i, r := range s.Policies {
		out.Routes[i] = policy.Route{
			Methods: r.Methods, Path: r.Path, Roles: r.Roles, RolesAll: r.RolesAll,
			Permissions: texts(r.Permissions), PermissionsAny: texts(r.PermissionsAny),
			MFA: r.MFA, Public: r.Public, Upgrade: r.Upgrade, GetBody: r.GetBody,
		}
	}
	return out
}

func texts(permissions []directory.Permission) (all []string) {
	for _, p := range permissions {
		all = append(all, string(p))
	}
	return all
}
