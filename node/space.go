package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Levels of free space of the data directory. The storage engine maps its files, and
// writing into a hole of a full disk kills the process before it could refuse; so it
// is not let come to that.
const (
	// spaceReserve is where a node stops to propose: as a leader it hands over to one
	// with more.
	spaceReserve = 256 << 20
	// spaceLast is where the log stops to grow, also behind another leader, and the
	// ballast is given up: what was committed before still has to be stored.
	spaceLast = 128 << 20
	// ballast is space that the node holds for that moment, since other programs may
	// fill the disk faster than it can see.
	ballast = 64 << 20

	ballastFile = "ballast"
	spaceEvery  = time.Second
)

// freeSpace of the file system of a directory, for who is not root.
func freeSpace(dir string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("free space of the data directory: %w", err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}

// hasSpace is an error while the data directory has less than a level.
func (n *Node) hasSpace(level uint64) error {
	free, err := freeSpace(n.cfg.Dir)
	if err == nil && free < level {
		err = fmt.Errorf("%d MiB are left on the disk", free>>20)
	}
	return err
}

func (n *Node) mayPropose() error { return n.hasSpace(spaceReserve) }
func (n *Node) mayGrow() error    { return n.hasSpace(spaceLast) }

// watchSpace gives the ballast up and takes it back; nobody has to do anything.
func (n *Node) watchSpace(ctx context.Context) {
	ticker := time.NewTicker(spaceEvery)
	defer ticker.Stop()
	for {
		if err := trimBallast(n.cfg.Dir); err != nil {
			n.log.Warn("ballast", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// trimBallast removes the ballast below the last level, and makes it when that leaves
// the reserve untouched.
func trimBallast(dir string) error {
	file := filepath.Join(dir, ballastFile)
	free, err := freeSpace(dir)
	if err != nil {
		return err
	}
	_, err = os.Stat(file)
	switch held := err == nil; {
	case held && free < spaceLast:
		return os.Remove(file)
	case !held && errors.Is(err, fs.ErrNotExist) && free >= spaceReserve+2*ballast:
		return holdBallast(file)
	}
	return nil
}

func holdBallast(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, ballast), f.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(file)) // a file system without allocation has no ballast
	}
	return err
}
