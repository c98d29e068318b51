package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Resolver asks the DNS for the texts of a name, as *net.Resolver does.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// challengeLabel is where the challenge of a domain stands in the DNS.
const challengeLabel = "_authfi-challenge."

// Bounds of asking the DNS on behalf of callers, on one node.
const (
	lookupsPerMinute = 10              // of one organization
	lookupsAtOnce    = 8               // of all: a name server that hangs must not hold everything else up
	lookupWait       = 5 * time.Second // one resolver's usual time for an answer
)

// claims are the domains that an organization says are its own, each with what it
// will have to publish. A domain that it claims already keeps its challenge.
func claims(names []string) ([]directory.Domain, error) {
	if len(names) > directory.DomainsMax {
		return nil, directory.Invalid("domains", "more than %d", directory.DomainsMax)
	}
	return convert(names, func(name string) directory.Domain {
		return directory.Domain{Name: domainName(name), Challenge: rand.Text()}
	}), nil
}

// domainName is the form in which names are compared: DNS has no case, and a final
// dot only says that a name is whole.
func domainName(text string) string {
	return strings.ToLower(strings.TrimSuffix(text, "."))
}

func domain(d directory.Domain) *authfiv1.Domain {
	return &authfiv1.Domain{Name: d.Name, Challenge: d.Challenge, Verified: timestamp(d.Verified)}
}

// VerifyDomain implements OrganizationService.
func (a *api) VerifyDomain(ctx context.Context, r *authfiv1.VerifyDomainRequest) (*authfiv1.Organization, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.byID(r)
	if err != nil {
		return nil, err
	}
	name := domainName(r.GetDomain())
	domains := pass.View().Record().Domains
	i := slices.IndexFunc(domains, func(d directory.Domain) bool { return d.Name == name })
	switch {
	case i < 0:
		return nil, directory.NotFound("domain")
	case domains[i].Verified != 0:
		return c.organization(pass), nil
	}
	verify := &fsm.VerifyDomain{Name: name}
	if c.caller.Actor.Kind != directory.ActorOperator { // an operator vouches
		if verify.Challenge, err = a.lookups.proof(ctx, a.Resolver, pass, domains[i]); err != nil {
			return nil, err
		}
	}
	if _, err := c.propose(pass, verify, r); err != nil {
		return nil, err
	}
	return c.organization(pass), nil
}

// lookups paces the questions to the DNS.
type lookups struct {
	running chan struct{}

	mu     sync.Mutex
	since  time.Time               // guarded by mu: when the present minute began
	counts map[directory.OrgID]int // guarded by mu: questions of the present minute
}

func newLookups() *lookups {
	return &lookups{running: make(chan struct{}, lookupsAtOnce), counts: map[directory.OrgID]int{}}
}

func (l *lookups) allow(org directory.OrgID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= time.Minute || now.Before(l.since) {
		l.since = now
		clear(l.counts)
	}
	if l.counts[org] >= lookupsPerMinute {
		return false
	}
	l.counts[org]++
	return true
}

// proof is the challenge of a domain as the DNS has it. Who may have the domain is
// not asked here: the machine decides it.
func (l *lookups) proof(ctx context.Context, resolver Resolver, pass *access.Pass, d directory.Domain) (string, error) {
	if !l.allow(pass.Org(), pass.Now()) {
		return "", directory.Exhausted("domain", "more than %d verifications within a minute; try again later", lookupsPerMinute)
	}
	select {
	case l.running <- struct{}{}:
		defer func() { <-l.running }()
	default:
		return "", directory.Unavailable("too many domains are being verified; try again")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	name := challengeLabel + d.Name
	texts, err := resolver.LookupTXT(ctx, name+".") // whole: the node's search list has no say
	var failed *net.DNSError
	switch {
	case errors.As(err, &failed) && failed.IsNotFound:
	case err != nil:
		return "", directory.Unavailable("the DNS does not answer for %s; try again", name)
	}
	if !slices.Contains(texts, d.Challenge) {
		return "", directory.Precondition("domain", "%s has no TXT record that is %s", name, d.Challenge)
	}
	return d.Challenge, nil
}
