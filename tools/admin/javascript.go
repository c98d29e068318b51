package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

func writeJavaScript(all api, files map[string][]byte) {
	types := jsTypes(all)
	for name, text := range map[string]string{
		"index.cjs": jsOperations(all), "index.mjs": jsModule, "index.d.cts": types, "index.d.ts": jsModuleTypes,
	} {
		files["sdk/js/admin/"+name] = []byte("// " + notice + "\n" + text)
	}
}

// The module for import has what the one for require has.
const (
	jsModule = `import implementation from "./index.cjs";

export const { Admin, Problem } = implementation;
`
	jsModuleTypes = `export * from "./index.cjs";
`
)

// jsOperations is the table; the methods are made of its rows.
func jsOperations(all api) string {
	var b bytes.Buffer
	b.WriteString("\"use strict\";\nconst { Problem, administration } = require(\"../lib/cluster.cjs\");\n\nconst Admin = administration({\n")
	for _, o := range all.operations {
		fmt.Fprintf(&b, "  %s: { name: %s, method: %s, path: %s", camel(o.name), jsText(o.name), jsText(o.method), jsText(o.path))
		if o.body != "" {
			fmt.Fprintf(&b, ", body: %s", jsText(o.body))
		}
		for _, mark := range o.marks() {
			fmt.Fprintf(&b, ", %s: true", mark)
		}
		if o.items != nil {
			fmt.Fprintf(&b, ", items: %s, every: %s", jsText(o.items.name), jsText(camel(every(o.name))))
		}
		b.WriteString(" },\n")
	}
	b.WriteString("});\n\nmodule.exports = { Admin, Problem };\n")
	return b.String()
}

func jsText(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("admin: " + err.Error()) // a text
	}
	return string(quoted)
}

func jsTypes(all api) string {
	var b bytes.Buffer
	b.WriteString("import { Cluster, Options, Wishes } from \"../lib/cluster.cjs\";\n\nexport { Kind, Options, Problem, Wishes } from \"../lib/cluster.cjs\";\n\n")
	for _, m := range all.messages {
		if m.unwritten() {
			continue
		}
		if m.uses&answered != 0 {
			jsMessage(&b, m, answered)
		}
		if m.uses&asked != 0 {
			jsMessage(&b, m, asked)
		}
	}
	b.WriteString("/** Administers directories: a method for every operation of the API. */\nexport class Admin extends Cluster {\n  /** Asks nobody yet. What is left out is taken from AUTHFI_URL, AUTHFI_TOKEN and AUTHFI_CACERT. */\n  constructor(options?: Options);\n")
	for _, o := range all.operations {
		jsMethod(&b, o)
	}
	b.WriteString("}\n")
	return b.String()
}

// typeName is that of a message as it is asked or answered: two, when it is both.
func typeName(m *message, as use) string {
	if as == asked && m.uses&answered != 0 {
		return m.name + "Input"
	}
	return m.name
}

func jsMessage(b *bytes.Buffer, m *message, as use) {
	jsComment(b, "", m.says)
	fmt.Fprintf(b, "export interface %s {\n", typeName(m, as))
	for _, f := range m.fields {
		jsComment(b, "  ", f.says)
		optional := ""
		if as == asked && !slices.Contains(m.holes, f.name) {
			optional = "?"
		}
		fmt.Fprintf(b, "  %s%s: %s;\n", f.name, optional, jsType(f, as))
	}
	b.WriteString("}\n\n")
}

func jsType(f field, as use) string {
	t := jsValue(f, as)
	switch {
	case f.form == mapped:
		return "Record<string, " + t + ">"
	case f.form == listed:
		return t + "[]"
	case f.present && as == answered:
		return t + " | null"
	}
	return t
}

func jsValue(f field, as use) string {
	if list := f.list(); list != nil {
		return jsType(*list, as)
	}
	switch f.kind {
	case truth:
		return "boolean"
	case whole, fraction:
		return "number"
	case object:
		return "Record<string, unknown>"
	case held:
		if f.of.name == "Problem" {
			return "{ code: string; field: string }"
		}
		return typeName(f.of, as)
	}
	return "string"
}

func jsMethod(b *bytes.Buffer, o operation) {
	optional, out := "?", "void"
	if o.needs() {
		optional = ""
	}
	if len(o.out.fields) > 0 {
		out = typeName(o.out, answered)
	}
	wishes := "Wishes." + o.wish()
	jsComment(b, "  ", o.about())
	fmt.Fprintf(b, "  %s(input%s: %s, wishes?: %s): Promise<%s>;\n", camel(o.name), optional, typeName(o.in, asked), wishes, out)
	if o.items != nil {
		jsComment(b, "  ", fmt.Sprintf("The %s of every page of %s.", strings.ReplaceAll(o.items.name, "_", " "), camel(o.name)))
		fmt.Fprintf(b, "  %s(input%s: %s, wishes?: %s): AsyncIterableIterator<%s>;\n", camel(every(o.name)), optional, typeName(o.in, asked), wishes, jsValue(*o.items, answered))
	}
}

// wish is what a call may wish for.
func (o operation) wish() string {
	switch {
	case o.read:
		return "Read"
	case o.conditional:
		return "Conditional"
	}
	return "Change"
}

func jsComment(b *bytes.Buffer, indent, said string) {
	lines := wrap(strings.ReplaceAll(said, "*/", "* /"), 110)
	switch len(lines) {
	case 0:
	case 1:
		fmt.Fprintf(b, "%s/** %s */\n", indent, lines[0])
	default:
		fmt.Fprintf(b, "%s/**\n%s * %s\n%s */\n", indent, indent, strings.Join(lines, "\n"+indent+" * "), indent)
	}
}
