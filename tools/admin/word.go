package main

import (
	"slices"
	"strings"
	"unicode"
)

// words of a name in any spelling.
func words(name string) []string {
	var all []string
	start := 0
	for i, r := range name {
		if i > start && (unicode.IsUpper(r) || r == '_') {
			all = append(all, strings.ToLower(name[start:i]))
			start = i
		}
		if r == '_' {
			start = i + 1
		}
	}
	return append(all, strings.ToLower(name[start:]))
}

// initials are written in capitals in Go.
var initials = []string{"api", "dns", "id", "ids", "ip", "json", "mfa", "scim", "tls", "ttl", "uri", "uris", "url", "urls"}

func pascal(name string) string {
	var b strings.Builder
	for _, word := range words(name) {
		if slices.Contains(initials, word) {
			upper := strings.ToUpper(word)
			b.WriteString(strings.TrimSuffix(upper, "S") + strings.Repeat("s", len(upper)-len(strings.TrimSuffix(upper, "S"))))
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func camel(name string) string {
	return strings.ToLower(name[:1]) + name[1:]
}

func snake(name string) string { return strings.Join(words(name), "_") }

// every is the name for all items of all pages: AllUsers of ListUsers.
func every(name string) string { return "All" + strings.TrimPrefix(name, "List") }

// wrap breaks a text into lines of at most width characters.
func wrap(said string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(said) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// sentence ends with a period.
func sentence(said string) string {
	if said == "" || strings.HasSuffix(said, ".") {
		return said
	}
	return said + "."
}

// about is what a method says: the document's sentence, or that there is only the name.
func (o operation) about() string {
	if o.says == o.name {
		return ""
	}
	return sentence(o.says)
}
