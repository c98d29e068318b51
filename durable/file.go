// Package durable puts files on the disk: after a crash or a power cut there is what was
// before or all that came, and never a part. It does not know what it writes.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// OwnerOnly is the mode of what is for its owner's eyes.
const OwnerOnly fs.FileMode = 0o600

// Replace gives a file the content that is written, whether it is there or not.
func Replace(name string, mode fs.FileMode, write func(io.Writer) error) error {
	return put(name, mode, write, os.Rename)
}

// New is Replace of a file that must not be there; if it is, that is fs.ErrExist.
func New(name string, mode fs.FileMode, write func(io.Writer) error) error {
	return put(name, mode, write, func(from, to string) error {
		return errors.Join(os.Link(from, to), os.Remove(from)) // a link, unlike a rename, replaces nothing
	})
}

// Content writes bytes that are there already.
func Content[Bytes []byte | string](b Bytes) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, string(b))
		return err
	}
}

// put writes beside the place, and takes the place when all is on the disk.
func put(name string, mode fs.FileMode, write func(io.Writer) error, take func(from, to string) error) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*") // for its owner alone
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil && mode != OwnerOnly {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := take(f.Name(), name); err != nil {
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes names in a directory durable: that a file is there, or is no more.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
