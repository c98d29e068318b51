package watch

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// headerIndex is the index that an answer must not be older than, and how new it is.
const headerIndex = "X-Authfi-Index"

// Bounds of a request.
const (
	typesMax   = 16
	typeMax    = 64 // bytes; the longest type has 24
	objectMax  = 64 // bytes; an id has 36
	wholeIndex = math.MaxUint32
)

// place is where a follower stands: everything up to it has been seen. The zero
// place is before the oldest event that is kept.
type place struct {
	index   directory.Index
	ordinal uint32 // wholeIndex: all of the index
}

func (p place) before(q place) bool {
	return p.index < q.index || p.index == q.index && p.ordinal < q.ordinal
}

// request is what a follower asks for, in either dialect.
type request struct {
	token    string
	org      directory.OrgID // zero: the caller's own
	atLeast  directory.Index
	from     place
	snapshot bool
	filter   filter
}

func newRequest(m *authfiv1.WatchRequest, header http.Header) (r request, err error) {
	r = request{token: access.Bearer(header), snapshot: m.GetSnapshot()}
	if r.from, err = placeOf(m); err != nil {
		return r, err
	}
	if text := m.GetOrgId(); text != "" {
		if r.org, err = directory.ParseOrgID(text); err != nil {
			return r, err
		}
	}
	if text := header.Get(headerIndex); text != "" {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return r, directory.Invalid(headerIndex, "must be an index")
		}
		r.atLeast = directory.Index(index)
	}
	r.filter = filter{types: m.GetType(), object: m.GetObject()}
	return r, r.filter.check()
}

func placeOf(m *authfiv1.WatchRequest) (place, error) {
	switch {
	case m.GetSnapshot() && m.GetAfter() != 0:
		return place{}, directory.Invalid("after", "has no meaning in a stream that begins with the rows")
	case m.AfterOrdinal != nil && m.GetAfter() == 0:
		return place{}, directory.Invalid("after_ordinal", "is of the index in after, which is missing")
	case m.AfterOrdinal != nil:
		return place{directory.Index(m.GetAfter()), m.GetAfterOrdinal()}, nil
	case m.GetAfter() != 0:
		return place{directory.Index(m.GetAfter()), wholeIndex}, nil
	}
	return place{}, nil
}

// filter says which events are asked for; what is empty asks for all.
type filter struct {
	types  []string
	object string
}

func (f *filter) check() error {
	if len(f.types) > typesMax {
		return directory.Invalid("type", "more than %d", typesMax)
	}
	for _, text := range f.types {
		if err := directory.CheckText("type", text, typeMax, true); err != nil {
			return err
		}
	}
	return directory.CheckText("object", f.object, objectMax, false)
}

func (f *filter) matches(e *directory.Event) bool {
	return f.matchesObject(e.Object) && (len(f.types) == 0 || slices.ContainsFunc(f.types, func(asked string) bool {
		return asked == string(e.Type) || strings.HasSuffix(asked, ".") && strings.HasPrefix(string(e.Type), asked)
	}))
}

func (f *filter) matchesObject(id string) bool { return f.object == "" || f.object == id }
