package cli

import (
	"bytes"
	"context"
	"strings"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Operations of a request that holds several are written as the commands that
// make each alone: 'users roles add alice@clinic.example nurse'.

// commandMetavar stands for such a command.
const commandMetavar = "COMMAND"

// operationField is where an Operation holds the request of a procedure; nil
// when it cannot.
func operationField(method, within protoreflect.MethodDescriptor) protoreflect.FieldDescriptor {
	for i := range within.Input().Fields().Len() {
		field := within.Input().Fields().Get(i)
		if field.Message() == nil || field.Message().Name() != "Operation" {
			continue
		}
		for k := range field.Message().Fields().Len() {
			if held := field.Message().Fields().Get(k); held.Message() == method.Input() {
				return held
			}
		}
	}
	return nil
}

// operations reads a word of the command line: a command, or JSON, or @FILE with
// JSON or with a command on each line.
func (c *call) operations(ctx context.Context, word string) ([]any, error) {
	content := []byte(word)
	if isJSON(word) {
		var err error
		if content, err = readJSON(commandMetavar, word); err != nil {
			return nil, err
		}
	}
	content = bytes.TrimSpace(content)
	if bytes.HasPrefix(content, []byte("{")) || bytes.HasPrefix(content, []byte("[")) {
		items, err := readItems(content)
		if err != nil {
			return nil, usage("%s is not JSON: %v", word, err)
		}
		return items, nil
	}
	var all []any
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		operation, err := c.operation(ctx, line)
		if err != nil {
			return nil, err
		}
		all = append(all, operation)
	}
	return all, nil
}

// operation reads one command.
func (c *call) operation(ctx context.Context, text string) (any, error) {
	words, ok := splitWords(text)
	if !ok {
		return nil, usage("%s: a quote is not closed", text)
	}
	if len(words) > 0 && words[0] == "authfi" {
		words = words[1:]
	}
	for n := len(words); n > 0; n-- {
		for _, r := range rows {
			if r.words != strings.Join(words[:n], " ") {
				continue
			}
			field := operationField(methodOf(r.procedure), c.method)
			if field == nil {
				return nil, usage("%s: it changes nothing, or cannot be one of several operations", text)
			}
			fields, err := c.options.requestOf(ctx, r, words[n:])
			if err != nil {
				return nil, err
			}
			return map[string]any{string(field.Name()): fields}, nil
		}
	}
	return nil, usage("%s: there is no such command", text)
}

// requestOf reads the words after a command as the command itself would.
func (o *options) requestOf(ctx context.Context, r row, words []string) (map[string]any, error) {
	cmd, c := o.build(r)
	if err := cmd.ParseFlags(words); err != nil {
		return nil, usage("%s: %v", r.words, err)
	}
	args := cmd.Flags().Args()
	if err := c.checkArgs(cmd, args); err != nil {
		return nil, err
	}
	var refused error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !c.fills(f) {
			refused = usage("%s: --%s is not of one operation", r.words, f.Name)
		}
	})
	if refused != nil {
		return nil, refused
	}
	return c.fields(ctx, args)
}

// fills is true of the flag of a field.
func (c *call) fills(f *pflag.Flag) bool {
	for _, own := range c.flags {
		if own.flag == f {
			return true
		}
	}
	return false
}

// splitWords splits at spaces outside of quotes.
func splitWords(text string) (words []string, closed bool) {
	var word strings.Builder
	var quote rune
	within := false
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, within = r, true
		case quote == 0 && r == ' ':
			if within {
				words = append(words, word.String())
			}
			word.Reset()
			within = false
		default:
			word.WriteRune(r)
			within = true
		}
	}
	if within {
		words = append(words, word.String())
	}
	return words, quote == 0
}
