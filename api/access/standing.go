package access

import (
	"context"

	"github.com/authfi/authfi/directory"
)

// Standing is a credential that was accepted and is asked about again, for what
// lasts longer than a request. It is for one goroutine.
type Standing struct {
	gate    *Gate
	token   string
	caller  Caller
	session Session // of a token of one
}

// Stand is AuthenticateFresh for a credential that will be asked about again.
func (g *Gate) Stand(ctx context.Context, token string) (*Standing, error) {
	if _, err := g.AuthenticateFresh(ctx, token); err != nil {
		return nil, err
	}
	caller, session, err := g.authenticate(token)
	if err != nil {
		return nil, err
	}
	return &Standing{gate: g, token: token, caller: caller, session: session}, nil
}

// Caller is who was accepted; a credential is never somebody else's later.
func (s *Standing) Caller() Caller { return s.caller }

// Again refuses what Authenticate would refuse now. A signature does not change,
// so that of a token is not looked at a second time.
func (s *Standing) Again() error {
	if s.caller.Actor.Kind == directory.ActorUser {
		return s.gate.verifier.Live(s.gate.root(), s.session)
	}
	_, err := s.gate.Authenticate(s.token)
	return err
}
