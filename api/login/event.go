package login

import (
	"fmt"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// typeSecurityEvent keeps an event from being taken for any other token (RFC 8417,
// section 2.3).
const typeSecurityEvent = "secevent+jwt"

// SecurityEvent is what a security event token says (RFC 8417): never sub or exp, by
// which it could pass for a token of somebody.
type SecurityEvent struct {
	ID       string // jti
	Audience string
	Time     directory.Time // iat
	Change   string         // txn
	Subject  map[string]any // sub_id
	Events   map[string]any
}

// EventSigner signs the events of one organization with the key that is the newest
// now.
type EventSigner struct {
	issuer string
	key    *signer
}

// EventSigner opens the key once for many events.
func (t *Tokens) EventSigner(org *state.Org) (*EventSigner, error) {
	key, err := t.signers.of(t.ring, org, "")
	if err != nil {
		return nil, err
	}
	return &EventSigner{issuer: t.Issuer(org.Record().Slug), key: key}, nil
}

// Sign makes the token.
func (s *EventSigner) Sign(e SecurityEvent) (string, error) {
	token := jwt.New()
	for name, value := range map[string]any{
		jwt.IssuerKey:   s.issuer,
		jwt.AudienceKey: e.Audience,
		jwt.IssuedAtKey: e.Time.Std().Truncate(time.Second),
		jwt.JwtIDKey:    e.ID,
		"txn":           e.Change,
		"sub_id":        e.Subject,
		"events":        e.Events,
	} {
		if err := token.Set(name, value); err != nil {
			return "", fmt.Errorf("sign security event: %w", err)
		}
	}
	signed, err := sign(token, s.key, typeSecurityEvent)
	if err != nil {
		return "", fmt.Errorf("sign security event: %w", err)
	}
	return signed, nil
}
