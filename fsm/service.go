package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// ServicesMax bounds the services of one organization.
const ServicesMax = 1000

// CreateService registers a protected service. It refuses everything until
// policies are set.
type CreateService struct {
	Service directory.Service `cbor:"1,keyasint"`
}

func (*CreateService) Kind() Kind { return KindCreateService }

func (c *CreateService) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	s := c.Service
	if err := directory.CheckText("name", s.Name, directory.NameMax, true); err != nil {
		return Outcome{}, err
	}
	if len(s.Listen) == 0 || len(s.Listen) > directory.ListenPerServiceMax {
		return Outcome{}, directory.Invalid("listen", "must name 1 to %d addresses", directory.ListenPerServiceMax)
	}
	if _, taken := tx.Service(s.ID); taken || s.ID.IsZero() {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if _, taken := tx.ServiceByName(s.Name); taken {
		return Outcome{}, directory.Conflict("name", "%q is taken", s.Name)
	}
	if tx.Services() >= ServicesMax {
		return Outcome{}, directory.Exhausted("services", "the organization has %d services", ServicesMax)
	}
	s.Created, s.Modified, s.Version = env.Now, env.Now, e.index
	tx.PutService(&s)
	e.event(directory.ServiceCreated, s.ID, "%s", s.Name)
	e.row(directory.RowService, s.ID)
	return changed(s.ID)
}

// SetPolicies is how policies were written before they had versions. It stays as it
// was, so that old entries do what they did; WritePolicies has its place.
type SetPolicies struct {
	Service   directory.ServiceID     `cbor:"1,keyasint"`
	Policies  []directory.RoutePolicy `cbor:"2,keyasint"`
	IfVersion directory.Index         `cbor:"3,keyasint,omitempty"`
}

func (*SetPolicies) Kind() Kind { return KindSetPolicies }

func (c *SetPolicies) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Service(c.Service)
	if !ok {
		return Outcome{}, directory.NotFound("service")
	}
	if c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the service has changed since it was read")
	}
	if len(c.Policies) > directory.RoutesPerServiceMax {
		return Outcome{}, directory.Invalid("policies", "more than %d routes", directory.RoutesPerServiceMax)
	}
	s := *old
	s.Policies, s.Modified, s.Version = c.Policies, env.Now, e.index
	tx.PutService(&s)
	e.event(directory.ServiceUpdated, s.ID, "%s: %d route policies", s.Name, len(s.Policies))
	e.row(directory.RowService, s.ID)
	return changed(s.ID)
}

// DeleteService ends the protection of a service: an administrator's explicit
// act.
type DeleteService struct {
	ID directory.ServiceID `cbor:"1,keyasint"`
}

func (*DeleteService) Kind() Kind { return KindDeleteService }

func (c *DeleteService) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	s, ok := tx.Service(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("service")
	}
	tx.DeleteService(s)
	e.event(directory.ServiceDeleted, s.ID, "%s", s.Name)
	e.row(directory.RowService, s.ID)
	return changed(s.ID)
}
