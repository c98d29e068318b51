package volatile

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory.
type node struct {
	*fs.LoopbackNode
	disk *Disk
}

// WrapChild makes a node of what the library has made.
func (n *node) WrapChild(_ context.Context, below fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: below.(*fs.LoopbackNode), disk: n.disk}
}

var (
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeLookuper  = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeStatfser  = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
)

func (n *node) path() string { return filepath.Join(n.disk.backing, n.Path(n.Root())) }

// waiting is the file of this node, if something of it may wait; the lock is held.
func (n *node) waiting() (*file, bool) {
	f, ok := n.disk.files[n.StableAttr()]
	return f, ok
}

// Open implements fs.NodeOpener.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, err := n.use(n.path())
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	if flags&syscall.O_TRUNC != 0 {
		n.disk.mu.Lock()
		defer n.disk.mu.Unlock()
		if err := h.file.truncate(0); err != nil {
			return nil, 0, fs.ToErrno(err)
		}
	}
	return h, 0, 0
}

// Create implements fs.NodeCreater.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.locked(n.disk.refuses); errno != 0 {
		return nil, nil, 0, errno
	}
	made, first, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	first.(fs.FileReleaser).Release(ctx)
	own := made.Operations().(*node)
	// The kernel does not know of the new inode yet, so it has no path of its own.
	h, err := own.use(filepath.Join(n.path(), name))
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	return made, h, 0, 0
}

// use opens the file at its path once more.
func (n *node) use(path string) (*handle, error) {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := n.waiting()
	if !ok {
		f = &file{pages: map[int64][]byte{}}
		d.files[n.StableAttr()] = f
	}
	f.path = path // it may have been renamed
	if err := f.open(); err != nil {
		return nil, err
	}
	f.uses++
	own, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &handle{LoopbackFile: fs.NewLoopbackFileFromOS(own), disk: d, file: f}, nil
}

func (n *node) locked(do func() syscall.Errno) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return do()
}

// Lookup implements fs.NodeLookuper: the size that the kernel learns includes what
// waits.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	found, errno := n.LoopbackNode.Lookup(ctx, name, out)
	if errno == 0 {
		if own, ok := found.Operations().(*node); ok {
			own.seeSize(&out.Attr)
		}
	}
	return found, errno
}

// Getattr implements fs.NodeGetattrer.
func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Getattr(ctx, nil, out)
	if errno == 0 {
		n.seeSize(&out.Attr)
	}
	return errno
}

func (n *node) seeSize(attr *fuse.Attr) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if f, ok := n.waiting(); ok {
		attr.Size = max(attr.Size, uint64(f.end))
	}
}

// Setattr implements fs.NodeSetattrer.
func (n *node) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if errno := n.setSize(int64(size)); errno != 0 {
			return errno
		}
		in.Valid &^= fuse.FATTR_SIZE
	}
	errno := n.LoopbackNode.Setattr(ctx, nil, in, out)
	if errno == 0 {
		n.seeSize(&out.Attr)
	}
	return errno
}

func (n *node) setSize(size int64) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.dead {
		return syscall.EIO
	}
	f, ok := n.waiting()
	if !ok || f.os == nil {
		return fs.ToErrno(os.Truncate(n.path(), size))
	}
	return fs.ToErrno(f.truncate(size))
}

// Unlink implements fs.NodeUnlinker.
func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if n.locked(n.disk.off) != 0 {
		return syscall.EIO
	}
	child := n.GetChild(name)
	errno := n.LoopbackNode.Unlink(ctx, name)
	if errno == 0 && child != nil {
		n.disk.forget(child.StableAttr())
	}
	return errno
}

// Rename implements fs.NodeRenamer.
func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if n.locked(n.disk.off) != 0 {
		return syscall.EIO
	}
	moved, replaced := n.GetChild(name), to.EmbeddedInode().GetChild(newName)
	errno := n.LoopbackNode.Rename(ctx, name, to, newName, flags)
	if errno != 0 {
		return errno
	}
	if replaced != nil {
		n.disk.forget(replaced.StableAttr())
	}
	if moved != nil {
		n.disk.mu.Lock()
		defer n.disk.mu.Unlock()
		if f, ok := n.disk.files[moved.StableAttr()]; ok {
			f.path = filepath.Join(n.disk.backing, to.EmbeddedInode().Path(n.Root()), newName)
		}
	}
	return 0
}

// off is EIO after the power was cut; the lock is held.
func (d *Disk) off() syscall.Errno {
	if d.dead {
		return syscall.EIO
	}
	return 0
}

// forget drops what waits of a file that has no name any more. Processes that have it
// open see what is durable; none of the product's do that.
func (d *Disk) forget(id fs.StableAttr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.files[id]; ok && f.uses == 0 {
		delete(d.files, id)
	} else if ok {
		f.pages = map[int64][]byte{}
	}
}

// Statfs implements fs.NodeStatfser.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	errno := n.LoopbackNode.Statfs(ctx, out)
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	t := n.disk.trouble
	if errno == 0 && (t.Full || t.Free > 0) {
		out.Bfree = t.Free / uint64(out.Bsize)
		out.Bavail = out.Bfree
	}
	return errno
}

// handle is one opening of a file.
type handle struct {
	*fs.LoopbackFile // locks and seeks are the backing file's
	disk             *Disk
	file             *file
}

var (
	_ fs.FileReader    = (*handle)(nil)
	_ fs.FileWriter    = (*handle)(nil)
	_ fs.FileFsyncer   = (*handle)(nil)
	_ fs.FileReleaser  = (*handle)(nil)
	_ fs.FileAllocater = (*handle)(nil)
)

// PassthroughFd says that the kernel must ask: it would go to the durable part.
func (h *handle) PassthroughFd() (int, bool) { return 0, false }

// Read implements fs.FileReader.
func (h *handle) Read(_ context.Context, into []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	data, err := h.file.read(into, offset)
	return fuse.ReadResultData(data), fs.ToErrno(err)
}

// Write implements fs.FileWriter.
func (h *handle) Write(_ context.Context, data []byte, offset int64) (uint32, syscall.Errno) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if errno := h.disk.refuses(); errno != 0 {
		return 0, errno
	}
	if err := h.file.write(data, offset); err != nil {
		return 0, fs.ToErrno(err)
	}
	return uint32(len(data)), 0
}

// Fsync implements fs.FileFsyncer.
func (h *handle) Fsync(context.Context, uint32) syscall.Errno { return h.disk.sync(h.file) }

// Allocate implements fs.FileAllocater.
func (h *handle) Allocate(ctx context.Context, offset, size uint64, mode uint32) syscall.Errno {
	h.disk.mu.Lock()
	errno := h.disk.refuses()
	h.disk.mu.Unlock()
	if errno != 0 {
		return errno
	}
	return h.LoopbackFile.Allocate(ctx, offset, size, mode)
}

// Release implements fs.FileReleaser.
func (h *handle) Release(ctx context.Context) syscall.Errno {
	h.disk.mu.Lock()
	h.file.uses--
	if h.file.uses == 0 && len(h.file.pages) == 0 {
		h.file.release()
	}
	h.disk.mu.Unlock()
	return h.LoopbackFile.Release(ctx)
}
