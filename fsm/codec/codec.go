// Package codec turns records and entries into bytes and back, the same bytes
// on every node: CBOR in core deterministic encoding (RFC 8949 §4.2.1) with
// integer field numbers. It is the only package that knows the CBOR library,
// and it knows nothing of what the records mean.
package codec

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Limits of one decoded item. The largest honest item is a role with 2,000
// permissions or a member change of a full group push.
const (
	nestedLevelsMax  = 8
	arrayElementsMax = 1 << 20
	mapPairsMax      = 1 << 12
)

var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   nestedLevelsMax,
		MaxArrayElements:  arrayElementsMax,
		MaxMapPairs:       mapPairsMax,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[M any](mode M, err error) M {
	if err != nil {
		panic("codec: " + err.Error())
	}
	return mode
}

// Encode cannot fail for the types that this program stores; if it does, a
// type was changed so that it cannot be stored, and the node must stop.
func Encode(record any) []byte {
	b, err := encoder.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("codec: encode %T: %v", record, err))
	}
	return b
}

// Decode refuses unknown fields, repeated fields, trailing bytes and anything
// beyond the limits: what is not understood in full is not understood.
func Decode(b []byte, record any) error {
	if err := decoder.Unmarshal(b, record); err != nil {
		return fmt.Errorf("decode %T: %w", record, err)
	}
	return nil
}
