package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// AskDevice records that a device asks for tokens (RFC 8628).
type AskDevice struct {
	Request directory.DeviceRequest `cbor:"1,keyasint"`
}

func (*AskDevice) Kind() Kind { return KindAskDevice }

func (c *AskDevice) apply(tx *state.OrgTx, env *Envelope, _ *effects) (Outcome, error) {
	d := c.Request
	client, ok := tx.Client(d.Client)
	switch {
	case !tx.Record().Active() || !ok || !client.Allows(directory.GrantDevice):
		return Outcome{}, directory.Denied("the client may not ask for devices")
	case d.Denied || !d.Session.IsZero() || d.Hash == [32]byte{} || d.Key == [16]byte{}:
		return Outcome{}, directory.Invalid("request", "is not a new one")
	case !d.Bounded && !client.Unbounded || d.Bounded && !coversAll(client, d.Permissions):
		return Outcome{}, directory.Denied("the client may not have these permissions")
	case d.Expires <= env.Now || d.Expires > env.Now.Add(directory.DeviceLife):
		return Outcome{}, directory.Invalid("expires", "must be within %s", directory.DeviceLife)
	}
	tx.ForgetDevices(env.Now)
	if _, taken := tx.Device(d.Key); taken {
		return Outcome{}, directory.Conflict("user_code", "is taken")
	}
	if tx.Devices() >= directory.DevicesMax {
		return Outcome{}, directory.Exhausted("devices", "%d devices ask at this time", directory.DevicesMax)
	}
	tx.PutDevice(&d)
	return Outcome{Changed: true}, nil
}

// DecideDevice is a person's answer to a device. What they allow is a session whose
// code is the device's, so that all that ends sessions ends it, too, before the device
// has come for its tokens.
type DecideDevice struct {
	Key     [16]byte            `cbor:"1,keyasint"`
	Session directory.SessionID `cbor:"2,keyasint,omitzero"` // of the user; zero: denied
	User    directory.UserID    `cbor:"3,keyasint,omitzero"`
	Methods []string            `cbor:"4,keyasint,omitempty"`
	Address string              `cbor:"5,keyasint,omitempty"`
	Device  string              `cbor:"6,keyasint,omitempty"`
}

func (*DecideDevice) Kind() Kind { return KindDecideDevice }

func (c *DecideDevice) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	stored, ok := tx.Device(c.Key)
	if !ok || stored.Expires <= env.Now || stored.Denied || !stored.Session.IsZero() {
		return Outcome{}, directory.NotFound("device")
	}
	d := *stored
	if d.Session, d.Denied = c.Session, c.Session.IsZero(); d.Denied {
		tx.PutDevice(&d)
		return Outcome{Changed: true}, nil
	}
	start := &StartSession{
		ID: c.Session, User: c.User, Methods: c.Methods, Client: d.Client, Scope: d.Scope, Bounded: d.Bounded, Permissions: d.Permissions,
		Code:    &directory.Code{Hash: d.Hash, Expires: d.Expires, Device: true},
		Address: c.Address, Device: c.Device,
	}
	out, err := start.apply(tx, env, e)
	if err == nil {
		tx.PutDevice(&d)
	}
	return out, err
}
