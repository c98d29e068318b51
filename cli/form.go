package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What has no form of its own on a command line is NAME=VALUE with commas
// between and semicolons in lists, or JSON, or @FILE that holds JSON. What is
// empty empties the field.

const (
	timestampName = protoreflect.FullName("google.protobuf.Timestamp")
	structName    = protoreflect.FullName("google.protobuf.Struct")
)

// part is a value that was given as NAME=VALUE: in a change, what it does not name
// stays as it is.
type part map[string]any

// isJSON is true of a value in its other two forms.
func isJSON(text string) bool {
	return strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") || strings.HasPrefix(text, "@")
}

// readJSON reads the text itself or the file that it names.
func readJSON(word, text string) ([]byte, error) {
	content := []byte(text)
	if file, ok := strings.CutPrefix(text, "@"); ok {
		var err error
		if content, err = os.ReadFile(file); err != nil {
			return nil, usage("%s: %v", word, err)
		}
	}
	return content, nil
}

// messageFlag takes a message of plain fields, as branding is.
func messageFlag(f *pflag.FlagSet, field protoreflect.FieldDescriptor, help string) func() (any, error) {
	name := flagName(field)
	v := f.String(name, "", help+" (`NAME=VALUE,...` of "+strings.Join(fieldNames(field.Message()), ", ")+", the others stay; or all of it as JSON, or @FILE)")
	return func() (any, error) { return readMessage(name, field.Message(), *v) }
}

func fieldNames(message protoreflect.MessageDescriptor) (names []string) {
	for i := range message.Fields().Len() {
		names = append(names, string(message.Fields().Get(i).Name()))
	}
	return names
}

func readMessage(flag string, message protoreflect.MessageDescriptor, text string) (any, error) {
	if isJSON(text) || text == "" {
		return readObject(flag, text)
	}
	out := part{}
	for _, pair := range pairsOf(text) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usage("--%s: %q is not NAME=VALUE", flag, pair)
		}
		name = strings.ReplaceAll(strings.TrimSpace(name), "-", "_")
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil {
			return nil, usage("--%s has no %s; it has %s", flag, name, strings.Join(fieldNames(message), ", "))
		}
		read, err := readScalar(field, strings.TrimSpace(value))
		if err != nil {
			return nil, usage("--%s: %s %v", flag, name, err)
		}
		out[name] = read
	}
	return out, nil
}

// readObject is the JSON of an object; an empty text is an empty object.
func readObject(flag, text string) (any, error) {
	if text == "" {
		return map[string]any{}, nil
	}
	content, err := readJSON("--"+flag, text)
	if err == nil && !json.Valid(content) {
		err = usage("--%s is not JSON", flag)
	}
	return json.RawMessage(content), err
}

