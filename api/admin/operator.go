package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// CreateOperator implements OperatorService.
func (a *api) CreateOperator(ctx context.Context, r *authfiv1.CreateOperatorRequest) (*authfiv1.CreateOperatorResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	id := access.NewID[directory.OperatorID](pass.Now())
	token, hash := access.NewOperatorToken(id)
	result, err := c.proposeSystem(pass, &fsm.CreateOperator{
		Operator: directory.Operator{ID: id, Name: r.GetName(), Token: hash},
	}, r)
	if err != nil {
		return nil, err
	}
	if directory.OperatorID(result.Outcome.Object) != id {
		return nil, shownOnce("operator", "token")
	}
	made, ok := pass.Operator(id)
	if !ok {
		return nil, directory.NotFound("operator")
	}
	return &authfiv1.CreateOperatorResponse{Operator: operator(made), Token: token}, nil
}

// shownOnce refuses to repeat a request whose first answer held a secret: nobody
// keeps it.
func shownOnce(noun, secret string) error {
	return directory.Conflict(headerIdempotency, "the %s exists; its %s was shown once and is not kept", noun, secret)
}

// ListOperators implements OperatorService.
func (a *api) ListOperators(ctx context.Context, r *authfiv1.ListOperatorsRequest) (*authfiv1.ListOperatorsResponse, error) {
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
	found, cursor, err := collect(p, func(yield func(*directory.Operator) bool) {
		pass.View().EachOperator(afterID[directory.OperatorID](p), yield)
	}, func(o *directory.Operator) [16]byte { return o.ID })
	return &authfiv1.ListOperatorsResponse{
		Operators: convert(found, operator), Total: int32(pass.View().Operators()), Cursor: cursor,
	}, err
}

// DeleteOperator implements OperatorService.
func (a *api) DeleteOperator(ctx context.Context, r *authfiv1.DeleteOperatorRequest) (*authfiv1.DeleteOperatorResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	id, err := directory.ParseOperatorID(r.GetId())
	if err != nil {
		return nil, inField("id", err)
	}
	_, err = c.proposeSystem(pass, &fsm.DeleteOperator{ID: id}, r)
	return &authfiv1.DeleteOperatorResponse{}, err
}

func operator(o *directory.Operator) *authfiv1.Operator {
	return &authfiv1.Operator{Id: o.ID.String(), Name: o.Name, Created: timestamp(o.Created)}
}
