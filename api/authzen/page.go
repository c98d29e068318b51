package authzen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"sort"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Sizes of a page.
const (
	pageDefault = 100
	pageMax     = 1000 // a larger limit is taken for it: the token says that there is more
	tokenMax    = 512
)

// search is one page of a search. All pages are from the index of the first, and
// the caller's rights are asked again for each.
type search struct {
	h       *handler
	pass    *access.Pass
	org     *state.Org
	purpose string // of the token: the endpoint, the organization and what was asked
	token   []byte // opened; empty on the first page
	stated  uint32 // the limit that the first request stated; noLimit if none
	limit   int
	index   directory.Index
	after   string
}

const noLimit = 1<<32 - 1

// search admits the request and finds the state that the page is from.
func (a *asked) search(op access.Operation) (*search, error) {
	if _, err := a.body.optional("context"); err != nil {
		return nil, err
	}
	pass, err := a.admit(op, a.fresh)
	if err != nil {
		return nil, err
	}
	s := &search{h: a.h, pass: pass, org: pass.View(), index: pass.View().Applied()}
	s.purpose = "authzen " + a.endpoint + "\x00" + a.org.String() + "\x00" + a.body.fingerprint()
	if err := s.page(a.body); err != nil || len(s.token) == 0 {
		return s, err
	}
	if s.index > pass.View().Applied() { // the search began on a node that was ahead
		if s.pass, err = a.admit(op, access.Freshness{AtLeast: s.index}); err != nil {
			return nil, err
		}
	}
	s.org, err = s.pass.At(s.index)
	return s, err
}

// fingerprint stands for the entities of a request: those of a further page must
// be the same.
func (o object) fingerprint() string {
	entities := map[string]any{}
	for _, name := range defaultable {
		if raw, ok := o[name]; ok {
			var value any
			if json.Unmarshal(raw, &value) == nil {
				entities[name] = value
			}
		}
	}
	text, err := json.Marshal(entities) // names in order, whatever theirs was
	if err != nil {
		panic("authzen: JSON that was read cannot be written: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// page reads what the request says of the page.
func (s *search) page(body object) error {
	o, err := body.optional("page")
	if err != nil {
		return err
	}
	if _, err := o.optional("properties"); err != nil {
		return err
	}
	s.stated = noLimit
	if raw, ok := o["limit"]; ok {
		if json.Unmarshal(raw, &s.stated) != nil || string(raw) == "null" {
			return directory.Invalid("page.limit", "must be a whole number, 0 or more")
		}
	}
	if err := s.open(o); err != nil {
		return err
	}
	s.limit = pageDefault
	if s.stated != noLimit {
		s.limit = int(min(s.stated, pageMax))
	}
	return nil
}

// open reads the token, which holds the index, the limit and the last result of
// the page before.
func (s *search) open(o object) error {
	raw, ok := o["token"]
	if !ok {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return directory.Invalid("page.token", "must be a string")
	}
	if text == "" {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > tokenMax {
		return errToken()
	}
	if s.token, err = s.h.Ring.Open(s.purpose, sealed); err != nil || len(s.token) < 12 {
		return errToken()
	}
	limit := binary.BigEndian.Uint32(s.token[8:])
	if s.stated != noLimit && s.stated != limit {
		return directory.Invalid("page.limit", "must stay what it was on the first page")
	}
	s.index, s.stated, s.after = directory.Index(binary.BigEndian.Uint64(s.token)), limit, string(s.token[12:])
	return nil
}

func errToken() error {
	return directory.Invalid("page.token", "is not one of this search: everything but the token must stay as it was")
}

// cut answers with the page of results that are known as a whole, in order.
func (s *search) cut(all []string, show func(string) any) (any, error) {
	from := 0
	if s.after != "" {
		from = sort.Search(len(all), func(i int) bool { return all[i] > s.after })
	}
	return s.answer(all[from:min(len(all), from+s.limit+1)], len(all), show)
}

// answer shows the results up to the limit; one more says that there is a next
// page.
func (s *search) answer(results []string, total int, show func(string) any) (any, error) {
	answer := searchAnswer{Context: grounds{Index: s.index}, Results: []any{}, Page: pageAnswer{Total: total}}
	if len(results) > s.limit {
		results = results[:s.limit]
		last := s.after
		if s.limit > 0 {
			last = results[s.limit-1]
		}
		token, err := s.next(last)
		if err != nil {
			return nil, err
		}
		answer.Page.NextToken = token
		if len(s.token) == 0 {
			s.pass.Pin()
		}
	}
	for _, result := range results {
		answer.Results = append(answer.Results, show(result))
	}
	answer.Page.Count = len(answer.Results)
	return answer, nil
}

func (s *search) next(last string) (string, error) {
	place := binary.BigEndian.AppendUint64(nil, uint64(s.index))
	place = binary.BigEndian.AppendUint32(place, s.stated)
	sealed, err := s.h.Ring.Seal(s.purpose, append(place, last...))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}
