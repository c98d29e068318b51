package cluster

import (
	"slices"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// walFiles are the files of a log of segments. Writes that failed leave nothing behind
// the end of those that come after them.
type walFiles struct{ types.VFS }

func newWALFiles() walFiles { return walFiles{walfs.New()} }

func (f walFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.VFS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	return &walFile{WritableFile: file}, nil
}

func (f walFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	file, err := f.VFS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return &walFile{WritableFile: file}, nil
}

// walFile is written by one goroutine. A batch that could not be written or synced is
// tried again, or another one is, at the same place. When that is shorter, the rest of
// the former would stand behind it, where a reader expects nothing.
type walFile struct {
	types.WritableFile
	written int64 // where the last write ended, 0 if it failed
	failed  int64 // how far one that was not synced may have come
}

func (f *walFile) WriteAt(p []byte, offset int64) (int, error) {
	whole := p
	if end := offset + int64(len(p)); f.failed > end {
		whole = append(slices.Clone(p), make([]byte, f.failed-end)...)
	}
	f.written = offset + int64(len(whole))
	n, err := f.WritableFile.WriteAt(whole, offset)
	if err != nil {
		f.written, f.failed = 0, max(f.failed, f.written)
	}
	return min(n, len(p)), err
}

func (f *walFile) Sync() error {
	err := f.WritableFile.Sync()
	switch {
	case err != nil:
		f.failed = max(f.failed, f.written)
	case f.written >= f.failed:
		f.failed = 0
	}
	return err
}
