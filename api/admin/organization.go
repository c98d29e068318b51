package admin

import (
	"context"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// CreateOrganization implements OrganizationService.
func (a *api) CreateOrganization(ctx context.Context, r *authfiv1.CreateOrganizationRequest) (*authfiv1.Organization, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	id := access.NewID[directory.OrgID](pass.Now())
	signing, err := login.NewSigningKey(a.Ring, id)
	if err != nil {
		return nil, err
	}
	result, err := c.proposeSystem(pass, &fsm.CreateOrganization{
		Organization: directory.Organization{ID: id, Slug: r.GetSlug(), Name: r.GetName(), UserQuota: r.GetUserQuota()},
		Key:          signing, Roles: builtinRoleIDs(pass.Now()),
	}, r)
	if err != nil {
		return nil, err
	}
	made, ok := pass.Organization(directory.OrgID(result.Outcome.Object))
	if !ok {
		return nil, directory.NotFound("organization")
	}
	c.etag(made.Version)
	return organization(made), nil
}

// builtinRoleIDs are ids for the built-in roles, which lists show in the directory's
// order, since ids sort by creation.
func builtinRoleIDs(now time.Time) []directory.RoleID {
	return convert(directory.BuiltinRoles(), func(directory.BuiltinRole) directory.RoleID {
		return access.NewID[directory.RoleID](now)
	})
}

// ListOrganizations implements OrganizationService.
func (a *api) ListOrganizations(ctx context.Context, r *authfiv1.ListOrganizationsRequest) (*authfiv1.ListOrganizationsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetSlug())
	if err != nil {
		return nil, err
	}
	walk, total := organizations(pass, p), pass.Organizations()
	if r.GetSlug() != "" {
		if err := directory.CheckSlug(r.GetSlug()); err != nil {
			return nil, err
		}
		walk, total = organizationOf(pass, r.GetSlug())
	}
	found, cursor, err := collect(p, walk, func(o access.Summary) [16]byte { return o.ID })
	return &authfiv1.ListOrganizationsResponse{
		Organizations: convert(found, organization), Total: int32(total), Cursor: cursor,
	}, err
}

type organizationWalk = func(yield func(access.Summary) bool)

func organizations(pass *access.SystemPass, p *page) organizationWalk {
	return func(yield func(access.Summary) bool) {
		pass.EachOrganization(afterID[directory.OrgID](p), yield)
	}
}

// organizationOf is the list of the one organization with this slug, or an empty
// one.
func organizationOf(pass *access.SystemPass, slug string) (organizationWalk, int) {
	one, ok := pass.OrganizationBySlug(slug)
	if !ok {
		return func(func(access.Summary) bool) {}, 0
	}
	return func(yield func(access.Summary) bool) { yield(one) }, 1
}

// GetOrganization implements OrganizationService.
func (a *api) GetOrganization(ctx context.Context, r *authfiv1.GetOrganizationRequest) (*authfiv1.Organization, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.byID(r)
	if err != nil {
		return nil, err
	}
	return c.organization(pass), nil
}

// byID admits the call to the organization that the request is about.
func (c *call) byID(r identified) (*access.Pass, error) {
	pass, err := c.named(r.GetId())
	if directory.KindOf(err) == directory.KindInvalid {
		err = inField("id", err)
	}
	return pass, err
}

// organization answers with the organization as the pass's view has it.
func (c *call) organization(pass *access.Pass) *authfiv1.Organization {
	c.etag(pass.View().Record().Version)
	return organization(pass.Summary())
}

// UpdateOrganization implements OrganizationService.
func (a *api) UpdateOrganization(ctx context.Context, r *authfiv1.UpdateOrganizationRequest) (*authfiv1.Organization, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, err := c.byID(r)
	if err != nil {
		return nil, err
	}
	update, err := organizationUpdate(r)
	if err != nil {
		return nil, err
	}
	update.IfVersion = want
	if _, err := c.propose(pass, update, r); err != nil {
		return nil, err
	}
	return c.organization(pass), nil
}

