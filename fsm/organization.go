package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// CreateOrganization opens a new organization with its first signing key.
type CreateOrganization struct {
	Organization directory.Organization `cbor:"1,keyasint"`
	Key          directory.SigningKey   `cbor:"2,keyasint"`
}

func (*CreateOrganization) Kind() Kind { return KindCreateOrganization }

func (c *CreateOrganization) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	o := c.Organization
	if err := directory.CheckSlug(o.Slug); err != nil {
		return Outcome{}, err
	}
	if err := directory.CheckText("name", o.Name, directory.NameMax, true); err != nil {
		return Outcome{}, err
	}
	if o.ID.IsZero() || tx.HasOrganization(o.ID) {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if _, taken := tx.OrganizationBySlug(o.Slug); taken {
		return Outcome{}, directory.Conflict("slug", "%q is taken", o.Slug)
	}
	o.Status = directory.OrganizationActive
	if o.UserQuota == 0 {
		o.UserQuota = directory.DefaultUserQuota
	}
	o.Created, o.Modified, o.Version = env.Now, env.Now, e.index
	org := tx.CreateOrganization(&o)
	c.Key.State, c.Key.Created, c.Key.Version = directory.KeyActive, env.Now, e.index
	org.PutKey(&c.Key)
	env.Org = o.ID // the event and the delta belong to the new organization
	e.event(directory.OrganizationCreated, o.ID, "%s", o.Slug)
	e.row(directory.RowOrganization, o.ID)
	org.AppendEvent(&e.events[len(e.events)-1])
	return changed(o.ID)
}
