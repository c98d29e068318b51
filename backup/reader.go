package backup

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
)

// Reader is a file that a key has opened. Nothing of it may be relied upon before
// State has returned without an error.
type Reader struct {
	Header   Header
	Manifest Manifest

	body  io.Reader // decrypted, without what the proof is
	proof hash.Hash
}

// Open begins to read a file.
func Open(r io.Reader, key Key) (*Reader, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	h, head, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	body, err := age.Decrypt(in, key.identity)
	switch {
	case errors.Is(err, age.ErrIncorrectIdentity):
		return nil, fmt.Errorf("%w: the key is %s, the backup says %s", ErrKey, key.Public().Name(), h.Key)
	case err != nil:
		return nil, damaged("%w", err)
	}
	out := &Reader{Header: h, body: body, proof: hmac.New(sha256.New, key.proof())}
	out.proof.Write(head)
	return out, out.readManifest()
}

func (r *Reader) readManifest() error {
	body := io.TeeReader(r.body, r.proof)
	n, err := frameLength(body, manifestMax)
	if err != nil {
		return err
	}
	// The length is not proved yet, so what it asks for is not set aside at once.
	var raw bytes.Buffer
	if _, err := io.CopyN(&raw, body, int64(n)); err != nil {
		return damaged("%w", err)
	}
	manifest := json.NewDecoder(&raw)
	manifest.DisallowUnknownFields()
	if err := manifest.Decode(&r.Manifest); err != nil {
		return damaged("its manifest cannot be read: %w", err)
	}
	return nil
}

// State hands the state to read and then proves the whole file: that it is whole,
// unaltered, and made by a cluster that this key was given to.
func (r *Reader) State(read func(io.Reader) error) error {
	in := &stateReader{body: io.TeeReader(r.body, r.proof)}
	if err := read(in); err != nil {
		if in.failed != nil {
			return in.failed // says more than what it looks like to the reader of rows
		}
		return fmt.Errorf("read the state of the backup: %w", err)
	}
	if n, err := io.Copy(io.Discard, in); err != nil {
		return err
	} else if n > 0 {
		return damaged("%d bytes follow the state", n)
	}
	return r.prove()
}

func (r *Reader) prove() error {
	var proof [sha256.Size]byte
	if _, err := io.ReadFull(r.body, proof[:]); err != nil {
		return damaged("%w", err)
	}
	if !hmac.Equal(proof[:], r.proof.Sum(nil)) {
		return damaged("no cluster that was given this recovery key made it")
	}
	if n, err := io.Copy(io.Discard, r.body); err != nil {
		return damaged("%w", err)
	} else if n > 0 {
		return damaged("%d bytes follow its end", n)
	}
	return nil
}

// stateReader puts the frames of the state together.
type stateReader struct {
	body   io.Reader
	left   uint32 // of the frame at hand
	ended  bool
	failed error
}

func (s *stateReader) Read(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	if s.left == 0 && !s.ended {
		if s.left, s.failed = frameLength(s.body, frameMax); s.failed != nil {
			return 0, s.failed
		}
		s.ended = s.left == 0
	}
	if s.ended {
		return 0, io.EOF
	}
	n, err := s.body.Read(p[:min(len(p), int(s.left))])
	s.left -= uint32(n)
	if err != nil && (err != io.EOF || n == 0) {
		s.failed = damaged("%w", noEOF(err))
		return n, s.failed
	}
	return n, nil
}

// noEOF: an end inside the state is not the state's.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
