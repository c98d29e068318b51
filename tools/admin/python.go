package main

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const pyFolder = "sdk/python/authfi/admin/"

// writePython writes a module for each file that defines messages, under the same name.
func writePython(all api, files map[string][]byte) error {
	parts := all.parts()
	for noun, part := range parts {
		text, err := pyModule(noun, part, all)
		if err != nil {
			return err
		}
		files[pyFolder+noun+".py"] = []byte("# " + notice + "\n" + text)
	}
	files[pyFolder+"__init__.py"] = []byte("# " + notice + "\n" + pyPackage(parts))
	return nil
}

// pyWords are Python's own, which are no names of arguments.
var pyWords = []string{
	"False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
	"finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "self", "try",
	"while", "with", "yield",
}

// pyForms are the types that a message has, each with how it is used.
func pyForms(m *message) (all []use) {
	for _, as := range []use{answered, asked} {
		if !m.unwritten() && m.uses&as != 0 {
			all = append(all, as)
		}
	}
	return all
}

func pyModule(noun string, part api, all api) (string, error) {
	var b bytes.Buffer
	for _, m := range part.messages {
		for _, as := range pyForms(m) {
			if err := pyMessage(&b, m, as); err != nil {
				return "", err
			}
		}
	}
	for _, o := range part.operations {
		pyRow(&b, o)
	}
	if len(part.operations) > 0 {
		pyCalls(&b, "Calls", "_Cluster", "", part)
		pyCalls(&b, "AsyncCalls", "_AsyncCluster", "async ", part)
	}
	title := fmt.Sprintf("\"\"\"The messages and operations of %s.proto.\"\"\"\n\nfrom __future__ import annotations\n\n", noun)
	return title + pyImports(noun, b.String(), all) + b.String(), nil
}

// pyImports are those of what a text names.
func pyImports(noun, text string, all api) string {
	var b strings.Builder
	named := map[string]bool{}
	for _, word := range regexp.MustCompile(`\w+`).FindAllString(text, -1) {
		named[word] = true
	}
	line := func(indent, module string, names ...string) {
		names = slices.DeleteFunc(names, func(name string) bool { return !named[strings.TrimSpace(name[strings.LastIndex(name, " ")+1:])] })
		if len(names) > 0 {
			fmt.Fprintf(&b, "%sfrom %s import %s\n", indent, module, strings.Join(names, ", "))
		}
	}
	line("", "collections.abc", "AsyncIterator", "Iterator")
	others := map[string][]string{}
	for _, m := range all.messages {
		for _, as := range pyForms(m) {
			if name := typeName(m, as); m.noun != noun && named[name] {
				others[m.noun] = append(others[m.noun], name)
			}
		}
	}
	named["TYPE_CHECKING"] = len(others) > 0
	line("", "typing", "TYPE_CHECKING", "Any", "Required", "TypedDict", "Unpack", "cast")
	b.WriteString("\n")
	line("", ".._cluster", "AsyncCluster as _AsyncCluster", "Cluster as _Cluster", "Fault as _Fault", "Operation as _Operation")
	if len(others) > 0 {
		b.WriteString("\nif TYPE_CHECKING:\n")
	}
	for _, other := range slices.Sorted(maps.Keys(others)) {
		line("    ", "."+other, others[other]...)
	}
	return b.String()
}

func pyMessage(b *bytes.Buffer, m *message, as use) error {
	reserved := func(f field) bool { return slices.Contains(pyWords, f.name) }
	if slices.ContainsFunc(m.fields, reserved) {
		if as == answered {
			pyDictionary(b, m)
			return nil
		}
		if m.within {
			return fmt.Errorf("%s is part of what is asked and has a field that is a word of Python", m.name)
		}
	}
	total := ""
	if as == asked {
		total = ", total=False"
	}
	fmt.Fprintf(b, "\n\nclass %s(TypedDict%s):\n", typeName(m, as), total)
	pyDoc(b, "    ", orElse(m.says, m.name+" as the API has it."))
	for i, f := range m.fields {
		if i == 0 {
			b.WriteString("\n")
		}
		name, t := f.name, pyType(f, as)
		if reserved(f) {
			name += "_" // as Python spells such arguments; the cluster takes it off again
		}
		if as == asked && slices.Contains(m.holes, f.name) {
			t = "Required[" + t + "]"
		}
		pyField(b, f, name+": "+t)
	}
	return nil
}

// pyDictionary is the form of a type some of whose fields are words of Python.
func pyDictionary(b *bytes.Buffer, m *message) {
	b.WriteString("\n\n")
	for _, line := range wrap(m.says, 110) {
		fmt.Fprintf(b, "# %s\n", line)
	}
	name := typeName(m, answered)
	fmt.Fprintf(b, "%s = TypedDict(\n    %q,\n    {\n", name, name)
	for _, f := range m.fields {
		pyField(b, f, fmt.Sprintf("    %q: %q,", f.name, pyType(f, answered)))
	}
	b.WriteString("    },\n)\n")
}

func pyField(b *bytes.Buffer, f field, text string) {
	for _, line := range wrap(f.says, 110) {
		fmt.Fprintf(b, "    # %s\n", line)
	}
	fmt.Fprintf(b, "    %s\n", text)
}

func pyType(f field, as use) string {
	t := pyValue(f, as)
	switch {
	case f.form == mapped:
		return "dict[str, " + t + "]"
	case f.form == listed:
		return "list[" + t + "]"
	case f.present && as == answered:
		return t + " | None"
	}
	return t
}

