package rest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Operation is a row of the API's document.
type Operation struct {
	Name        string // as the procedure is called
	Method      string
	Path        string // with {names} of fields
	Body        string // "*": what the path does not hold; a name: that field alone; empty: none
	Read        bool   // changes nothing
	Conditional bool   // takes If-Match
	Anonymous   bool   // what it holds is the credential
	Local       bool   // about the node that answers: the next one would do it to itself
}

// request is an operation with what is asked.
type request struct {
	path string // with the query
	body []byte
}

// prepare puts the fields of in where the operation has them.
func (o *Operation) prepare(in any) (r request, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return r, fmt.Errorf("authfi: %s: %w", o.Name, err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return r, fmt.Errorf("authfi: %s: %w", o.Name, err)
	}
	if r.path, err = o.fill(fields); err != nil {
		return r, err
	}
	switch o.Body {
	case "":
	case "*":
		r.body, err = json.Marshal(fields)
		return r, err
	default:
		held, ok := fields[o.Body]
		if !ok {
			held = json.RawMessage("[]") // the one such body is a list, and an empty one is no value
		}
		delete(fields, o.Body)
		if r.body, err = json.Marshal(map[string]json.RawMessage{o.Body: held}); err != nil {
			return r, err
		}
	}
	query, err := queryOf(fields)
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	return r, err
}

// fill takes the fields that the path names. One that is empty would make it the path of
// something else.
func (o *Operation) fill(fields map[string]json.RawMessage) (string, error) {
	path := ""
	for rest := o.Path; ; {
		before, after, found := strings.Cut(rest, "{")
		path += before
		if !found {
			return path, nil
		}
		name, behind, _ := strings.Cut(after, "}")
		values, err := texts(fields[name])
		if err != nil || len(values) != 1 || values[0] == "" || values[0] == "." || values[0] == ".." {
			return "", fmt.Errorf("authfi: %s needs %s", o.Name, name)
		}
		path += url.PathEscape(values[0])
		delete(fields, name)
		rest = behind
	}
}

func queryOf(fields map[string]json.RawMessage) (url.Values, error) {
	query := url.Values{}
	for name, value := range fields {
		values, err := texts(value)
		if err != nil {
			return nil, fmt.Errorf("authfi: %s: %w", name, err)
		}
		query[name] = values
	}
	return query, nil
}

// texts are a scalar, or a list of them, as a path or a query has them.
func texts(value json.RawMessage) ([]string, error) {
	var list []json.RawMessage
	if len(value) == 0 {
		return nil, nil
	}
	if json.Unmarshal(value, &list) != nil {
		list = []json.RawMessage{value}
	}
	var all []string
	for _, item := range list {
		var text string
		if item[0] != '"' {
			text = string(item)
		} else if err := json.Unmarshal(item, &text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}
