package redact

import (
	"encoding/json"
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
)

// What cannot be read is refused, and so is what stands for it.
const (
	brokenFilter = "redacted eq \""
	brokenPath   = "redacted["
)

// filter keeps attributes and operators.
func (r *Redactor) filter(text string) string {
	e, err := filter.Parse(text)
	if err != nil {
		return brokenFilter
	}
	return r.expr(e).String()
}

func (r *Redactor) expr(e filter.Expr) filter.Expr {
	switch e := e.(type) {
	case filter.And:
		return filter.And{Left: r.expr(e.Left), Right: r.expr(e.Right)}
	case filter.Or:
		return filter.Or{Left: r.expr(e.Left), Right: r.expr(e.Right)}
	case filter.Not:
		return filter.Not{Expr: r.expr(e.Expr)}
	case filter.ValuePath:
		return filter.ValuePath{Attr: r.attr(e.Attr), Filter: r.expr(e.Filter)}
	case filter.Compare:
		made := filter.Compare{Attr: r.attr(e.Attr), Op: e.Op, Value: e.Value}
		switch v := e.Value.(type) {
		case string:
			made.Value = r.text(v)
		case json.Number:
			made.Value = json.Number(r.number(v.String()))
		}
		return made
	}
	panic("redact: an expression of no known form") // the set is closed
}

// attr keeps the names of attributes. A prefix that is no schema's is not kept.
func (r *Redactor) attr(a filter.Attr) filter.Attr {
	if a.URN != "" && !isURN(a.URN) {
		a.URN = "urn:" + r.word(a.URN)
	}
	a.Name, a.Sub = r.name(a.Name), r.name(a.Sub)
	return a
}

// nameMax bounds the name of an attribute; longer ones are not names.
const nameMax = 64

func (r *Redactor) name(s string) string {
	if len(s) > nameMax {
		return r.word(s)
	}
	return s
}

// path is the path of a PATCH operation, or a key that is one.
func (r *Redactor) path(text string) string {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || isName(trimmed) {
		return text
	}
	p, err := filter.ParsePath(trimmed)
	if err != nil {
		return brokenPath
	}
	if isURN(trimmed) {
		return text // the schema itself, or an attribute of one
	}
	a := r.attr(filter.Attr{URN: p.URN, Name: p.Attr, Sub: p.Sub})
	p.URN, p.Attr, p.Sub = a.URN, a.Name, a.Sub
	if p.Filter != nil {
		p.Filter = r.expr(p.Filter)
	}
	return p.String()
}

// isName is true of what the name of an attribute looks like.
func isName(s string) bool {
	if len(s) > nameMax {
		return false
	}
	for i, c := range s {
		if !isLetter(c) && (i == 0 || !isDigit(c) && c != '_' && c != '-') && !(c == '$' && i == 0) {
			return false
		}
	}
	return true
}

// attributes are names between commas.
func (r *Redactor) attributes(list string) string {
	names := strings.Split(list, ",")
	for i, name := range names {
		names[i] = r.path(name)
	}
	return strings.Join(names, ",")
}