func pyValue(f field, as use) string {
	if list := f.list(); list != nil {
		return pyType(*list, as)
	}
	switch f.kind {
	case truth:
		return "bool"
	case whole:
		return "int"
	case fraction:
		return "float"
	case object:
		return "dict[str, Any]"
	case held:
		if f.of.name == "Problem" {
			return "_Fault"
		}
		return typeName(f.of, as)
	}
	return "str"
}

func pyRowName(o operation) string { return "_" + strings.ToUpper(snake(o.name)) }

func pyRow(b *bytes.Buffer, o operation) {
	fmt.Fprintf(b, "\n\n%s = _Operation(%s, %s, %s", pyRowName(o), strconv.Quote(o.name), strconv.Quote(o.method), strconv.Quote(o.path))
	if o.body != "" {
		fmt.Fprintf(b, ", body=%s", strconv.Quote(o.body))
	}
	for _, mark := range o.marks() {
		fmt.Fprintf(b, ", %s=True", mark)
	}
	b.WriteString(")\n")
}

// pyCalls is the class of one part's methods, which wait or are awaited.
func pyCalls(b *bytes.Buffer, name, base, awaited string, part api) {
	fmt.Fprintf(b, "\n\nclass %s(%s):\n", name, base)
	wait, iterator := "", "Iterator"
	if awaited != "" {
		wait, iterator = "await ", "AsyncIterator"
	}
	for i, o := range part.operations {
		if i > 0 {
			b.WriteString("\n")
		}
		takes, gives := pyWishes(o)
		in, row, out := typeName(o.in, asked), pyRowName(o), "None"
		call := fmt.Sprintf("%sself._call(%s, fields, %s)", wait, row, gives)
		if len(o.out.fields) > 0 {
			out = typeName(o.out, answered)
			call = fmt.Sprintf("return cast(%q, %s)", out, call)
		}
		fmt.Fprintf(b, "    %sdef %s(self, *, %s, **fields: Unpack[%s]) -> %s:\n", awaited, snake(o.name), takes, in, out)
		pyDoc(b, "        ", orElse(o.about(), o.method+" "+o.path+"."))
		fmt.Fprintf(b, "        %s\n", call)
		if o.items == nil {
			continue
		}
		item := iterator + "[" + pyValue(*o.items, answered) + "]"
		fmt.Fprintf(b, "\n    def %s(self, *, %s, **fields: Unpack[%s]) -> %s:\n", snake(every(o.name)), takes, in, item)
		pyDoc(b, "        ", fmt.Sprintf("The %s of every page of %s.", strings.ReplaceAll(o.items.name, "_", " "), snake(o.name)))
		fmt.Fprintf(b, "        return cast(%q, self._all(%s, %q, fields, %s))\n", item, row, o.items.name, gives)
	}
}

// pyWishes are what a method takes besides the fields, and what it hands on.
func pyWishes(o operation) (takes, gives string) {
	switch o.wish() {
	case "Read":
		return "newest: bool = False", "newest=newest"
	case "Conditional":
		return "if_version: int | None = None, idempotency_key: str | None = None", "if_version=if_version, idempotency_key=idempotency_key"
	}
	return "idempotency_key: str | None = None", "idempotency_key=idempotency_key"
}

func pyDoc(b *bytes.Buffer, indent, said string) {
	said = strings.NewReplacer(`\`, `\\`, `"""`, `'''`).Replace(sentence(said))
	lines := wrap(said, 110)
	if len(lines) == 1 {
		fmt.Fprintf(b, "%s\"\"\"%s\"\"\"\n", indent, lines[0])
		return
	}
	fmt.Fprintf(b, "%s\"\"\"%s\n%s\"\"\"\n", indent, strings.Join(lines, "\n"+indent), indent)
}

// pyPackage has the two classes that have every method, and all types.
func pyPackage(parts map[string]api) string {
	var b, waits, awaited strings.Builder
	names := []string{"Admin", "AsyncAdmin", "Changed", "Condition", "Conflict", "Denied", "NotFound", "Problem", "Unavailable"}
	b.WriteString("\"\"\"Administers directories: a method for every operation of the API, with the fields of its messages.\"\"\"\n\n")
	b.WriteString("from .._cluster import Changed, Condition, Conflict, Denied, NotFound, Problem, Unavailable\n")
	for _, noun := range slices.Sorted(maps.Keys(parts)) {
		part := parts[noun]
		var imports []string
		if len(part.operations) > 0 {
			imports = []string{"AsyncCalls as _Async" + pascal(noun), "Calls as _" + pascal(noun)}
			fmt.Fprintf(&waits, "    _%s,\n", pascal(noun))
			fmt.Fprintf(&awaited, "    _Async%s,\n", pascal(noun))
		}
		for _, m := range part.messages {
			for _, as := range pyForms(m) {
				imports, names = append(imports, typeName(m, as)), append(names, typeName(m, as))
			}
		}
		fmt.Fprintf(&b, "from .%s import (\n    %s,\n)\n", noun, strings.Join(imports, ",\n    "))
	}
	slices.Sort(names)
	b.WriteString("\n__all__ = [\n")
	for _, name := range names {
		fmt.Fprintf(&b, "    %q,\n", name)
	}
	fmt.Fprintf(&b, "]\n\n\nclass Admin(\n%s):\n    \"\"\"Asks a cluster and waits. It may be used by many threads.\"\"\"\n", waits.String())
	fmt.Fprintf(&b, "\n\nclass AsyncAdmin(\n%s):\n    \"\"\"Asks a cluster, awaited.\"\"\"\n", awaited.String())
	return b.String()
}
