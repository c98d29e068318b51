package effective

import "slices"

// set is a persistent set of ordinals: sorted chunks, each copied when an edit
// first writes it, and so is the list of them. The zero value is empty. A set
// of a million copies 20 kB for its first change in an edit, one of a hundred
// half a kilobyte.
type set struct {
	token  uint64
	chunks []*chunk
	n      int
}

type chunk struct {
	token uint64
	list  []uint32 // never empty
}

// chunkMax balances the copy of one chunk against the copy of their list.
const chunkMax = 512

func (s *set) len() int { return s.n }

func (s *set) has(o uint32) bool {
	c := s.find(o)
	if c == len(s.chunks) {
		return false
	}
	_, ok := slices.BinarySearch(s.chunks[c].list, o)
	return ok
}

// find is the first chunk that ends at o or later.
func (s *set) find(o uint32) int {
	low, high := 0, len(s.chunks)
	for low < high {
		middle := (low + high) / 2
		list := s.chunks[middle].list
		if list[len(list)-1] < o {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// each walks in ordinal order until yield says no.
func (s *set) each(yield func(uint32) bool) {
	for _, c := range s.chunks {
		for _, o := range c.list {
			if !yield(o) {
				return
			}
		}
	}
}

// put has o in the set or not in it.
func (s *set) put(o uint32, on bool, token uint64) {
	if s.has(o) == on {
		return
	}
	if s.token != token {
		s.chunks, s.token = slices.Clone(s.chunks), token
	}
	if on {
		s.insert(o, token)
	} else {
		s.remove(o, token)
	}
}

func (s *set) insert(o uint32, token uint64) {
	s.n++
	c := s.find(o)
	if c == len(s.chunks) {
		if c == 0 || len(s.chunks[c-1].list) >= chunkMax {
			s.chunks = append(s.chunks, &chunk{token, []uint32{o}})
			return
		}
		c-- // past the end of all: the last chunk has room
	}
	list := s.own(c, token)
	i, _ := slices.BinarySearch(list.list, o)
	list.list = slices.Insert(list.list, i, o)
	if len(list.list) > chunkMax {
		s.split(c, token)
	}
}

func (s *set) split(c int, token uint64) {
	full := s.chunks[c].list
	right := &chunk{token, slices.Clone(full[len(full)/2:])}
	s.chunks[c].list = slices.Clip(full[:len(full)/2])
	s.chunks = slices.Insert(s.chunks, c+1, right)
}

func (s *set) remove(o uint32, token uint64) {
	s.n--
	c := s.find(o)
	if len(s.chunks[c].list) == 1 {
		s.chunks = slices.Delete(s.chunks, c, c+1)
		return
	}
	list := s.own(c, token)
	i, _ := slices.BinarySearch(list.list, o)
	list.list = slices.Delete(list.list, i, i+1)
}

func (s *set) own(c int, token uint64) *chunk {
	if s.chunks[c].token != token {
		s.chunks[c] = &chunk{token, slices.Clone(s.chunks[c].list)}
	}
	return s.chunks[c]
}
