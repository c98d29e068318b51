package backup

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"

	"filippo.io/age"
)

// Write writes a whole file; state streams the state. A file that Write did not
// finish does not open.
func Write(w io.Writer, to Public, h Header, m Manifest, state func(io.Writer) error) error {
	if err := to.Check(); err != nil {
		return fmt.Errorf("recovery key: %w", err)
	}
	recipient, err := age.ParseHybridRecipient(to.Recipient)
	if err != nil {
		return fmt.Errorf("recovery key: %w", err)
	}
	h.Key = to.Name()
	head, err := h.encode()
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(manifest) > manifestMax {
		return fmt.Errorf("the manifest has %d bytes, more than %d", len(manifest), manifestMax)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	body, err := age.Encrypt(w, recipient)
	if err != nil {
		return err
	}
	proof := hmac.New(sha256.New, to.Proof)
	proof.Write(head)
	out := io.MultiWriter(body, proof)
	if err := writeFrame(out, manifest); err != nil {
		return err
	}
	if err := state(frames{out}); err != nil {
		return err
	}
	if err := writeFrame(out, nil); err != nil {
		return err
	}
	if _, err := body.Write(proof.Sum(nil)); err != nil {
		return err
	}
	return body.Close()
}

// frames cuts what is written into frames.
type frames struct{ w io.Writer }

func (f frames) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), frameSize)
		if err := writeFrame(f.w, p[:n]); err != nil {
			return written, err
		}
		written, p = written+n, p[n:]
	}
	return written, nil
}
