package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// Sizes of lists.
const (
	limitDefault = 50
	pageMax      = 1000 // what the API gives at once
)

var errOrgMissing = usage("--org is missing (or AUTHFI_ORG): the slug or id of an organization")

func (c *call) run(cmd *cobra.Command, args []string) error {
	p, err := c.printer(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	fields, err := c.fields(ctx, args)
	if err != nil {
		return c.located(err)
	}
	if c.paged {
		return c.located(c.list(ctx, p, cmd.ErrOrStderr(), fields))
	}
	if c.asks && !c.yes {
		if err := confirm(cmd, c.short+": "+strings.Join(args, " ")); err != nil {
			return err
		}
	}
	body, err := c.ask(ctx, fields)
	if err != nil {
		return c.located(err)
	}
	if c.quiet {
		return allowedOnly(body)
	}
	if err := c.print(p, body); err != nil || c.verdict == nil {
		return err
	}
	return c.verdict(body)
}

// fields are the request: arguments, organization and the flags that were given.
func (c *call) fields(ctx context.Context, args []string) (map[string]any, error) {
	fields := map[string]any{}
	if c.method.Input().Fields().ByName(orgField) != nil {
		org, err := c.orgID(ctx)
		if err != nil && !errors.Is(err, errOrgMissing) {
			return nil, err
		}
		if org != "" {
			fields[orgField] = org
		}
	}
	for i, a := range c.args {
		if err := c.fill(ctx, fields, a, args[i:]); err != nil {
			return nil, err
		}
	}
	for _, f := range c.flags {
		if !f.flag.Changed {
			continue
		}
		value, err := c.filled(ctx, f)
		if err != nil {
			return nil, err
		}
		if value != nil {
			fields[string(f.field.Name())] = value
		}
	}
	return fields, c.merge(ctx, fields)
}

// merge completes what was given in part with what the object has now, and makes
// the change conditional on that.
func (c *call) merge(ctx context.Context, fields map[string]any) error {
	service, method, _ := strings.Cut(c.procedure, ".")
	noun, updates := strings.CutPrefix(method, "Update")
	var now map[string]json.RawMessage
	for name, value := range fields {
		given, ok := value.(part)
		if !ok || !updates {
			continue
		}
		if now == nil {
			if err := c.answer(ctx, service+".Get"+noun, map[string]any{"id": fields["id"]}, &now); err != nil {
				return err
			}
		}
		var whole map[string]any
		if err := json.Unmarshal(now[name], &whole); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if whole == nil { // it was null
			whole = map[string]any{}
		}
		maps.Copy(whole, given)
		fields[name] = whole
		var version uint64
		if err := json.Unmarshal(now["version"], &version); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if c.ifMatch == 0 {
			c.ifMatch = version
		}
	}
	return nil
}

// located says which word of the command line held the field that a problem is
// about.
func (c *call) located(err error) error {
	var p *Problem
	if !errors.As(err, &p) || p.Field == "" || p.word != "" {
		return err
	}
	outermost := strings.FieldsFunc(p.Field, func(r rune) bool { return r == '.' || r == '[' })[0]
	found := *p
	for _, a := range c.args {
		if string(a.field.Name()) == outermost {
			found.word = a.metavar
		}
	}
	for _, f := range c.flags {
		if string(f.field.Name()) == outermost {
			found.word = "--" + f.flag.Name
		}
	}
	return &found
}

func (c *call) fill(ctx context.Context, fields map[string]any, a arg, words []string) error {
	name := string(a.field.Name())
	if a.metavar == commandMetavar {
		all := []any{}
		for _, word := range words {
			operations, err := c.operations(ctx, word)
			if err != nil {
				return err
			}
			all = append(all, operations...)
		}
		fields[name] = all
		return nil
	}
	if !a.several {
		id, err := c.resolve(ctx, a.metavar, words[0])
		fields[name] = id
		return err
	}
	ids := make([]string, 0, len(words))
	for _, word := range words {
		id, err := c.resolve(ctx, a.metavar, word)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	fields[name] = ids
	return nil
}

func (c *call) ask(ctx context.Context, fields map[string]any) ([]byte, error) {
	r, err := c.route.request(fields)
	if err != nil {
		return nil, err
	}
	r.header = map[string]string{}
	if c.atLeast != 0 {
		r.header["X-Authfi-Index"] = strconv.FormatUint(c.atLeast, 10)
	}
	if c.repeat != "" {
		r.header["Idempotency-Key"] = c.repeat
	}
	if c.ifMatch != 0 {
		r.header["If-Match"] = fmt.Sprintf("%q", strconv.FormatUint(c.ifMatch, 10))
	}
	body, err := c.do(ctx, r)
	var p *Problem
	if errors.As(err, &p) && p.Field == orgField && fields[orgField] == nil {
		return nil, errOrgMissing
	}
	return body, err
}

func (c *call) print(p *printer, body []byte) error {
	if p.table() && c.show != nil {
		return c.show(p, body)
	}
	if c.items == nil {
		return p.object(body)
	}
	return p.list(body, string(c.items.Name()), c.columns)
}

func allowedOnly(body []byte) error {
	var answer struct{ Allowed bool }
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if !answer.Allowed {
		return errQuiet
	}
	return nil
}

// list follows the pages as far as the flags say. Tables and JSON lines show
// each page as it comes.
// Only tables, which are for people, say that there is more.
func (c *call) list(ctx context.Context, p *printer, talk io.Writer, fields map[string]any) error {
	if c.limit < 1 {
		return usage("--limit must be at least 1")
	}
	cursor, left := c.cursor, c.limit
	var whole merged
	for {
		size := pageMax
		if !c.all {
			size = min(left, pageMax)
		}
		fields[limitField] = size
		if delete(fields, cursorField); cursor != "" {
			fields[cursorField] = cursor
		}
		body, err := c.ask(ctx, fields)
		if err != nil {
			return err
		}
		page, err := readPage(body, string(c.items.Name()))
		if err != nil {
			return err
		}
		left -= len(page.items)
		cursor = page.cursor
		last := cursor == "" || !c.all && left <= 0
		if p.streams() {
			err = p.items(page.items, c.columns, last)
		} else if whole.add(body, page); last {
			err = c.print(p, whole.body(string(c.items.Name())))
		}
		if err == nil && last && cursor != "" && p.table() {
			fmt.Fprintf(talk, "authfi: there are more, %d in all; --all shows them, --limit N so many\n", page.total)
		}
		if err != nil || last {
			return err
		}
	}
}

// page is what a list's answer holds.
type page struct {
	items  []json.RawMessage
	total  int
	cursor string
}

func readPage(body []byte, items string) (p page, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return p, fmt.Errorf("reading the answer: %w", err)
	}
	if err := json.Unmarshal(fields[items], &p.items); err != nil {
		return p, fmt.Errorf("reading the answer: %w", err)
	}
	for name, into := range map[string]any{cursorField: &p.cursor, "total": &p.total} {
		if text, ok := fields[name]; ok && err == nil {
			err = json.Unmarshal(text, into)
		}
	}
	return p, err
}

// merged puts pages together; what stands beside the items is the last page's.
type merged struct {
	last  []byte
	items []json.RawMessage
	pages int
}

func (m *merged) add(body []byte, p page) {
	m.last, m.items = body, append(m.items, p.items...)
	m.pages++
}

func (m *merged) body(name string) []byte {
	if m.pages == 1 {
		return m.last
	}
	return replaceField(m.last, name, m.items)
}
