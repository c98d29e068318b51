package volatile

import (
	"errors"
	"io"
	"os"
)

const pageSize = 4096

// file is what waits of one file. The lock of the disk guards it.
type file struct {
	path  string
	os    *os.File         // the durable part, opened while something is done with it
	uses  int              // open handles
	pages map[int64][]byte // by their number
	end   int64            // of what was written and waits
}

func (f *file) open() error {
	if f.os != nil {
		return nil
	}
	var err error
	f.os, err = os.OpenFile(f.path, os.O_RDWR, 0)
	return err
}

func (f *file) release() error {
	if f.os == nil {
		return nil
	}
	err := f.os.Close()
	f.os = nil
	return err
}

// size is what a process sees.
func (f *file) size() (int64, error) {
	info, err := f.os.Stat()
	if err != nil {
		return 0, err
	}
	return max(info.Size(), f.end), nil
}

func (f *file) write(data []byte, offset int64) error {
	for done := 0; done < len(data); {
		at := offset + int64(done)
		page, err := f.page(at / pageSize)
		if err != nil {
			return err
		}
		done += copy(page[at%pageSize:], data[done:])
	}
	f.end = max(f.end, offset+int64(len(data)))
	return nil
}

// page is one that waits; it begins as what is durable.
func (f *file) page(number int64) ([]byte, error) {
	if page, ok := f.pages[number]; ok {
		return page, nil
	}
	page := make([]byte, pageSize)
	if _, err := f.os.ReadAt(page, number*pageSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f.pages[number] = page
	return page, nil
}

func (f *file) read(into []byte, offset int64) ([]byte, error) {
	size, err := f.size()
	if err != nil || offset >= size {
		return nil, err
	}
	into = into[:min(int64(len(into)), size-offset)]
	n, err := f.os.ReadAt(into, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	clear(into[n:]) // beyond the durable end
	last := (offset + int64(len(into)) - 1) / pageSize
	for number := offset / pageSize; number <= last; number++ {
		page, ok := f.pages[number]
		if !ok {
			continue
		}
		if begin := number * pageSize; begin < offset {
			copy(into, page[offset-begin:])
		} else {
			copy(into[begin-offset:], page)
		}
	}
	return into, nil
}

// flush makes what waits durable.
func (f *file) flush() error {
	if len(f.pages) == 0 {
		f.end = 0
		return nil
	}
	if err := f.open(); err != nil {
		return err
	}
	size, err := f.size()
	if err != nil {
		return err
	}
	for number, page := range f.pages { // the places do not overlap
		begin := number * pageSize
		if begin < size {
			if _, err := f.os.WriteAt(page[:min(pageSize, size-begin)], begin); err != nil {
				return err
			}
		}
		delete(f.pages, number)
	}
	f.end = 0
	return nil
}

// truncate is durable at once, as names are.
func (f *file) truncate(size int64) error {
	for number, page := range f.pages {
		begin := number * pageSize
		if begin >= size {
			delete(f.pages, number)
		} else if begin+pageSize > size {
			clear(page[size-begin:])
		}
	}
	f.end = min(f.end, size)
	return f.os.Truncate(size)
}
