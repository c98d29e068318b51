package fsm

import (
	"cmp"
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// CreateOrganization opens a new organization with its first signing key and
// the built-in roles, whose ids the proposer has made in the order of
// directory.BuiltinRoles.
type CreateOrganization struct {
	Organization directory.Organization `cbor:"1,keyasint"`
	Key          directory.SigningKey   `cbor:"2,keyasint"`
	Roles        []directory.RoleID     `cbor:"3,keyasint,omitempty"`
}

func (*CreateOrganization) Kind() Kind { return KindCreateOrganization }

func (c *CreateOrganization) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	o := c.Organization
	if err := directory.CheckSlug(o.Slug); err != nil {
		return Outcome{}, err
	}
	if err := checkOrganization(&o); err != nil {
		return Outcome{}, err
	}
	if o.ID.IsZero() || tx.HasOrganization(o.ID) {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if _, taken := tx.OrganizationBySlug(o.Slug); taken {
		return Outcome{}, directory.Conflict("slug", "%q is taken", o.Slug)
	}
	if o.UserQuota > directory.UserQuotaMax {
		return Outcome{}, directory.Invalid("user_quota", "more than %d", directory.UserQuotaMax)
	}
	if err := checkBuiltinIDs(c.Roles); err != nil {
		return Outcome{}, err
	}
	o.Status = directory.OrganizationActive
	if o.UserQuota == 0 {
		o.UserQuota = directory.UserQuotaDefault
	}
	o.Domains = claim(nil, o.Domains)
	o.Created, o.Modified, o.Version = env.Now, env.Now, e.index
	org := tx.CreateOrganization(&o)
	c.Key.State, c.Key.Created, c.Key.Version = directory.KeyActive, env.Now, e.index
	org.PutKey(&c.Key)
	if err := putBuiltinRoles(org, c.Roles, env, e); err != nil {
		return Outcome{}, err
	}
	env.Org = o.ID // the event and the delta belong to the new organization
	e.event(directory.OrganizationCreated, o.ID, "%s", o.Slug)
	e.row(directory.RowOrganization, o.ID)
	org.Log(e.events, env.Now) // the instance's own log gets it, too
	return changed(o.ID)
}

// checkBuiltinIDs: entries from before there were built-in roles carry none.
func checkBuiltinIDs(ids []directory.RoleID) error {
	if len(ids) != 0 && len(ids) != len(directory.BuiltinRoles()) {
		return directory.Invalid("roles", "must be one id for each built-in role")
	}
	for i, id := range ids {
		if id.IsZero() || slices.Contains(ids[:i], id) {
			return directory.Invalid("roles", "must be ids that differ")
		}
	}
	return nil
}

func putBuiltinRoles(org *state.OrgTx, ids []directory.RoleID, env *Envelope, e *effects) error {
	for i, id := range ids {
		builtin := directory.BuiltinRoles()[i]
		r := &directory.Role{
			ID: id, Name: builtin.Name, Description: builtin.Description, Permissions: builtin.Permissions,
			Builtin: true, Created: env.Now, Modified: env.Now, Version: e.index,
		}
		if err := org.PutRole(r); err != nil {
			return err
		}
	}
	return nil
}

func checkOrganization(o *directory.Organization) error {
	if err := directory.CheckText("name", o.Name, directory.NameMax, true); err != nil {
		return err
	}
	if err := o.Branding.Check(); err != nil {
		return err
	}
	if err := o.SignIn.Check(); err != nil {
		return err
	}
	return checkDomains(o)
}

// checkDomains also puts the domains in order.
func checkDomains(o *directory.Organization) error {
	if len(o.Domains) > directory.DomainsMax {
		return directory.Invalid("domains", "more than %d", directory.DomainsMax)
	}
	o.Domains = slices.Clone(o.Domains)
	slices.SortFunc(o.Domains, func(a, b directory.Domain) int { return cmp.Compare(a.Name, b.Name) })
	for i := range o.Domains {
		if err := o.Domains[i].Check(); err != nil {
			return err
		}
		if i > 0 && o.Domains[i-1].Name == o.Domains[i].Name {
			return directory.Invalid("domains", "%s is named twice", o.Domains[i].Name)
		}
	}
	return nil
}

// UpdateOrganization changes the fields that are set. Domains that stay keep
// their challenge and their proof; new ones bring a challenge.
type UpdateOrganization struct {
	Name       *string             `cbor:"1,keyasint,omitempty"`
	SetDomains bool                `cbor:"2,keyasint,omitempty"`
	Domains    []directory.Domain  `cbor:"3,keyasint,omitempty"`
	Branding   *directory.Branding `cbor:"4,keyasint,omitempty"`
	SignIn     *directory.SignIn   `cbor:"5,keyasint,omitempty"`
	IfVersion  directory.Index     `cbor:"6,keyasint,omitempty"`
}

func (*UpdateOrganization) Kind() Kind { return KindUpdateOrganization }

func (c *UpdateOrganization) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	o := *tx.Record()
	if c.IfVersion != 0 && c.IfVersion != o.Version {
		return Outcome{}, directory.Precondition("version", "the organization has changed since it was read")
	}
	if c.Name != nil {
		o.Name = *c.Name
	}
	if c.Branding != nil {
		o.Branding = *c.Branding
	}
	if c.SignIn != nil {
		o.SignIn = *c.SignIn
	}
	if c.SetDomains {
		o.Domains = claim(o.Domains, c.Domains)
	}
	if err := checkOrganization(&o); err != nil {
		return Outcome{}, err
	}
	before := tx.Record().SignIn
	out, err := putOrganization(tx, env, e, &o, "settings")
	if err == nil && o.SignIn != before {
		endRefused(tx, env, e, before, o.SignIn)
	}
	return out, err
}

