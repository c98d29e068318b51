package archive

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
)

// Write writes the file in its one order: kinds as the type File has them, names
// in byte order.
func (f *File) Write(w io.Writer) error {
	f.sort()
	out := bufio.NewWriterSize(w, 1<<20)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(Header{Format: Format, Version: Version}); err != nil {
		return err
	}
	for l := range f.lines {
		if err := e.Encode(l); err != nil {
			return err
		}
	}
	return out.Flush()
}

func (f *File) lines(yield func(line) bool) {
	more := f.Organization == nil || yield(line{Organization: f.Organization})
	more = more && all(f.Attributes, func(r *Attribute) line { return line{Attribute: r} }, yield)
	more = more && all(f.Permissions, func(r *Permission) line { return line{Permission: r} }, yield)
	more = more && all(f.Roles, func(r *Role) line { return line{Role: r} }, yield)
	more = more && all(f.Groups, func(r *Group) line { return line{Group: r} }, yield)
	more = more && all(f.Users, func(r *User) line { return line{User: r} }, yield)
	more = more && all(f.Members, func(r *Member) line { return line{Member: r} }, yield)
	more = more && all(f.Nestings, func(r *Nesting) line { return line{Nesting: r} }, yield)
	more = more && all(f.Assignments, func(r *Assignment) line { return line{Assignment: r} }, yield)
	more = more && all(f.Services, func(r *Service) line { return line{Service: r} }, yield)
	_ = more && all(f.Connections, func(r *Connection) line { return line{Connection: r} }, yield)
}

func all[T any](records []*T, wrap func(*T) line, yield func(line) bool) bool {
	for _, r := range records {
		if !yield(wrap(r)) {
			return false
		}
	}
	return true
}

func (f *File) sort() {
	by(f.Attributes, func(r *Attribute) []string { return []string{r.Name} })
	by(f.Permissions, func(r *Permission) []string { return []string{r.Permission} })
	by(f.Roles, func(r *Role) []string { return []string{r.Name} })
	by(f.Groups, func(r *Group) []string { return []string{r.Name} })
	by(f.Users, func(r *User) []string { return []string{r.UserName} })
	by(f.Members, func(r *Member) []string { return []string{r.Group, r.User} })
	by(f.Nestings, func(r *Nesting) []string { return []string{r.Group, r.Member} })
	by(f.Assignments, (*Assignment).key)
	by(f.Services, func(r *Service) []string { return []string{r.Name} })
	by(f.Connections, (*Connection).key)
}

func by[T any](records []*T, key func(*T) []string) {
	slices.SortFunc(records, func(a, b *T) int { return slices.CompareFunc(key(a), key(b), cmp.Compare[string]) })
}

func (a *Assignment) key() []string {
	expires := ""
	if a.Expires != nil {
		expires = a.Expires.UTC().Format(time.RFC3339Nano)
	}
	return []string{a.Role, a.Group, a.User, expires}
}

// Canonical is the one spelling of a JSON object; nothing when it is empty.
func Canonical(text []byte) (json.RawMessage, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	if len(v) == 0 {
		return nil, nil
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n")), nil
}
