package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// WritePolicies replaces the route policies of a service as one change, and makes
// the next version of them. Whoever proposes has compiled them: the machine keeps
// them and does not read them.
type WritePolicies struct {
	Service   directory.ServiceID     `cbor:"1,keyasint"`
	Policies  []directory.RoutePolicy `cbor:"2,keyasint"`
	FoldCase  *bool                   `cbor:"3,keyasint,omitempty"` // nil: as it is
	FoldSlash *bool                   `cbor:"4,keyasint,omitempty"` // nil: as it is
	IfVersion directory.Index         `cbor:"5,keyasint,omitempty"`
}

func (*WritePolicies) Kind() Kind { return KindWritePolicies }

func (c *WritePolicies) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	s, err := serviceAt(tx, c.Service, c.IfVersion)
	if err != nil {
		return Outcome{}, err
	}
	if len(c.Policies) > directory.RoutesPerServiceMax {
		return Outcome{}, directory.Invalid("policies", "more than %d routes", directory.RoutesPerServiceMax)
	}
	s.Policies = c.Policies
	if c.FoldCase != nil {
		s.FoldCase = *c.FoldCase
	}
	if c.FoldSlash != nil {
		s.FoldSlash = *c.FoldSlash
	}
	s.PolicyVersion++
	s.Modified, s.Version = env.Now, e.index
	tx.PutService(&s)
	e.event(directory.ServiceUpdated, s.ID, "%s: %d route policies, version %d", s.Name, len(s.Policies), s.PolicyVersion)
	e.row(directory.RowService, s.ID)
	return changed(s.ID)
}

// SetDryRun begins or ends the dry run of a service: while it lasts, what would be
// refused is counted and let through. It opens the service, so it is an owner's or an
// operator's explicit act, and no part of another.
type SetDryRun struct {
	Service   directory.ServiceID `cbor:"1,keyasint"`
	On        bool                `cbor:"2,keyasint"`
	IfVersion directory.Index     `cbor:"3,keyasint,omitempty"`
}

func (*SetDryRun) Kind() Kind { return KindSetDryRun }

func (c *SetDryRun) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	s, err := serviceAt(tx, c.Service, c.IfVersion)
	if err != nil {
		return Outcome{}, err
	}
	if user, delegated := delegate(tx, env); delegated && !holds(tx, env, user, directory.ManageOrganization) {
		return Outcome{}, directory.Denied("a dry run opens the service: only an owner or an operator begins and ends it")
	}
	if s.DryRun == c.On {
		return unchanged(s.ID)
	}
	s.DryRun, s.Modified, s.Version = c.On, env.Now, e.index
	tx.PutService(&s)
	detail := "%s: the dry run has ended, what is not allowed is refused"
	if c.On {
		detail = "%s: a dry run has begun, nothing is refused"
	}
	e.event(directory.ServiceUpdated, s.ID, detail, s.Name)
	e.row(directory.RowService, s.ID)
	return changed(s.ID)
}

// serviceAt is a copy of a service that has this version, if one is demanded.
func serviceAt(tx *state.OrgTx, id directory.ServiceID, version directory.Index) (directory.Service, error) {
	s, ok := tx.Service(id)
	if !ok {
		return directory.Service{}, directory.NotFound("service")
	}
	if version != 0 && version != s.Version {
		return directory.Service{}, directory.Precondition("version", "the service has changed since it was read")
	}
	return *s, nil
}
