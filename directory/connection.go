package directory

import (
	"crypto/sha256"
	"encoding/hex"
)

// Provider names the kind of identity provider behind a connection.
type Provider string

const (
	ProviderEntra   Provider = "entra"
	ProviderOkta    Provider = "okta"
	ProviderGeneric Provider = "generic"
)

// Check refuses unknown providers.
func (p Provider) Check() error {
	switch p {
	case ProviderEntra, ProviderOkta, ProviderGeneric:
		return nil
	}
	return Invalid("provider", "must be entra, okta or generic")
}

// Bounds of a connection.
const (
	// ConnectionTokensMax is what a rotation needs: the old token is good until
	// the provider has been given the new one.
	ConnectionTokensMax = 2
	// MappingsMax is above the groups with roles that one provider sends, and
	// keeps the record in a few tens of kilobytes.
	MappingsMax = 500
)

// Connection is an identity provider's right to provision one organization.
// Its bearer tokens are kept as SHA-256 only.
type Connection struct {
	ID       ConnectionID      `cbor:"1,keyasint"`
	Provider Provider          `cbor:"2,keyasint"`
	Token    [32]byte          `cbor:"3,keyasint"` // of connections from before there were Tokens; zero: none
	Created  Time              `cbor:"4,keyasint"`
	Version  Index             `cbor:"5,keyasint"`
	Name     string            `cbor:"6,keyasint,omitempty"`
	Disabled bool              `cbor:"7,keyasint,omitempty"` // its tokens are refused
	Tokens   []ConnectionToken `cbor:"8,keyasint,omitempty"` // oldest first
	Switches Switches          `cbor:"9,keyasint,omitzero"`
	Mappings []Mapping         `cbor:"10,keyasint,omitempty"`
	Trust    Trust             `cbor:"11,keyasint,omitzero"`
}

// Switches are where the texts of the standards and what providers do collide, and
// how far a connection reaches. Zero is what providers expect, and the narrowest
// reach: an entry from before a switch was there says nothing of it.
type Switches struct {
	NoTarget         bool `cbor:"1,keyasint,omitempty"` // a replace whose value filter finds nothing is an error and adds nothing
	RejectMembers    bool `cbor:"2,keyasint,omitempty"` // an unknown member refuses the change instead of being left out
	RejectAttributes bool `cbor:"3,keyasint,omitempty"` // an unknown attribute refuses the change instead of being left out
	SeesAll          bool `cbor:"4,keyasint,omitempty"` // it reads and changes what it has not sent, too
	SharesNames      bool `cbor:"5,keyasint,omitempty"` // a group that it sends may have the name of another
}

// ConnectionToken is a bearer token of a connection.
type ConnectionToken struct {
	Hash    [32]byte `cbor:"1,keyasint"`
	Hint    string   `cbor:"2,keyasint,omitempty"` // its last characters, for people who compare
	Created Time     `cbor:"3,keyasint"`
}

// TokenName names a token of a connection in the API. It is made from the hash,
// from which nobody finds the token.
type TokenName [8]byte

func (n TokenName) String() string { return hex.EncodeToString(n[:]) }

// ParseTokenName reads what String writes.
func ParseTokenName(s string) (n TokenName, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(n) || hex.EncodeToString(b) != s {
		return n, Invalid("token_id", "must be %d lower-case hexadecimal digits", 2*len(n))
	}
	copy(n[:], b)
	return n, nil
}

// Name is made from the hash once more, so that nothing of what is compared is
// shown.
func (t *ConnectionToken) Name() (n TokenName) {
	sum := sha256.Sum256(t.Hash[:])
	copy(n[:], sum[:])
	return n
}

// Check holds what is true of a token alone.
func (t *ConnectionToken) Check() error {
	if t.Hash == ([32]byte{}) {
		return Invalid("token", "missing")
	}
	return CheckText("hint", t.Hint, TokenHintMax, false)
}

// TokenHintMax bounds a hint: four of 43 random characters leave nothing to guess.
const TokenHintMax = 4

// Valid are the tokens that the connection takes while it is enabled.
func (c *Connection) Valid() []ConnectionToken {
	if c.Token == ([32]byte{}) {
		return c.Tokens
	}
	first := ConnectionToken{Hash: c.Token, Created: c.Created}
	return append([]ConnectionToken{first}, c.Tokens...)
}

// Check holds what is true of a connection alone.
func (c *Connection) Check() error {
	if err := c.Provider.Check(); err != nil {
		return err
	}
	if len(c.Valid()) > ConnectionTokensMax {
		return Invalid("tokens", "more than %d", ConnectionTokensMax)
	}
	for i := range c.Tokens {
		if err := c.Tokens[i].Check(); err != nil {
			return err
		}
	}
	if err := c.Trust.Check(); err != nil {
		return err
	}
	return CheckText("name", c.Name, NameMax, false)
}

// Mapping gives a role to a group that a connection sends, from its first member
// on. Exactly one of Name, which has no case, and ExternalID says which group.
type Mapping struct {
	Name       string `cbor:"1,keyasint,omitempty"`
	ExternalID string `cbor:"2,keyasint,omitempty"`
	Role       RoleID `cbor:"3,keyasint"`
}

// Check holds what is true of a mapping alone.
func (m *Mapping) Check() error {
	if (m.Name == "") == (m.ExternalID == "") {
		return Invalid("mappings", "each names a group by exactly one of group_name and group_external_id")
	}
	if err := CheckText("group_name", m.Name, NameMax, false); err != nil {
		return err
	}
	return CheckText("group_external_id", m.ExternalID, ExternalIDMax, false)
}

// Matches reports whether a group is the one that the mapping names.
func (m *Mapping) Matches(g *Group) bool {
	if m.ExternalID != "" {
		return m.ExternalID == g.ExternalID
	}
	return Fold(m.Name) == Fold(g.Name)
}
