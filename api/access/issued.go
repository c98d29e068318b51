package access

import (
	"context"

	"github.com/authfi/authfi/directory"
)

// Issuers verifies tokens that somebody else has issued, and names the one of some
// trusts that a token is good for. A token that is good for none is
// KindUnauthenticated; of such a one it names the trust that the token claims to be
// good for, or a negative number.
type Issuers interface {
	Verify(ctx context.Context, token string, trusts []directory.Trust) (int, error)
}

// Trust sets who verifies the tokens of identity providers. It is called once, before
// the gate is used; without it there are none.
func (g *Gate) Trust(issuers Issuers) { g.issuers = issuers }

// AuthenticateIssued finds the connection of an organization that trusts the issuer of
// a token. The organization is the one whose base URL was asked: a token names none.
// That a connection trusts anybody may have been said on another node a moment ago.
func (g *Gate) AuthenticateIssued(ctx context.Context, slug, token string) (Caller, Claim, error) {
	if g.issuers == nil || !isIssued(token) {
		return Caller{}, Claim{}, directory.Unauthenticated("a valid bearer token is required")
	}
	org, connection, err := g.issuedTo(ctx, slug, token)
	if connection == nil && directory.KindOf(err) == directory.KindUnauthenticated {
		// Whoever is there or not, and trusts or not, is looked for in the same way, so
		// that the time of the answer does not tell.
		if err := g.settle(ctx, Freshness{Linearizable: true}); err != nil {
			return Caller{}, Claim{}, err
		}
		org, connection, err = g.issuedTo(ctx, slug, token)
	}
	var claim Claim
	if connection != nil {
		claim = Claim{org, connection.ID}
	}
	if err != nil {
		return Caller{}, claim, err
	}
	// The end of a trust is known on every node at once: a token that is good by its
	// signature is compared with the newest state.
	if err := g.settle(ctx, Freshness{Linearizable: true}); err != nil {
		return Caller{}, claim, err
	}
	now, ok := g.connectionNow(org, connection.ID)
	if !ok || now.Disabled || now.Trust != connection.Trust {
		return Caller{}, claim, directory.Unauthenticated("a valid bearer token is required")
	}
	actor := directory.Actor{Kind: directory.ActorConnection, ID: now.ID}
	return Caller{Actor: actor, Org: org, Source: string(now.Provider)}, claim, nil
}

// issuedTo is the connection that a token is good for or, with an error, claims to be
// good for; nil: none.
func (g *Gate) issuedTo(ctx context.Context, slug, token string) (directory.OrgID, *directory.Connection, error) {
	org, connections := g.trusting(slug)
	trusts := make([]directory.Trust, len(connections))
	for n, c := range connections {
		trusts[n] = c.Trust
	}
	n, err := g.issuers.Verify(ctx, token, trusts)
	if n < 0 {
		return org, nil, err
	}
	return org, connections[n], err
}

// isIssued is true of the form of a signed token, three parts with dots between.
func isIssued(token string) bool {
	dots := 0
	for i := range len(token) {
		if token[i] == '.' {
			dots++
		}
	}
	return dots == 2 && len(token) <= CredentialMax
}

// trusting are the connections of an organization that trust an issuer.
func (g *Gate) trusting(slug string) (org directory.OrgID, found []*directory.Connection) {
	root := g.root()
	org, ok := root.System().OrganizationBySlug(slug)
	if !ok {
		return org, nil
	}
	if o, ok := root.Org(org); ok && o.Record().Active() {
		o.EachConnection(func(c *directory.Connection) bool {
			if !c.Disabled && c.Trust != (directory.Trust{}) {
				found = append(found, c)
			}
			return true
		})
	}
	return org, found
}

func (g *Gate) connectionNow(org directory.OrgID, id directory.ConnectionID) (*directory.Connection, bool) {
	o, ok := g.root().Org(org)
	if !ok || !o.Record().Active() {
		return nil, false
	}
	return o.Connection(id)
}
