package directory

import "time"

// RotationPhase of a rotation of the CA. It goes on by one, and never back.
type RotationPhase uint8

const (
	RotationAnnounced RotationPhase = iota + 1 // nodes begin to trust the next CA; the one before signs
	RotationTrusted                            // every node trusts both
	RotationSigning                            // the next signs; both are trusted
	RotationDone                               // the one before is trusted by nobody
)

func (p RotationPhase) String() string {
	switch p {
	case RotationAnnounced:
		return "announced"
	case RotationTrusted:
		return "trusted"
	case RotationSigning:
		return "signing"
	case RotationDone:
		return "done"
	}
	return "none"
}

// Bounds of a rotation.
const (
	// AuthorityBytesMax bounds a certificate or a sealed key: those of P-256 have some 500
	// bytes.
	AuthorityBytesMax = 4 << 10
	// AuthorityIDMax bounds the name of a CA, which is made of its key.
	AuthorityIDMax = 64
	// RotationKeep is for how long clients may go on with the old trust file: a month is
	// long enough for whoever looks after them by hand.
	RotationKeep    = 30 * 24 * time.Hour
	RotationKeepMax = 400 * 24 * time.Hour
)

// Rotation replaces the CA of the cluster. The one before signs the key of the next, so
// that whoever trusts either one trusts what the next one signs. The instance keeps the
// last one; one of another cluster, which came with a backup, is nobody's.
type Rotation struct {
	ID       string        `cbor:"1,keyasint"` // of the next CA
	Previous []byte        `cbor:"2,keyasint"` // certificate, DER
	Next     []byte        `cbor:"3,keyasint"` // certificate by its own key, DER
	Cross    []byte        `cbor:"4,keyasint"` // certificate of the next key by the previous CA, DER
	Sealed   []byte        `cbor:"5,keyasint"` // the next key, PKCS #8 DER, sealed; empty once the rotation is done
	Phase    RotationPhase `cbor:"6,keyasint"`
	Keep     time.Duration `cbor:"7,keyasint"` // for how long both are trusted once the next signs
	Created  Time          `cbor:"8,keyasint"`
	Began    Time          `cbor:"9,keyasint"` // its phase
	Version  Index         `cbor:"10,keyasint"`
	Replaces string        `cbor:"11,keyasint"` // id of the CA before
}

// Check holds what is true of a new rotation alone.
func (r *Rotation) Check() error {
	for _, id := range []string{r.ID, r.Replaces} {
		if err := CheckText("id", id, AuthorityIDMax, true); err != nil {
			return err
		}
	}
	for _, part := range [][]byte{r.Previous, r.Next, r.Cross, r.Sealed} {
		if len(part) == 0 || len(part) > AuthorityBytesMax {
			return Invalid("authority", "certificates and key must have 1 to %d bytes", AuthorityBytesMax)
		}
	}
	if r.Keep < 0 || r.Keep > RotationKeepMax {
		return Invalid("keep_seconds", "must be 0 to %d", int(RotationKeepMax.Seconds()))
	}
	return nil
}

// Concerns is true of a rotation in which a CA has a part, by its id: the last one in
// which none of the cluster's has came with a backup of another cluster.
func (r *Rotation) Concerns(ca string) bool { return ca == r.ID || ca == r.Replaces }

// Ends is from when on the CA before may be let go of; only a rotation whose next CA
// signs has an end.
func (r *Rotation) Ends() (at Time, ok bool) {
	return r.Began.Add(r.Keep), r.Phase == RotationSigning
}
