package admin

import (
	"context"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// GetSchema implements OrganizationService.
func (a *api) GetSchema(ctx context.Context, r *authfiv1.GetSchemaRequest) (*authfiv1.Schema, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.byID(r)
	if err != nil {
		return nil, err
	}
	return c.schema(pass.View().Schema()), nil
}

// SetSchema implements OrganizationService.
func (a *api) SetSchema(ctx context.Context, r *authfiv1.SetSchemaRequest) (*authfiv1.Schema, error) {
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
	if len(r.GetAttributes()) > directory.AttributesPerSchemaMax {
		return nil, directory.Invalid("attributes", "more than %d", directory.AttributesPerSchemaMax)
	}
	schema := directory.Schema{Attributes: convert(r.GetAttributes(), func(d *authfiv1.AttributeDefinition) directory.AttributeDefinition {
		return directory.AttributeDefinition{
			Name: d.GetName(), Type: directory.AttributeType(d.GetType()), Several: d.GetSeveral(),
			Values: d.GetValues(), Description: d.GetDescription(), URN: d.GetUrn(),
		}
	})}
	if _, err := c.propose(pass, &fsm.PutSchema{Schema: schema, IfVersion: want}, r); err != nil {
		return nil, err
	}
	return c.schema(pass.View().Schema()), nil
}

// schema has no version before it was first set, and no ETag.
func (c *call) schema(s *directory.Schema) *authfiv1.Schema {
	if s.Version != 0 {
		c.etag(s.Version)
	}
	return &authfiv1.Schema{
		Attributes: convert(s.Attributes, func(d directory.AttributeDefinition) *authfiv1.AttributeDefinition {
			return &authfiv1.AttributeDefinition{
				Name: d.Name, Type: string(d.Type), Several: d.Several, Values: d.Values, Description: d.Description, Urn: d.URN,
			}
		}),
		Modified: timestamp(s.Modified), Version: uint64(s.Version),
	}
}
