package codec

import "encoding/binary"

// Record reads the fields of one encoded record where they are: a text is a part
// of the record's own memory. It understands what Encode writes of integers,
// texts, bytes and booleans; at anything else it fails, and Decode can say why.
type Record struct {
	rest   string
	left   uint64 // pairs
	failed bool
}

// Kinds of items (RFC 8949, section 3.1), in the upper three bits of the head.
const (
	kindUint  = 0
	kindInt   = 1 // negative
	kindBytes = 2
	kindText  = 3
	kindMap   = 5
	kindOther = 7
)

const (
	otherFalse = 20
	otherTrue  = 21
)

// ReadRecord begins with the first field.
func ReadRecord(b string) Record {
	r := Record{rest: b}
	r.left = r.head(kindMap)
	return r
}

// Next is the number of the next field; false after the last.
func (r *Record) Next() (field uint64, ok bool) {
	if r.failed || r.left == 0 {
		return 0, false
	}
	r.left--
	field = r.head(kindUint)
	return field, !r.failed
}

// Whole says that every field was read and nothing is left.
func (r *Record) Whole() bool { return !r.failed && r.left == 0 && r.rest == "" }

// Uint and its siblings read the value of the field that Next named.
func (r *Record) Uint() uint64 { return r.head(kindUint) }

func (r *Record) Int() int64 {
	if len(r.rest) > 0 && r.rest[0]>>5 == kindInt {
		return -1 - int64(r.head(kindInt))
	}
	return int64(r.head(kindUint))
}

func (r *Record) Text() string { return r.take(r.head(kindText)) }

func (r *Record) Bytes() string { return r.take(r.head(kindBytes)) }

func (r *Record) Bool() bool {
	switch r.head(kindOther) {
	case otherTrue:
		return true
	case otherFalse:
	default:
		r.failed = true
	}
	return false
}

// head reads the head of an item of this kind and gives its argument, which is the
// value of a number and the length of a text.
func (r *Record) head(kind byte) uint64 {
	if len(r.rest) == 0 || r.rest[0]>>5 != kind {
		r.failed = true
		return 0
	}
	argument := uint64(r.rest[0] & 0x1f)
	r.rest = r.rest[1:]
	if argument < 24 {
		return argument
	}
	if argument > 27 || kind == kindOther {
		r.failed = true
		return 0
	}
	var b [8]byte
	size := 1 << (argument - 24)
	copy(b[8-size:], r.take(uint64(size)))
	return binary.BigEndian.Uint64(b[:])
}

func (r *Record) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.failed = true
		return ""
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}
