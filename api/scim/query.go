package scim

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
)

const (
	searchURN = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	// countDefault is the page size of Okta's imports.
	countDefault = 100
	// countMax bounds an answer: 1000 users are about 2 MB.
	countMax = 1000
	// searchMax bounds the body of a search in bytes: a filter of 8 KB, and room for
	// the names of all attributes.
	searchMax = 64 << 10
)

// The scimType values of RFC 9865 section 2.1.
const (
	invalidCursor = "invalidCursor"
	invalidCount  = "invalidCount"
)

// query is what a client asks of a list, in the address or in the body of a search
// (RFC 7644 sections 3.4.2 and 3.4.3, RFC 9865).
type query struct {
	text         string      // the filter as it was sent
	filter       filter.Expr // nil: everything
	sortBy       string
	sortPath     filter.Attr
	descending   bool
	start, count int
	byCursor     bool
	cursor       string // empty: the first page
}

// searchRequest is the body of POST .search.
type searchRequest struct {
	Schemas            []string `json:"schemas"`
	Attributes         []string `json:"attributes"`
	ExcludedAttributes []string `json:"excludedAttributes"`
	Filter             *string  `json:"filter"`
	SortBy             string   `json:"sortBy"`
	SortOrder          string   `json:"sortOrder"`
	StartIndex         *int     `json:"startIndex"`
	Count              *int     `json:"count"`
	Cursor             *string  `json:"cursor"`
}

// queryOf reads the query of a GET, whose projection is known already.
func (r *request) queryOf() (*query, error) {
	values, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	in := searchRequest{SortBy: values.Get("sortBy"), SortOrder: values.Get("sortOrder")}
	in.Filter, in.Cursor = optional(values, "filter"), optional(values, "cursor")
	countType := patch.InvalidValue
	if in.Cursor != nil {
		countType = invalidCount
	}
	if in.StartIndex, err = number(values.Get("startIndex"), "startIndex", patch.InvalidValue); err != nil {
		return nil, err
	}
	if in.Count, err = number(values.Get("count"), "count", countType); err != nil {
		return nil, err
	}
	return in.query()
}

func optional(values url.Values, name string) *string {
	if !values.Has(name) {
		return nil
	}
	text := values.Get(name)
	return &text
}

func number(text, name, scimType string) (*int, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // of which the nearest integer is as good
		return nil, &patch.Error{ScimType: scimType, Detail: name + " must be an integer"}
	}
	return &n, nil
}

// searchOf reads the body of a search, which has the projection as well.
func (r *request) searchOf() (*query, error) {
	body, err := r.body(searchMax)
	if err != nil {
		return nil, err
	}
	var in searchRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, &patch.Error{ScimType: patch.InvalidSyntax, Detail: "the body is not a search request: " + readable(err)}
	}
	if !contains(in.Schemas, searchURN) {
		return nil, &patch.Error{ScimType: patch.InvalidSyntax, Detail: "schemas must name " + searchURN}
	}
	if r.fields, err = newProjection(strings.Join(in.Attributes, ","), strings.Join(in.ExcludedAttributes, ",")); err != nil {
		return nil, err
	}
	return in.query()
}

func contains(schemas []string, urn string) bool {
	for _, s := range schemas {
		if strings.EqualFold(s, urn) {
			return true
		}
	}
	return false
}

// readable says what is wrong with JSON without the names of Go's types.
func readable(err error) string {
	if wrong, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Sprintf("%s cannot be a %s", wrong.Field, wrong.Value)
	}
	return err.Error()
}

func (in searchRequest) query() (q *query, err error) {
	q = &query{start: 1, count: countDefault, sortBy: in.SortBy}
	if in.StartIndex != nil {
		q.start = max(*in.StartIndex, 1)
	}
	if in.Count != nil {
		q.count = min(max(*in.Count, 0), countMax)
	}
	if in.Filter != nil {
		q.text = *in.Filter
		if q.filter, err = filter.Parse(q.text); err != nil {
			return nil, err
		}
		if err := comparesBooleans(q.filter, ""); err != nil {
			return nil, err
		}
	}
	if in.Cursor != nil {
		if in.StartIndex != nil {
			return nil, &patch.Error{ScimType: patch.InvalidValue, Detail: "a page is asked for by startIndex or by cursor, not by both"}
		}
		if q.count == 0 {
			return nil, &patch.Error{ScimType: invalidCount, Detail: fmt.Sprintf("with a cursor count must be 1 to %d", countMax)}
		}
		q.byCursor, q.cursor = true, *in.Cursor
	}
	return q, q.order(in.SortOrder)
}

// order reads sortBy and sortOrder. An order without an attribute means nothing.
func (q *query) order(direction string) error {
	switch {
	case strings.EqualFold(direction, "descending"):
		q.descending = true
	case direction != "" && !strings.EqualFold(direction, "ascending"):
		return &patch.Error{ScimType: patch.InvalidValue, Detail: "sortOrder must be ascending or descending"}
	}
	if q.sortBy == "" {
		return nil
	}
	path, err := filter.ParsePath(q.sortBy)
	if err != nil || path.Filter != nil || path.Attr == "" {
		return &patch.Error{ScimType: patch.InvalidPath, Detail: fmt.Sprintf("sortBy %.100q is not the path of an attribute", q.sortBy)}
	}
	q.sortPath = filter.Attr{URN: path.URN, Name: path.Attr, Sub: path.Sub}
	return nil
}

// comparesBooleans refuses a comparison of a boolean that asks for an order or a part of
// it (RFC 7644 section 3.4.2.2), whoever there is to hold it against.
func comparesBooleans(e filter.Expr, within string) error {
	switch e := e.(type) {
	case filter.And:
		return cmp.Or(comparesBooleans(e.Left, within), comparesBooleans(e.Right, within))
	case filter.Or:
		return cmp.Or(comparesBooleans(e.Left, within), comparesBooleans(e.Right, within))
	case filter.Not:
		return comparesBooleans(e.Expr, within)
	case filter.ValuePath:
		return comparesBooleans(e.Filter, e.Attr.String()+".")
	case filter.Compare:
		switch e.Op {
		case filter.Equal, filter.NotEqual, filter.Present:
			return nil
		}
		if patch.User.Boolean(within + e.Attr.String()) {
			return &filter.Error{Pos: e.Pos, Message: fmt.Sprintf("operator %s does not apply to the boolean %s%s", e.Op, within, e.Attr)}
		}
	}
	return nil
}
