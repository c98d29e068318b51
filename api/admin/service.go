package admin

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// addressMax bounds host:port: a DNS name has at most 253 bytes.
const addressMax = 260

// CreateService implements ServiceService.
func (a *api) CreateService(ctx context.Context, r *authfiv1.CreateServiceRequest) (*authfiv1.Service, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkAddresses(r); err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	if pass.Addresses()+len(r.GetListen()) > directory.AddressesMax {
		return nil, directory.Exhausted("listen", "the services of a cluster listen on %d addresses at most; delete services that are gone", directory.AddressesMax)
	}
	result, err := c.propose(pass, &fsm.CreateService{Service: directory.Service{
		ID: access.NewID[directory.ServiceID](pass.Now()), Name: r.GetName(),
		Listen: r.GetListen(), Upstream: r.GetUpstream(),
	}}, r)
	if err != nil {
		return nil, err
	}
	return c.service(pass, directory.ServiceID(result.Outcome.Object))
}

func checkAddresses(r *authfiv1.CreateServiceRequest) error {
	for _, address := range r.GetListen() {
		if !isListenAddress(address) {
			return directory.Invalid("listen", "%.64q is not an IP address and a port, as in 127.0.0.1:8641 or [::1]:8641", address)
		}
	}
	if r.GetUpstream() != "" && !isAddress(r.GetUpstream()) {
		return directory.Invalid("upstream", "is not of the form host:port")
	}
	return nil
}

// isListenAddress demands the one spelling of an IP address and a port: the gates
// look nothing up, and two spellings of an address would be two services.
func isListenAddress(s string) bool {
	a, err := netip.ParseAddrPort(s)
	return err == nil && a.Port() > 0 && a.Addr().Zone() == "" && !a.Addr().Is4In6() && a.String() == s
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || len(s) > addressMax {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// ListServices implements ServiceService.
func (a *api) ListServices(ctx context.Context, r *authfiv1.ListServicesRequest) (*authfiv1.ListServicesResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId())
	if err != nil {
		return nil, err
	}
	found, cursor, err := collect(p, pass.View().EachService, func(s *directory.Service) [16]byte { return s.ID })
	return &authfiv1.ListServicesResponse{
		Services: convert(found, service(pass.Org())), Total: int32(pass.View().Services()), Cursor: cursor,
	}, err
}

// GetService implements ServiceService.
func (a *api) GetService(ctx context.Context, r *authfiv1.GetServiceRequest) (*authfiv1.Service, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atService(r.GetId())
	if err != nil {
		return nil, err
	}
	return c.service(pass, id)
}

// atService admits the call to the organization of a service.
func (c *call) atService(text string) (*access.Pass, directory.ServiceID, error) {
	id, err := directory.ParseServiceID(text)
	if err != nil {
		return nil, id, inField("id", err)
	}
	pass, err := c.at("service", func(o *state.Org) bool { _, ok := o.Service(id); return ok })
	return pass, id, err
}

func (c *call) service(pass *access.Pass, id directory.ServiceID) (*authfiv1.Service, error) {
	s, ok := pass.View().Service(id)
	if !ok {
		return nil, directory.NotFound("service")
	}
	c.etag(s.Version)
	return service(pass.Org())(s), nil
}

// DeleteService implements ServiceService.
func (a *api) DeleteService(ctx context.Context, r *authfiv1.DeleteServiceRequest) (*authfiv1.DeleteServiceResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atService(r.GetId())
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.DeleteService{ID: id}, r)
	return &authfiv1.DeleteServiceResponse{}, err
}

func service(org directory.OrgID) func(*directory.Service) *authfiv1.Service {
	return func(s *directory.Service) *authfiv1.Service {
		return &authfiv1.Service{
			Id: s.ID.String(), OrgId: org.String(), Name: s.Name, Listen: s.Listen, Upstream: s.Upstream,
			Policies: convert(s.Policies, routePolicyMessage), PolicyVersion: s.PolicyVersion,
			FoldCase: s.FoldCase, FoldSlash: s.FoldSlash, DryRun: s.DryRun,
			Created: timestamp(s.Created), Modified: timestamp(s.Modified), Version: uint64(s.Version),
		}
	}
}
