package backup

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// magic names the format; a change that an older build cannot read changes it.
const magic = "authfi-backup-1\n"

// Bounds of what is read before it is known to be genuine.
const (
	headerMax   = 4 << 10
	manifestMax = 64 << 20 // a hundred thousand organizations take a sixth of it
	frameMax    = 1 << 20
)

// frameSize is how much of the state a frame holds at most.
const frameSize = 256 << 10

// Header says what a file is. It stands in clear, so that a file can be told from
// others without the key, and it is part of what the proof covers.
type Header struct {
	Cluster string    `json:"cluster"` // that made it, as of then: SHA-256 of the key of the CA that signed, hexadecimal
	Index   uint64    `json:"index"`   // of the state
	Term    uint64    `json:"term"`    // of the entry at the index
	Time    time.Time `json:"time"`
	Digest  string    `json:"digest"` // of the state, hexadecimal
	Level   int       `json:"level"`  // a build of a lower one cannot read the state
	Key     string    `json:"key"`    // name of the recovery key that opens it
}

// Manifest is what goes along with the state.
type Manifest struct {
	Keyring       []byte         `json:"keyring"` // opens what the state holds sealed
	Organizations []Organization `json:"organizations"`
}

// Organization is what one organization holds, in the order of ids.
type Organization struct {
	ID          string `json:"id"`
	Slug        string `json:"slug"`
	Users       int    `json:"users"`
	Groups      int    `json:"groups"`
	Roles       int    `json:"roles"`
	Assignments int    `json:"assignments"`
	Connections int    `json:"connections"`
	Services    int    `json:"services"`
}

// ErrDamaged means that a file was cut or altered, or is none.
var ErrDamaged = errors.New("the backup is cut or altered")

// ErrKey means that the key does not open the file: it is another one, or the
// file's beginning was altered.
var ErrKey = errors.New("the recovery key does not open this backup")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

func (h Header) encode() ([]byte, error) {
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return append(append([]byte(magic), line...), '\n'), nil
}

// ReadHeader reads the beginning of a file, and nothing beyond it when r is
// buffered. What it says is not proved.
func ReadHeader(r io.Reader) (Header, error) {
	in, ok := r.(*bufio.Reader)
	if !ok {
		in = bufio.NewReader(r)
	}
	h, _, err := readHeader(in)
	return h, err
}

// readHeader gives the bytes, too, for the proof.
func readHeader(in *bufio.Reader) (h Header, raw []byte, err error) {
	raw = make([]byte, len(magic), headerMax)
	if _, err := io.ReadFull(in, raw); err != nil || string(raw) != magic {
		return h, nil, damaged("it does not begin as a backup of this format")
	}
	for len(raw) < headerMax {
		b, err := in.ReadByte()
		if err != nil {
			return h, nil, damaged("it ends in its header")
		}
		if raw = append(raw, b); b == '\n' {
			break
		}
	}
	line := json.NewDecoder(bytes.NewReader(raw[len(magic):]))
	line.DisallowUnknownFields()
	if err := line.Decode(&h); err != nil || raw[len(raw)-1] != '\n' {
		return h, nil, damaged("its header cannot be read")
	}
	return h, raw, nil
}

func writeFrame(w io.Writer, b []byte) error {
	if _, err := w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// frameLength reads the length of the next frame.
func frameLength(r io.Reader, max uint32) (uint32, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, damaged("%w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > max {
		return 0, damaged("a frame of %d bytes", n)
	}
	return n, nil
}
