package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// verifiedWAL opens a log of segments once it is sure that nothing is lost at its end,
// and reads every entry of it.
func verifiedWAL(path string) (LogStore, error) {
	if err := verifyTail(path); err != nil {
		return nil, err
	}
	var log LogStore
	err := faultless(func() (err error) {
		log, err = openWAL(path)
		return err
	})
	var failed syscall.Errno
	switch {
	case errors.As(err, &failed) && failed != syscall.ENOENT:
		return nil, err // the disk, or a limit of the process
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDamagedLog, err)
	}
	if err := (checkedLog{log}).verify(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return log, nil
}

// Of the format of a segment: a header of 32 bytes, and frames that begin with eight
// bytes, which are the kind, three zeros and the length, or the sum of the batch in the
// frame that ends it. What is behind the last batch is zero, for the file is allocated
// at once and written from front to back.
const (
	segmentHead = 32
	frameHead   = 8
	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
	sector      = 512 // the least that a disk writes whole
)

// verifyTail looks at the end of the last segment. The library takes a batch that it
// cannot read there for one that a power cut has torn, which nobody was answered for,
// and goes on before it. But an acknowledged batch with an altered bit looks the same
// to it, and so does everything behind an altered length.
func verifyTail(path string) error {
	files, err := filepath.Glob(filepath.Join(path, "*.wal"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%w: there is no segment in %s", ErrDamagedLog, filepath.Base(path))
	}
	// The number of a segment is the second of its name, in the order they were made.
	last := slices.MaxFunc(files, func(a, b string) int { return strings.Compare(segmentNumber(a), segmentNumber(b)) })
	segment, err := os.ReadFile(last)
	if err != nil {
		return err
	}
	begin, good := wholeBatches(segment)
	rest := bytes.TrimRight(segment[good:], "\x00")
	if len(rest) > 0 && !torn(segment[:good+len(rest)], good) {
		return fmt.Errorf("%w: what follows byte %d of %s was not left by a power cut", ErrDamagedLog, good, filepath.Base(last))
	}
	return syncAgain(last, segment[begin:good], begin)
}

// syncAgain writes what stands in a file already: a sync that failed may have left it in
// memory alone, where every reader but the disk sees it.
func syncAgain(path string, batch []byte, at int) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteAt(batch, int64(at)); err != nil {
		return err
	}
	return file.Sync()
}

func segmentNumber(file string) string {
	_, number, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".wal"), "-")
	return number
}

// wholeBatches is where the last batch begins and ends that is as it was written, with
// all before it.
func wholeBatches(b []byte) (begin, end int) {
	for at := segmentHead; at+frameHead <= len(b); {
		n := int(binary.LittleEndian.Uint32(b[at+4:]))
		switch b[at] {
		case frameEntry, frameIndex:
			at += frameHead + (n+frameHead-1)/frameHead*frameHead
		case frameCommit:
			if crc32.Checksum(b[end:at], castagnoli) != uint32(n) {
				return begin, end
			}
			at += frameHead
			begin, end = end, at
		default:
			return begin, end
		}
	}
	return begin, end
}

// torn reports whether what follows the whole batches, up to the last byte that is not
// zero, can be one batch of which some sectors have not reached the disk: one of them is
// still zero, or the end is that of a sector. Nothing is written behind a batch before
// it is on the disk, so a batch that is followed by something was there once.
func torn(b []byte, good int) bool {
	words := (len(b) - good + frameHead - 1) / frameHead
	b = append(bytes.Clone(b), make([]byte, frameHead)...)
	ended := false
	for w := range words {
		if ended {
			return false
		}
		word := b[good+w*frameHead:][:frameHead]
		ended = word[0] == frameCommit && word[1]|word[2]|word[3] == 0 && !bytes.Equal(word[4:], make([]byte, 4))
	}
	end := good + words*frameHead
	if !ended && end%sector == 0 {
		return true
	}
	for from := good; from < end; {
		to := min((from/sector+1)*sector, end)
		if len(bytes.Trim(b[from:to], "\x00")) == 0 {
			return true
		}
		from = to
	}
	return false
}
