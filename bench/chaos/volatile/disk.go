// Package volatile is a file system with the memory of a disk: what was written and
// not synced is lost when the power is cut. It passes everything through to a
// directory, except that written pages wait in memory until their file is synced.
// It can also be slow, hang, fail and be full, as disks are.
//
// Names are durable at once: a file that was created, renamed or cut to a size stays
// so without a sync of its directory. A loss of names is not tried here.
package volatile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// attributes may be kept by the kernel for so long: nobody else changes the files.
const attributesKept = time.Second

// Trouble is what is wrong with a disk; the zero value is nothing.
type Trouble struct {
	Slow time.Duration // every sync takes this much longer
	Fail bool          // every sync fails with EIO
	Hang bool          // no sync returns until the trouble is over
	Full bool          // nothing can be written
	Free uint64        // bytes that the disk says are free; 0: the truth
}

// Disk is one mounted file system, from one switching on to the next cut.
type Disk struct {
	backing, mount string
	server         *fuse.Server

	mu      sync.Mutex
	changed sync.Cond // trouble or dead
	files   map[fs.StableAttr]*file
	trouble Trouble
	dead    bool // the power is off
	syncs   int
}

// Mount shows the directory backing at mount, which is made.
func Mount(backing, mount string) (*Disk, error) {
	if err := os.MkdirAll(mount, 0o700); err != nil {
		return nil, err
	}
	d := &Disk{backing: backing, mount: mount, files: map[fs.StableAttr]*file{}}
	d.changed.L = &d.mu
	root := &fs.LoopbackRoot{Path: backing}
	top := &node{LoopbackNode: &fs.LoopbackNode{RootData: root}, disk: d}
	root.RootNode = top
	kept := attributesKept
	var err error
	d.server, err = fs.Mount(mount, top, &fs.Options{
		AttrTimeout: &kept, EntryTimeout: &kept,
		MountOptions: fuse.MountOptions{
			FsName: filepath.Base(backing), Name: "volatile",
			DirectMountStrict: true, // no program of setuid is needed by root
			EnableLocks:       true, // the log's file is locked against a second process
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", mount, err)
	}
	return d, nil
}

// Set begins or ends trouble.
func (d *Disk) Set(t Trouble) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = t
	d.changed.Broadcast()
}

// Syncs counts those that were asked for.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Cut is the loss of power. Of the pages that were not synced those survive which keep
// chooses: a disk writes them when it likes, and in any order. Nothing that the
// processes do from now on is kept, so they are to be killed; then Unmount.
func (d *Disk) Cut(keep func() bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	d.changed.Broadcast()
	var failed error
	for _, f := range d.files {
		for page := range f.pages {
			if !keep() {
				delete(f.pages, page)
			}
		}
		failed = errors.Join(failed, f.flush())
	}
	return failed
}

// Unmount ends the file system; no process may use it. What waits is lost.
func (d *Disk) Unmount() error {
	d.mu.Lock()
	d.dead = true
	d.changed.Broadcast()
	d.mu.Unlock()
	if err := d.server.Unmount(); err != nil {
		return fmt.Errorf("unmount %s: %w", d.mount, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	for _, f := range d.files {
		err = errors.Join(err, f.release())
	}
	return err
}

// sync makes a file durable, with the trouble that the disk has.
func (d *Disk) sync(f *file) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
	if slow := d.trouble.Slow; slow > 0 && !d.dead {
		d.mu.Unlock()
		time.Sleep(slow)
		d.mu.Lock()
	}
	for d.trouble.Hang && !d.dead {
		d.changed.Wait()
	}
	switch {
	case d.dead || d.trouble.Fail:
		return syscall.EIO
	case d.trouble.Full && len(f.pages) > 0:
		return syscall.ENOSPC
	}
	return fs.ToErrno(f.flush())
}

// refuses is why nothing can be written; the lock is held.
func (d *Disk) refuses() syscall.Errno {
	switch {
	case d.dead:
		return syscall.EIO
	case d.trouble.Full:
		return syscall.ENOSPC
	}
	return 0
}
