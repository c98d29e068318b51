package directory

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

// Connection is an identity provider's right to provision one organization.
// Its bearer token is kept as SHA-256 only.
type Connection struct {
	ID       ConnectionID `cbor:"1,keyasint"`
	Provider Provider     `cbor:"2,keyasint"`
	Token    [32]byte     `cbor:"3,keyasint"`
	Created  Time         `cbor:"4,keyasint"`
	Version  Index        `cbor:"5,keyasint"`
}
