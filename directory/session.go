package directory

import "time"

// Lifetimes of a session and its tokens.
const (
	AccessTokenLife   = 5 * time.Minute
	SessionIdleLife   = 7 * 24 * time.Hour  // without a refresh
	SessionMaxLife    = 90 * 24 * time.Hour // in all
	RefreshGrace      = 30 * time.Second    // a repeat of the same refresh token is answered alike
	AccessTokensMax   = 16                  // live access tokens remembered per session
	SessionsPerUser   = 64
	SessionMethodsMax = 8
	SessionDeviceMax  = 256 // bytes of a User-Agent that tell devices apart
	// LogoutWait is how long a client may be out of reach that is to be told of the end
	// of a session.
	LogoutWait = 24 * time.Hour
)

// AccessToken names a bearer token without holding it: Key is its
// SipHash-2-4-128 under the cluster's token secret (low word first).
type AccessToken struct {
	Key       [16]byte `cbor:"1,keyasint"`
	Length    uint32   `cbor:"2,keyasint"`
	NotBefore Time     `cbor:"3,keyasint"`
	Expires   Time     `cbor:"4,keyasint"`
	Signer    uint64   `cbor:"5,keyasint,omitempty"` // SignerOf the key that signed it
}

// Session is one sign-in. Refresh tokens are kept as SHA-256; Previous is the
// one before, so that its reuse after the grace ends the session.
type Session struct {
	ID        SessionID     `cbor:"1,keyasint"`
	User      UserID        `cbor:"2,keyasint"`
	Methods   []string      `cbor:"3,keyasint,omitempty"` // amr values, RFC 8176
	Refresh   [32]byte      `cbor:"4,keyasint"`
	Previous  [32]byte      `cbor:"5,keyasint,omitempty"`
	Successor []byte        `cbor:"6,keyasint,omitempty"` // the current refresh token, sealed, for an idempotent repeat
	Refreshed Time          `cbor:"7,keyasint"`
	Created   Time          `cbor:"8,keyasint"`
	Tokens    []AccessToken `cbor:"9,keyasint,omitempty"`
	Ended     Time          `cbor:"10,keyasint,omitempty"` // zero while it lives
	Reason    string        `cbor:"11,keyasint,omitempty"`
	Version   Index         `cbor:"12,keyasint"`

	// Of a session that a client has; zero of one that the user's own backend has.
	Client ClientID `cbor:"13,keyasint,omitzero"`
	Scope  []string `cbor:"14,keyasint,omitempty"` // what was granted of OpenID Connect's scopes
	// Bounded tokens carry what the user holds of Permissions, and no roles and
	// groups, which would bring more.
	Bounded     bool         `cbor:"15,keyasint,omitempty"`
	Permissions []Permission `cbor:"16,keyasint,omitempty"` // sorted
	Code        *Code        `cbor:"17,keyasint,omitempty"`
	Single      bool         `cbor:"18,keyasint,omitempty"` // has no refresh token, and ends with its access token

	Address string `cbor:"30,keyasint,omitempty"` // of the device that the user signed in with; empty: not known
	Device  string `cbor:"31,keyasint,omitempty"` // as it names itself

	// Of a session that came of another by token exchange: it ends with that one.
	Origin SessionID `cbor:"32,keyasint,omitzero"`
	Until  Time      `cbor:"33,keyasint,omitempty"` // zero: as long as its lives are
	// Key is the SHA-256 thumbprint of the key that its tokens are bound to (RFC 9449);
	// zero: whoever holds them may use them.
	Key [32]byte `cbor:"34,keyasint,omitzero"`

	Untold bool `cbor:"35,keyasint,omitempty"` // has ended, and its client does not know yet
}

// Live reports whether the session may be used at now, in an organization that
// asks this of its sign-ins.
func (s *Session) Live(now Time, in SignIn) bool { return s.Ended == 0 && now < s.Expires(in) }

// Expires is when the session dies by itself unless it is refreshed before.
func (s *Session) Expires(in SignIn) Time {
	idle, whole := in.lives()
	expires := min(s.Refreshed.Add(idle), s.Created.Add(whole))
	if s.Until != 0 {
		expires = min(expires, s.Until)
	}
	switch {
	case s.Code != nil && s.Code.Used == 0: // nothing came of it yet
		return min(expires, s.Code.Expires)
	case s.Single:
		return min(expires, s.Refreshed.Add(AccessTokenLife))
	}
	return expires
}

// Standing reports whether the session is one of client credentials in which any number
// of access tokens are minted, of which the log knows none: it ends for all of them.
func (s *Session) Standing() bool {
	return !s.Client.IsZero() && s.Code == nil && !s.Single && s.Origin.IsZero()
}

// Covers reports whether the session's tokens may carry a permission that its user
// holds.
func (s *Session) Covers(p Permission) bool { return !s.Bounded || covers(s.Permissions, p) }

// Bound reports whether the session's tokens are good only with a proof of a key.
func (s *Session) Bound() bool { return s.Key != [32]byte{} }

// MFA reports whether the session was opened with more than one factor:
// two different methods, or one that RFC 8176 calls multi-factor.
func (s *Session) MFA() bool {
	distinct := map[string]bool{}
	for _, m := range s.Methods {
		if m == "mfa" {
			return true
		}
		distinct[m] = true
	}
	return len(distinct) > 1
}