// endRefused ends the sessions that new settings would not let go on, and those
// that the old ones did not: what has died must not come back when the settings
// become milder.
func endRefused(tx *state.OrgTx, env *Envelope, e *effects, before, after directory.SignIn) {
	endSessions(tx, env, e, "sign-in settings changed", func(s *directory.Session) bool {
		return !s.Live(env.Now, before) || !s.Live(env.Now, after) || after.MFA && !s.MFA()
	})
}

// claim keeps what is known of a domain, and never believes the proposer that a
// domain is verified.
func claim(old, wanted []directory.Domain) (domains []directory.Domain) {
	for _, d := range wanted {
		d.Verified = 0
		if i := slices.IndexFunc(old, func(o directory.Domain) bool { return o.Name == d.Name }); i >= 0 {
			d = old[i]
		}
		domains = append(domains, d)
	}
	return domains
}

func putOrganization(tx *state.OrgTx, env *Envelope, e *effects, o *directory.Organization, what string) (Outcome, error) {
	old := tx.Record()
	if o.Name == old.Name && o.Status == old.Status && o.UserQuota == old.UserQuota &&
		o.Branding == old.Branding && o.SignIn == old.SignIn && slices.Equal(o.Domains, old.Domains) {
		return unchanged(o.ID)
	}
	o.Modified, o.Version = env.Now, e.index
	tx.PutOrganization(o)
	e.event(directory.OrganizationUpdated, o.ID, "%s", what)
	e.row(directory.RowOrganization, o.ID)
	return changed(o.ID)
}

// SetOrganizationLimits is the operator's: whether the organization may be used
// at all, and how many users it may have. A quota below the present number
// refuses new users and removes nobody. Suspending ends every session.
type SetOrganizationLimits struct {
	Status    directory.OrganizationStatus `cbor:"1,keyasint,omitempty"` // zero: as it is
	UserQuota uint32                       `cbor:"2,keyasint,omitempty"` // zero: as it is
	IfVersion directory.Index              `cbor:"3,keyasint,omitempty"`
}

func (*SetOrganizationLimits) Kind() Kind { return KindSetOrganizationLimits }

func (c *SetOrganizationLimits) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	o := *tx.Record()
	if c.IfVersion != 0 && c.IfVersion != o.Version {
		return Outcome{}, directory.Precondition("version", "the organization has changed since it was read")
	}
	if c.UserQuota > directory.UserQuotaMax {
		return Outcome{}, directory.Invalid("user_quota", "more than %d", directory.UserQuotaMax)
	}
	if c.Status > directory.OrganizationSuspended {
		return Outcome{}, directory.Invalid("status", "must be active or suspended")
	}
	if c.UserQuota != 0 {
		o.UserQuota = c.UserQuota
	}
	what := "quota"
	if c.Status != 0 && c.Status != o.Status {
		o.Status = c.Status
		what = "status"
		if !o.Active() {
			endSessions(tx, env, e, "organization suspended", func(*directory.Session) bool { return true })
		}
	}
	return putOrganization(tx, env, e, &o, what)
}

// endSessions ends those sessions of all users that are meant.
func endSessions(tx *state.OrgTx, env *Envelope, e *effects, reason string, meant func(*directory.Session) bool) (ended int) {
	var open []*directory.Session
	tx.EachSession(func(s *directory.Session) bool {
		if s.Ended == 0 && meant(s) {
			open = append(open, s)
		}
		return true
	})
	return endAll(tx, env, e, open, reason)
}

// DeleteOrganization removes a suspended organization and every row of it. Its
// id is never used again; its slug is free.
type DeleteOrganization struct {
	ID directory.OrgID `cbor:"1,keyasint"`
}

func (*DeleteOrganization) Kind() Kind { return KindDeleteOrganization }

func (c *DeleteOrganization) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	o, ok := tx.Organization(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("organization")
	}
	if o.Active() {
		return Outcome{}, directory.Precondition("status", "the organization must be suspended before it is deleted")
	}
	tx.DeleteOrganization(o)
	env.Org = o.ID // the event and the delta belong to the organization that was
	e.event(directory.OrganizationDeleted, o.ID, "%s", o.Slug)
	e.row(directory.RowOrganization, o.ID)
	return changed(o.ID)
}

// VerifyDomain records that a claimed domain was proved to be the
// organization's: the proposing node has read the challenge from the DNS, or
// the operator vouches for it. Any number of organizations may claim a domain; of
// those that prove it the first one has it, until it gives the claim up.
type VerifyDomain struct {
	Name      string `cbor:"1,keyasint"`
	Challenge string `cbor:"2,keyasint,omitempty"` // what the DNS held; an operator needs none
}

func (*VerifyDomain) Kind() Kind { return KindVerifyDomain }

func (c *VerifyDomain) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	o := *tx.Record()
	o.Domains = slices.Clone(o.Domains)
	i := slices.IndexFunc(o.Domains, func(d directory.Domain) bool { return d.Name == c.Name })
	if i < 0 {
		return Outcome{}, directory.NotFound("domain")
	}
	d := &o.Domains[i]
	if env.Actor.Kind != directory.ActorOperator && (d.Challenge == "" || c.Challenge != d.Challenge) {
		return Outcome{}, directory.Precondition("domain", "its TXT record does not hold the challenge")
	}
	if d.Verified != 0 {
		return unchanged(o.ID)
	}
	if tx.DomainTaken(d.Name) {
		// Only who has proved the domain hears this, and not who else has.
		return Outcome{}, directory.Precondition("domain", "cannot be verified for this organization; ask who runs this instance")
	}
	d.Verified = max(env.Now, 1)
	return putOrganization(tx, env, e, &o, "domain "+d.Name+" verified")
}