func organizationUpdate(r *authfiv1.UpdateOrganizationRequest) (*fsm.UpdateOrganization, error) {
	m, err := maskOf(r)
	if err != nil {
		return nil, err
	}
	update := &fsm.UpdateOrganization{Name: m.text("name", r.Name)}
	if m.changes("domains") {
		update.SetDomains = true
		if update.Domains, err = claims(r.GetDomains().GetDomains()); err != nil {
			return nil, err
		}
	}
	if m.changes("branding") {
		b := r.GetBranding()
		update.Branding = &directory.Branding{LogoURL: b.GetLogoUrl(), Color: b.GetColor(), Support: b.GetSupport()}
	}
	if m.changes("sign_in") {
		s := r.GetSignIn()
		update.SignIn = &directory.SignIn{
			MFA:         s.GetMfa(),
			SessionIdle: time.Duration(s.GetSessionIdleSeconds()) * time.Second,
			SessionMax:  time.Duration(s.GetSessionMaxSeconds()) * time.Second,
		}
	}
	return update, nil
}

// SetOrganizationLimits implements OrganizationService.
func (a *api) SetOrganizationLimits(ctx context.Context, r *authfiv1.SetOrganizationLimitsRequest) (*authfiv1.Organization, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, err := c.byID(r)
	if err != nil {
		return nil, err
	}
	limits, err := organizationLimits(r)
	if err != nil {
		return nil, err
	}
	limits.IfVersion = want
	if _, err := c.propose(pass, limits, r); err != nil {
		return nil, err
	}
	return c.organization(pass), nil
}

// organizationLimits tells what is absent, which stays, from what is empty, which
// is no limit.
func organizationLimits(r *authfiv1.SetOrganizationLimitsRequest) (*fsm.SetOrganizationLimits, error) {
	limits := &fsm.SetOrganizationLimits{UserQuota: r.GetUserQuota()}
	if r.UserQuota != nil && (limits.UserQuota == 0 || limits.UserQuota > directory.UserQuotaMax) {
		return nil, directory.Invalid("user_quota", "must be 1 to %d", directory.UserQuotaMax)
	}
	switch {
	case r.Status == nil:
	case r.GetStatus() == statusActive:
		limits.Status = directory.OrganizationActive
	case r.GetStatus() == statusSuspended:
		limits.Status = directory.OrganizationSuspended
	default:
		return nil, directory.Invalid("status", "must be %s or %s", statusActive, statusSuspended)
	}
	return limits, nil
}

// DeleteOrganization implements OrganizationService.
func (a *api) DeleteOrganization(ctx context.Context, r *authfiv1.DeleteOrganizationRequest) (*authfiv1.DeleteOrganizationResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	id, err := directory.ParseOrgID(r.GetId())
	if err != nil {
		return nil, inField("id", err)
	}
	_, err = c.proposeSystem(pass, &fsm.DeleteOrganization{ID: id}, r)
	return &authfiv1.DeleteOrganizationResponse{}, err
}

func organization(o access.Summary) *authfiv1.Organization {
	return &authfiv1.Organization{
		Id: o.ID.String(), Slug: o.Slug, Name: o.Name, Status: organizationStatus(o.Status), UserQuota: o.UserQuota,
		Users: uint32(o.Users), Created: timestamp(o.Created), Modified: timestamp(o.Modified), Version: uint64(o.Version),
		Domains:  convert(o.Domains, domain),
		Branding: &authfiv1.Branding{LogoUrl: o.Branding.LogoURL, Color: o.Branding.Color, Support: o.Branding.Support},
		SignIn: &authfiv1.SignIn{
			Mfa:                o.SignIn.MFA,
			SessionIdleSeconds: uint32(o.SignIn.SessionIdle / time.Second),
			SessionMaxSeconds:  uint32(o.SignIn.SessionMax / time.Second),
		},
	}
}

// The words for the states of an organization.
const (
	statusActive    = "active"
	statusSuspended = "suspended"
)

func organizationStatus(s directory.OrganizationStatus) string {
	if s == directory.OrganizationActive {
		return statusActive
	}
	return statusSuspended
}
