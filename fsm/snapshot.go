package fsm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/authfi/authfi/fsm/codec"
	"github.com/authfi/authfi/fsm/state"
)

// The stream of a state: magic, then per row the length of key and value as
// unsigned varints and their bytes, then a zero key length and the Meta. The
// Meta's sum covers every row, so a stream that was cut or changed is refused.
var streamMagic = []byte("authfi-state-1\n")

// Bounds of one streamed row, refused before anything is allocated.
const (
	streamKeyMax   = 1 << 10
	streamValueMax = 8 << 20
)

// WriteSnapshot streams an immutable root; writes go on meanwhile.
func WriteSnapshot(w io.Writer, root *state.Root) error {
	out := bufio.NewWriterSize(w, 1<<16)
	out.Write(streamMagic)
	err := root.EachStored(func(key, value []byte) error {
		writeChunk(out, key)
		return writeChunk(out, value)
	})
	if err != nil {
		return err
	}
	writeChunk(out, nil)
	writeChunk(out, codec.Encode(root.Meta()))
	return out.Flush()
}

// writeChunk relies on bufio keeping the first error.
func writeChunk(w *bufio.Writer, b []byte) error {
	var n [binary.MaxVarintLen64]byte
	w.Write(n[:binary.PutUvarint(n[:], uint64(len(b)))])
	_, err := w.Write(b)
	return err
}

// ReadSnapshot reads what WriteSnapshot wrote, a row at a time.
func ReadSnapshot(r io.Reader, put func(key, value []byte) error) (meta state.Meta, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	magic := make([]byte, len(streamMagic))
	if _, err := io.ReadFull(in, magic); err != nil || !bytes.Equal(magic, streamMagic) {
		return meta, errors.New("not a stream of this state format")
	}
	for {
		key, err := readChunk(in, streamKeyMax)
		if err != nil {
			return meta, err
		}
		value, err := readChunk(in, streamValueMax)
		if err != nil {
			return meta, err
		}
		if len(key) == 0 {
			return meta, codec.Decode(value, &meta)
		}
		if err := put(key, value); err != nil {
			return meta, err
		}
	}
}

func readChunk(in *bufio.Reader, max uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, fmt.Errorf("state stream ends early: %w", err)
	}
	if n > max {
		return nil, fmt.Errorf("state stream holds a chunk of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, fmt.Errorf("state stream ends early: %w", err)
	}
	return b, nil
}

// Restore replaces the machine's state with a stream.
func (m *Machine) Restore(r io.Reader) error {
	return m.Replace(func(put func(key, value []byte) error) (state.Meta, error) {
		return ReadSnapshot(r, put)
	})
}