var pairName = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z0-9_-]*:?=`)

// pairsOf splits at commas. What does not begin with a name belongs to the value
// before it.
func pairsOf(text string) (pairs []string) {
	for _, piece := range split(text, ',') {
		if len(pairs) > 0 && !pairName.MatchString(piece) {
			pairs[len(pairs)-1] += "," + piece
			continue
		}
		pairs = append(pairs, piece)
	}
	return pairs
}

// split is empty for an empty text.
func split(text string, separator byte) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	return strings.Split(text, string(separator))
}

func readScalar(field protoreflect.FieldDescriptor, text string) (any, error) {
	switch {
	case isStringList(field):
		list := split(text, ';')
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return list, nil
	case field.Message() != nil || field.IsList():
		return nil, errors.New("has no short form, give all of it as JSON")
	case field.Kind() == protoreflect.BoolKind:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return nil, errors.New("is true or false")
		}
		return value, nil
	case isNumber(field.Kind()):
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, errors.New("is a whole number")
		}
		return value, nil
	}
	return text, nil
}

// itemsFlag takes a list of messages, one at each use of the flag, or several as
// JSON.
func itemsFlag(f *pflag.FlagSet, field protoreflect.FieldDescriptor, help string) func() (any, error) {
	name := flagName(field)
	v := f.StringArray(name, nil, help+" (`NAME=VALUE,...` of one, repeated, of "+strings.Join(fieldNames(field.Message()), ", ")+
		", lists with semicolons; or JSON, or @FILE)")
	return func() (any, error) {
		items := []any{}
		for _, text := range *v {
			if text == "" {
				continue
			}
			if !isJSON(text) {
				item, err := readMessage(name, field.Message(), text)
				if err != nil {
					return nil, err
				}
				items = append(items, item)
				continue
			}
			content, err := readJSON("--"+name, text)
			if err != nil {
				return nil, err
			}
			several, err := readItems(content)
			if err != nil {
				return nil, usage("--%s is not JSON: %v", name, err)
			}
			items = append(items, several...)
		}
		return items, nil
	}
}

// readItems reads an array, or objects one after another as JSON lines are.
func readItems(content []byte) (items []any, err error) {
	d := json.NewDecoder(bytes.NewReader(content))
	for {
		var value json.RawMessage
		if err := d.Decode(&value); errors.Is(err, io.EOF) {
			return items, nil
		} else if err != nil {
			return nil, err
		}
		var several []json.RawMessage
		if json.Unmarshal(value, &several) != nil {
			items = append(items, value)
			continue
		}
		for _, item := range several {
			items = append(items, item)
		}
	}
}

// structFlag takes an object whose names are not known here.
func structFlag(f *pflag.FlagSet, name, help string) func() (any, error) {
	v := f.String(name, "", help+" (`NAME=TEXT,...`, NAME:=JSON for what is no text, the others stay; or all of it as JSON, or @FILE)")
	return func() (any, error) {
		if isJSON(*v) || *v == "" {
			return readObject(name, *v)
		}
		out := part{}
		for _, pair := range pairsOf(*v) {
			key, value, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, usage("--%s: %q is not NAME=TEXT", name, pair)
			}
			key, typed := strings.CutSuffix(strings.TrimSpace(key), ":")
			if out[key] = strings.TrimSpace(value); !typed {
				continue
			}
			if !json.Valid([]byte(value)) {
				return nil, usage("--%s: %s is not JSON", name, value)
			}
			out[key] = json.RawMessage(value)
		}
		return out, nil
	}
}

// direction is where a duration leads from now.
type direction int

const (
	past   direction = -1
	future direction = 1
)

func (d direction) example() string {
	if d == past {
		return "or how long ago: 90m, 24h, 7d, 2w"
	}
	return "or how long from now: 90m, 72h, 90d, 2w"
}

// timeFlag takes a time, a day, or how far from now it is.
func timeFlag(f *pflag.FlagSet, name, help string, from direction) func() (any, error) {
	v := f.String(name, "", help+" (`TIME` as in 2027-01-31T12:00:00Z, 2027-01-31, "+from.example()+")")
	return func() (any, error) {
		if *v == "" {
			return nil, nil
		}
		at, err := readTime(*v, time.Now(), from)
		if err != nil {
			return nil, usage("--%s %q is no time; give 2027-01-31T12:00:00Z, 2027-01-31, %s", name, *v, from.example())
		}
		return at.UTC().Format(time.RFC3339Nano), nil
	}
}

// calendar are the units that time.ParseDuration lacks.
var calendar = map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}

func readTime(text string, now time.Time, from direction) (time.Time, error) {
	for _, unit := range slices.Sorted(maps.Keys(calendar)) {
		count, ok := strings.CutSuffix(text, unit)
		if n, err := strconv.ParseUint(count, 10, 16); ok && err == nil {
			return now.Add(time.Duration(from) * time.Duration(n) * calendar[unit]).Truncate(time.Second), nil
		}
	}
	if far, err := time.ParseDuration(text); err == nil && far >= 0 {
		return now.Add(time.Duration(from) * far).Truncate(time.Second), nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	return time.Parse(time.RFC3339, text)
}
