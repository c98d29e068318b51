package directory

import "time"

// Bounds of device requests (RFC 8628).
const (
	// DeviceLife is how long a person may take to find another device and sign in there.
	DeviceLife = 10 * time.Minute
	// DevicesMax are the requests of one organization at a time. Somebody who guesses
	// finds one of so many with a chance of 1 in 25,000,000.
	DevicesMax = 1_000
)

// DeviceRequest is a device that asks for tokens and has no browser: a person types its
// user code elsewhere, and decides.
type DeviceRequest struct {
	Key         [16]byte     `cbor:"1,keyasint"` // SHA-256 of the user code, cut
	Hash        [32]byte     `cbor:"2,keyasint"` // SHA-256 of the device code
	Client      ClientID     `cbor:"3,keyasint"`
	Scope       []string     `cbor:"4,keyasint,omitempty"`
	Bounded     bool         `cbor:"5,keyasint,omitempty"`
	Permissions []Permission `cbor:"6,keyasint,omitempty"`
	Expires     Time         `cbor:"7,keyasint"`
	Denied      bool         `cbor:"8,keyasint,omitempty"`
	Session     SessionID    `cbor:"9,keyasint,omitzero"` // that was allowed; zero: not decided, or denied
}
