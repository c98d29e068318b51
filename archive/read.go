package archive

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// lineMax bounds one line: a user with all attributes, or a service with 500
// policies.
const lineMax = 1 << 20

// findingsMax is how many findings are told; a file with more has one reason.
const findingsMax = 20

// Finding is what is wrong with a line; line 0 is the file as a whole.
type Finding struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

func (f Finding) String() string {
	if f.Line == 0 {
		return f.Text
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Text)
}

// Findings are why a file is refused, and as an error the whole of them.
type Findings struct {
	List []Finding // in the order of lines
	More int       // that are not in the list
}

func (f *Findings) Error() string {
	texts := make([]string, 0, len(f.List)+1)
	for _, finding := range f.List {
		texts = append(texts, finding.String())
	}
	if f.More > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", f.More))
	}
	return strings.Join(texts, "; ")
}

// Add notes a finding, unless there are enough.
func (f *Findings) Add(line int, format string, args ...any) {
	if len(f.List) == findingsMax {
		f.More++
		return
	}
	f.List = append(f.List, Finding{Line: line, Text: fmt.Sprintf(format, args...)})
}

// Err is nil when nothing was found.
func (f *Findings) Err() error {
	if len(f.List) == 0 {
		return nil
	}
	slices.SortStableFunc(f.List, func(a, b Finding) int { return a.Line - b.Line })
	return f
}

func finding(line int, text string) error {
	return &Findings{List: []Finding{{Line: line, Text: text}}}
}

// Read reads an organization file, or a plain list of users: JSON lines of them,
// or CSV whose first line names the fields. The error is *Findings for what is
// wrong with the text.
func Read(r io.Reader) (*File, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	if bom, _ := in.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		in.Discard(3) // spreadsheets write it
	}
	first, err := in.Peek(1)
	if errors.Is(err, io.EOF) {
		return nil, finding(1, "the file is empty")
	}
	if err != nil {
		return nil, err
	}
	if first[0] != '{' {
		return readCSV(in)
	}
	return readLines(in)
}

func readLines(in io.Reader) (*File, error) {
	f := &File{}
	var found Findings
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), lineMax+len("\n"))
	n := 0
	for lines.Scan() {
		n++
		text := bytes.TrimSpace(lines.Bytes())
		if n == 1 {
			f.Whole = isHeader(text)
		}
		var err error
		switch {
		case len(text) == 0:
		case !utf8.Valid(text):
			err = errors.New("not valid UTF-8")
		case n == 1 && f.Whole:
			err = checkHeader(text)
		case f.Whole:
			err = f.addLine(n, text)
		default:
			err = f.addUser(n, text)
		}
		if err != nil {
			found.Add(n, "%s", plain(err))
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		found.Add(n+1, "longer than %d bytes", lineMax)
	case err != nil:
		return nil, err
	}
	return f, found.Err()
}

func isHeader(text []byte) bool {
	var h struct{ Format *string }
	return json.Unmarshal(text, &h) == nil && h.Format != nil
}

func checkHeader(text []byte) error {
	var h Header
	if err := strict(text, &h); err != nil {
		return err
	}
	if h.Format != Format || h.Version != Version {
		return fmt.Errorf("the file is %s version %d; this program reads %s version %d", h.Format, h.Version, Format, Version)
	}
	return nil
}

// plain takes the decoder's words for people.
func plain(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("%s: of another type than %s", kind.Field, kind.Value)
	case errors.As(err, &kind):
		return "not a JSON object"
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "not a JSON object"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// strict refuses names that the form does not have, and anything after it.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func (f *File) addLine(n int, text []byte) error {
	var l line
	if err := strict(text, &l); err != nil {
		return err
	}
	at := Place{Line: n}
	before := f.Records()
	if l.Organization != nil {
		if f.Organization != nil {
			return errors.New("the organization is there already")
		}
		l.Organization.Place, f.Organization = at, l.Organization
	}
	take(&f.Attributes, l.Attribute, at, func(r *Attribute) *Place { return &r.Place })
	take(&f.Permissions, l.Permission, at, func(r *Permission) *Place { return &r.Place })
	take(&f.Roles, l.Role, at, func(r *Role) *Place { return &r.Place })
	take(&f.Groups, l.Group, at, func(r *Group) *Place { return &r.Place })
	take(&f.Users, l.User, at, func(r *User) *Place { return &r.Place })
	take(&f.Members, l.Member, at, func(r *Member) *Place { return &r.Place })
	take(&f.Nestings, l.Nesting, at, func(r *Nesting) *Place { return &r.Place })
	take(&f.Assignments, l.Assignment, at, func(r *Assignment) *Place { return &r.Place })
	take(&f.Services, l.Service, at, func(r *Service) *Place { return &r.Place })
	take(&f.Connections, l.Connection, at, func(r *Connection) *Place { return &r.Place })
	if f.Records() != before+1 || l.Format != "" {
		return errors.New("must hold exactly one record, as in {\"user\":{…}}")
	}
	return nil
}

