// Package wire turns envelopes into the bytes of log entries and back. The
// format is frozen: testdata holds entries that must decode for ever, kinds are
// appended and never renumbered, and whatever is not understood in full is an
// error, which stops the node. The package does not know whether an entry is
// allowed or makes sense.
package wire

import (
	"fmt"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/codec"
)

// Version of the entry format, its first byte. A new one needs every voter to
// read it before it is written.
const Version = 1

// EntryMax bounds one encoded entry: a full push of a group of 100,000 members
// is 1.7 MB.
const EntryMax = 4 << 20

// entry is the frozen form of an envelope.
type entry struct {
	Org      directory.OrgID      `cbor:"1,keyasint,omitempty"`
	Actor    directory.Actor      `cbor:"2,keyasint"`
	Required directory.Permission `cbor:"3,keyasint,omitempty"`
	Source   string               `cbor:"4,keyasint,omitempty"`
	Now      directory.Time       `cbor:"5,keyasint"`
	Request  directory.RequestID  `cbor:"6,keyasint,omitempty"`
	Digest   [32]byte             `cbor:"7,keyasint,omitempty"`
	Kind     fsm.Kind             `cbor:"8,keyasint"`
	Command  []byte               `cbor:"9,keyasint"`

	Origin    string            `cbor:"10,keyasint,omitempty"`
	Operation string            `cbor:"11,keyasint,omitempty"`
	Trace     directory.TraceID `cbor:"12,keyasint,omitzero"`
	Received  directory.Time    `cbor:"13,keyasint,omitempty"`
}

// Encode returns the entry of an envelope, or an error if it is too large.
func Encode(env *fsm.Envelope) ([]byte, error) {
	e := entry{
		Org: env.Org, Actor: env.Actor, Required: env.Required, Source: env.Source,
		Now: env.Now, Request: env.Request, Digest: env.Digest,
		Kind: env.Command.Kind(), Command: codec.Encode(env.Command),
		Origin: env.Origin, Operation: env.Operation, Trace: env.Trace, Received: env.Received,
	}
	b := append([]byte{Version}, codec.Encode(e)...)
	if len(b) > EntryMax {
		return nil, directory.Invalid("", "the change is larger than %d bytes", EntryMax)
	}
	return b, nil
}

// Decode reads an entry of any version that was ever written.
func Decode(b []byte) (*fsm.Envelope, error) {
	if len(b) == 0 || b[0] != Version {
		return nil, fmt.Errorf("log entry of an unknown version")
	}
	var e entry
	if err := codec.Decode(b[1:], &e); err != nil {
		return nil, fmt.Errorf("log entry: %w", err)
	}
	command := fsm.New(e.Kind)
	if command == nil {
		return nil, fmt.Errorf("log entry: unknown command kind %d", e.Kind)
	}
	if err := codec.Decode(e.Command, command); err != nil {
		return nil, fmt.Errorf("log entry: %w", err)
	}
	return &fsm.Envelope{
		Org: e.Org, Actor: e.Actor, Required: e.Required, Source: e.Source,
		Now: e.Now, Request: e.Request, Digest: e.Digest, Command: command,
		Origin: e.Origin, Operation: e.Operation, Trace: e.Trace, Received: e.Received,
	}, nil
}
