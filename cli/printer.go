package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/itchyny/gojq"
	"github.com/spf13/cobra"
)

// Formats of the flag -o.
const (
	formatTable     = "table"
	formatJSON      = "json"
	formatJSONLines = "jsonl"
	formatYAML      = "yaml"
)

// printer writes answers in the format that was asked for.
type printer struct {
	w         io.Writer
	format    string
	noHeaders bool
	query     *gojq.Code
	width     int // of the terminal; 0 when the output is none
	grid      *grid
}

func (o *options) printer(cmd *cobra.Command) (*printer, error) {
	p := &printer{w: cmd.OutOrStdout(), format: o.output, noHeaders: o.noHeaders}
	switch o.output {
	case formatTable, formatJSON, formatJSONLines, formatYAML:
	default:
		return nil, usage("-o %q is not table, json, jsonl or yaml", o.output)
	}
	if file, ok := p.w.(*os.File); ok {
		p.width = terminalWidth(file)
	}
	if o.query == "" {
		return p, nil
	}
	query, err := gojq.Parse(o.query)
	if err == nil {
		p.query, err = gojq.Compile(query)
	}
	if err != nil {
		return nil, usage("--query: %v", err)
	}
	return p, nil
}

// table is false when a query makes values of its own.
func (p *printer) table() bool { return p.format == formatTable && p.query == nil }

// streams: pages of a list need not be put together before they are shown.
func (p *printer) streams() bool {
	return p.query == nil && (p.format == formatTable || p.format == formatJSONLines)
}

// object prints one answer.
func (p *printer) object(body []byte) error {
	if p.query != nil {
		return p.queried(body)
	}
	if p.format != formatTable {
		return p.text(body)
	}
	return p.fields(body)
}

// fields prints an object as lines of name and value.
func (p *printer) fields(body []byte) error {
	v, err := decode(body)
	if err != nil {
		return err
	}
	o, ok := v.(object)
	if !ok {
		return p.text(body)
	}
	g := &grid{printer: p}
	g.fields("", o)
	return g.flush()
}

// fields adds a row for each value: the fields of an object within by their whole
// name, the objects of a list one below the other.
func (g *grid) fields(within string, o object) {
	for _, m := range o {
		name := within + m.name
		switch v := m.value.(type) {
		case object:
			if len(v) > 0 {
				g.fields(name+".", v)
				continue
			}
		case []any:
			if len(v) > 0 && isObject(v[0]) {
				for i, item := range v {
					if i > 0 {
						name = ""
					}
					g.add(name, pairs(item))
				}
				continue
			}
		}
		g.add(name, cell(m.value))
	}
}

func isObject(v any) bool { _, ok := v.(object); return ok }

// pairs is an object in one cell: what is set of it.
func pairs(v any) string {
	o, ok := v.(object)
	if !ok {
		return cell(v)
	}
	var words []string
	for _, m := range o {
		switch text := cell(m.value); text {
		case "", "false", "0":
		case "true":
			words = append(words, m.name)
		default:
			words = append(words, m.name+"="+text)
		}
	}
	return strings.Join(words, "  ")
}

// text prints JSON, JSON lines and YAML.
func (p *printer) text(body []byte) error {
	switch p.format {
	case formatYAML:
		v, err := decode(body)
		if err != nil {
			return err
		}
		return p.line(strings.TrimPrefix(strings.TrimPrefix(string(appendYAML(nil, v, 0)), "\n"), " "))
	case formatJSONLines:
		var b bytes.Buffer
		if err := json.Compact(&b, body); err != nil {
			return err
		}
		return p.line(b.String())
	}
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(body), "", "  "); err != nil {
		return err
	}
	return p.line(b.String())
}

func (p *printer) line(text string) error {
	_, err := fmt.Fprintln(p.w, text)
	return err
}

// list prints an answer that is a list.
func (p *printer) list(body []byte, name, columns string) error {
	if !p.streams() {
		return p.object(body)
	}
	page, err := readPage(body, name)
	if err != nil {
		return err
	}
	return p.items(page.items, columns, true)
}

// items prints a part of a list: a line of JSON each, or rows of one table,
// which comes out when the last ones are there or enough to align it by.
func (p *printer) items(items []json.RawMessage, columns string, last bool) error {
	if p.format == formatJSONLines {
		for _, item := range items {
			if err := p.text(item); err != nil {
				return err
			}
		}
		return nil
	}
	names := strings.Fields(columns)
	if p.grid == nil {
		p.grid = &grid{printer: p}
		if !p.noHeaders {
			p.grid.add(headers(names)...)
		}
	}
	for _, item := range items {
		v, err := decode(item)
		if err != nil {
			return err
		}
		o, _ := v.(object)
		cells := make([]string, len(names))
		for i, name := range names {
			cells[i] = cell(o.get(name))
		}
		p.grid.add(cells...)
	}
	if last {
		return p.grid.flush()
	}
	return nil
}

func headers(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToUpper(strings.ReplaceAll(name, "_", " "))
	}
	return out
}

// cell is a value in a table.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		words := make([]string, 0, len(v))
		for _, item := range v {
			words = append(words, cell(item))
		}
		return strings.Join(words, ", ")
	case object:
		if len(v) == 0 {
			return ""
		}
	}
	text, err := marshal(v)
	if err != nil {
		panic("cli: a JSON value cannot be written: " + err.Error())
	}
	return string(text)
}

// queried prints each value that the query makes: strings as they are where a
// table was asked for, everything else in the format.
func (p *printer) queried(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var input any
	if err := d.Decode(&input); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	results := p.query.Run(input)
	for n := 0; ; n++ {
		v, ok := results.Next()
		if !ok {
			return nil
		}
		if err, failed := v.(error); failed {
			var halt *gojq.HaltError
			if errors.As(err, &halt) && halt.Value() == nil {
				return nil
			}
			return usage("--query: %v", err)
		}
		if n > 0 && p.format == formatYAML {
			if err := p.line("---"); err != nil {
				return err
			}
		}
		if err := p.result(v); err != nil {
			return err
		}
	}
}

func (p *printer) result(v any) error {
	if text, ok := v.(string); ok && p.format == formatTable {
		return p.line(text)
	}
	text, err := gojq.Marshal(v)
	if err != nil {
		return err
	}
	if p.format == formatTable {
		return p.line(string(text))
	}
	return p.text(text)
}
