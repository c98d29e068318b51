package admin

import (
	"context"

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
	key, err := c.key(r)
	if err != nil {
		return nil, err
	}
	result, err := pass.Propose(ctx, &fsm.CreateOrganization{
		Organization: directory.Organization{ID: id, Slug: r.GetSlug(), Name: r.GetName()},
		Key:          signing,
	}, key, c.op)
	if err != nil {
		return nil, err
	}
	c.index(result.Index)
	made, ok := pass.Organization(directory.OrgID(result.Outcome.Object))
	if !ok {
		return nil, directory.NotFound("organization")
	}
	c.etag(made.Version)
	return organization(made), nil
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
	p, err := c.page(r.GetLimit(), r.GetCursor())
	if err != nil {
		return nil, err
	}
	found, cursor, err := collect(p, func(yield func(*directory.Organization) bool) {
		pass.EachOrganization(afterID[directory.OrgID](p), yield)
	}, func(o *directory.Organization) [16]byte { return o.ID })
	return &authfiv1.ListOrganizationsResponse{
		Organizations: convert(found, organization), Total: int32(pass.Organizations()), Cursor: cursor,
	}, err
}

// GetOrganization implements OrganizationService.
func (a *api) GetOrganization(ctx context.Context, r *authfiv1.GetOrganizationRequest) (*authfiv1.Organization, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetId())
	if err != nil {
		return nil, err
	}
	record := pass.View().Record()
	c.etag(record.Version)
	return organization(record), nil
}

func organization(o *directory.Organization) *authfiv1.Organization {
	return &authfiv1.Organization{
		Id: o.ID.String(), Slug: o.Slug, Name: o.Name, Status: organizationStatus(o.Status), UserQuota: o.UserQuota,
		Created: timestamp(o.Created), Modified: timestamp(o.Modified), Version: uint64(o.Version),
	}
}

func organizationStatus(s directory.OrganizationStatus) string {
	if s == directory.OrganizationActive {
		return "active"
	}
	return "suspended"
}
