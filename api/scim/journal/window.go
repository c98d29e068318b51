package journal

import "time"

// Window is how far back requests are counted: a day, in which a provider that
// works has run some 36 cycles and one in quarantine has tried at least once.
const Window = windowSlices * sliceLength

// The window moves on by slices.
const (
	windowSlices = 48
	sliceLength  = 30 * time.Minute
)

// Classes of status that are counted: 2xx to 5xx. An answer of another class would
// be counted in the nearest one; there is none.
const (
	firstClass = 2
	lastClass  = 5
)

// window has the counts of each slice.
type window [windowSlices]counts

// counts are those of one slice.
type counts struct {
	slice     int64 // number of the slice since 1970
	class     [lastClass - firstClass + 1]uint32
	reference uint32 // failures of references only, which are in class, too
	refused   uint32
}

func sliceOf(now time.Time) int64 { return now.Unix() / int64(sliceLength/time.Second) }

// at are the counts of now, which begin anew where those of a day ago stood.
func (w *window) at(now time.Time) *counts {
	slice := sliceOf(now)
	c := &w[slice%windowSlices]
	if c.slice != slice {
		*c = counts{slice: slice}
	}
	return c
}

// Counts are the requests of the window.
type Counts struct {
	Success       uint64 // 2xx
	Redirection   uint64 // 3xx: a read whose answer the provider has
	ClientFailure uint64 // 4xx
	ServerFailure uint64 // 5xx
	// Reference counts the failures, of those above, of requests that only set members
	// or managers.
	Reference uint64
	Refused   uint64 // with a token that is none of the connection's; not in the others
}

func (w *window) sum(now time.Time) (sum Counts) {
	newest := sliceOf(now)
	for i := range w {
		c := &w[i]
		if c.slice <= newest-windowSlices || c.slice > newest {
			continue
		}
		sum.add(Counts{
			Success: uint64(c.class[0]), Redirection: uint64(c.class[1]), ClientFailure: uint64(c.class[2]), ServerFailure: uint64(c.class[3]),
			Reference: uint64(c.reference), Refused: uint64(c.refused),
		})
	}
	return sum
}

func (c *Counts) add(o Counts) {
	c.Success += o.Success
	c.Redirection += o.Redirection
	c.ClientFailure += o.ClientFailure
	c.ServerFailure += o.ServerFailure
	c.Reference += o.Reference
	c.Refused += o.Refused
}

// Requests are all with a valid token.
func (c Counts) Requests() uint64 { return c.Success + c.Redirection + c.Failures() }

// Failures are those that were refused or failed.
func (c Counts) Failures() uint64 { return c.ClientFailure + c.ServerFailure }