func take[T any](records *[]*T, r *T, at Place, place func(*T) *Place) {
	if r != nil {
		*place(r) = at
		*records = append(*records, r)
	}
}

// groupsField holds the names of a user's groups in a plain list.
const groupsField = "groups"

// userFields are the names of a user's fields. The decoder would take them in any
// case.
var userFields = func() map[string]bool {
	names := map[string]bool{}
	user := reflect.TypeFor[User]()
	for i := range user.NumField() {
		if name, _, _ := strings.Cut(user.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			names[name] = true
		}
	}
	return names
}()

// addUser reads a user of a plain list.
func (f *File) addUser(n int, text []byte) error {
	var fields map[string]json.RawMessage
	if err := strict(text, &fields); err != nil {
		return err
	}
	var groups []string
	if held, ok := fields[groupsField]; ok {
		if err := json.Unmarshal(held, &groups); err != nil {
			return errors.New("groups must be a list of names")
		}
		delete(fields, groupsField)
	}
	set := map[string]bool{}
	for name := range fields {
		if !userFields[name] {
			return fmt.Errorf("%q is no field of a user", name)
		}
		set[name] = true
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	u := &User{}
	if err := strict(rest, u); err != nil {
		return err
	}
	return f.add(n, u, set, groups)
}

// add takes a user of a plain list; a user name that is missing is the address.
func (f *File) add(n int, u *User, set map[string]bool, groups []string) error {
	if u.UserName == "" {
		u.UserName = u.Email
	}
	if u.UserName == "" {
		return errors.New("user_name or email is missing")
	}
	u.Line, u.Set = n, set
	f.Users = append(f.Users, u)
	for _, name := range groups {
		f.Members = append(f.Members, &Member{Place: Place{Line: n}, Group: name, User: u.UserName})
	}
	return nil
}

func readCSV(in io.Reader) (*File, error) {
	r := csv.NewReader(in)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return nil, csvFinding(err)
	}
	names := slices.Clone(head)
	if err := checkColumns(names); err != nil {
		return nil, finding(1, err.Error())
	}
	f := &File{}
	var found Findings
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return f, found.Err()
		}
		if err != nil {
			var broken *csv.ParseError
			if !errors.As(err, &broken) {
				return nil, err
			}
			found.Add(broken.Line, "%s", broken.Err)
			if !errors.Is(err, csv.ErrFieldCount) {
				return f, found.Err() // what follows may be within quotes
			}
			continue
		}
		n, _ := r.FieldPos(0)
		if err := f.addRecord(n, names, record); err != nil {
			found.Add(n, "%s", err)
		}
	}
}

func csvFinding(err error) error {
	var broken *csv.ParseError
	if errors.As(err, &broken) {
		return finding(broken.Line, broken.Err.Error())
	}
	return err
}

func checkColumns(names []string) error {
	seen := map[string]bool{}
	for _, name := range names {
		if _, ok := new(User).text(name); !ok && name != groupsField && name != "active" {
			return fmt.Errorf("the first line names the fields, and %q is none", name)
		}
		if seen[name] {
			return fmt.Errorf("%s is named twice", name)
		}
		seen[name] = true
	}
	if !seen["user_name"] && !seen["email"] {
		return errors.New("neither user_name nor email is named")
	}
	return nil
}

// text is a field of text by its name.
func (u *User) text(name string) (*string, bool) {
	switch name {
	case "user_name":
		return &u.UserName, true
	case "email":
		return &u.Email, true
	case "display_name":
		return &u.DisplayName, true
	case "given_name":
		return &u.GivenName, true
	case "family_name":
		return &u.FamilyName, true
	case "external_id":
		return &u.ExternalID, true
	case "phone":
		return &u.Phone, true
	case "title":
		return &u.Title, true
	case "department":
		return &u.Department, true
	case "manager":
		return &u.Manager, true
	}
	return nil, false
}

// addRecord reads a line of CSV. Groups are separated by semicolons.
func (f *File) addRecord(n int, names, record []string) error {
	u := &User{}
	set := map[string]bool{}
	var groups []string
	for i, name := range names {
		value := strings.TrimSpace(record[i])
		switch field, ok := u.text(name); {
		case ok:
			*field = strings.Clone(value)
			set[name] = true
		case name == groupsField:
			for group := range strings.SplitSeq(value, ";") {
				if group = strings.TrimSpace(group); group != "" {
					groups = append(groups, strings.Clone(group))
				}
			}
		case value != "":
			active, err := strconv.ParseBool(value)
			if err != nil {
				return fmt.Errorf("active %q is neither true nor false", value)
			}
			u.Active, set[name] = &active, true
		}
	}
	return f.add(n, u, set, groups)
}
