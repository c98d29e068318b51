package cli

import (
	"bytes"
	"fmt"
	"go/format"
	"go/token"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// defined is a permission of an organization, as the list of them has it.
type defined struct {
	Permission  string `json:"permission"`
	Description string `json:"description"`
	Builtin     bool   `json:"builtin"`
}

// typesOptions are the flags of the command.
type typesOptions struct {
	language, file, pkg string
	check, builtin      bool
}

// languages write permissions as types.
var languages = map[string]func(t typesOptions, all []defined) ([]byte, error){
	"ts": typesTS, "go": typesGo, "py": typesPython,
}

func (o *options) typesCommand() *cobra.Command {
	var t typesOptions
	cmd := &cobra.Command{
		Short: "Write the permissions of an organization as types of a language",
		Long: "Write the permissions of an organization as types: a union for TypeScript, constants for\n" +
			"Go, a Literal for Python. A permission that is misspelt does not compile then. The SDKs\n" +
			"take them: authfi<Permission>(), auth.Require(permissions.ReadPatients), AuthFI[Permission]().\n" +
			"They are those that a role of the organization grants or that are described, in the order of\n" +
			"their names: the same permissions are the same bytes. With --check nothing is written;\n" +
			"it exits with 1 when the file is not what would be written, and says what differs.",
		Example: "  authfi types --lang ts --org city-clinic -o permissions.ts\n" +
			"  authfi types --lang ts --org city-clinic -o permissions.ts --check", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.writeTypes(cmd, t) },
	}
	f := cmd.Flags()
	f.StringVar(&t.language, "lang", "", "ts, go or py")
	f.StringVarP(&t.file, "output", "o", "-", "file to write or, with --check, to compare; - is stdout")
	f.BoolVar(&t.check, "check", false, "compare the file and write nothing")
	f.BoolVar(&t.builtin, "builtin", false, "also those that the product itself asks for")
	f.StringVar(&t.pkg, "package", "permissions", "name of the package, for Go")
	return cmd
}

func (o *options) writeTypes(cmd *cobra.Command, t typesOptions) error {
	write := languages[t.language]
	if write == nil {
		return usage("--lang is ts, go or py")
	}
	if t.check && t.file == "-" {
		return usage("--check needs --output, the file to compare")
	}
	ctx := cmd.Context()
	org, err := o.orgID(ctx)
	if err != nil {
		return err
	}
	var all []defined
	err = readAll(ctx, o, "PermissionService.ListDefinedPermissions", map[string]any{"org_id": org}, func(p *defined) {
		if !p.Builtin || t.builtin {
			all = append(all, *p)
		}
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("the organization has no permissions: no role grants one and none is described")
	}
	slices.SortFunc(all, func(a, b defined) int { return strings.Compare(a.Permission, b.Permission) })
	text, err := write(t, all)
	switch {
	case err != nil:
		return err
	case t.check:
		return compareTypes(t.file, text)
	case t.file == "-":
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	return os.WriteFile(t.file, text, 0o644)
}

// compareTypes says which lines the file has too many and which it lacks.
func compareTypes(file string, want []byte) error {
	have, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if bytes.Equal(have, want) {
		return nil
	}
	var differences []string
	old, now := strings.Split(string(have), "\n"), strings.Split(string(want), "\n")
	for _, line := range now {
		if !slices.Contains(old, line) {
			differences = append(differences, "+ "+strings.TrimSpace(line))
		}
	}
	for _, line := range old {
		if !slices.Contains(now, line) {
			differences = append(differences, "- "+strings.TrimSpace(line))
		}
	}
	return fmt.Errorf("%s is not what the organization's permissions give: %s", file, strings.Join(differences, ", "))
}

// remark is a description in one line, which ends no comment.
func remark(description string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(printable(description)), " "), "*/", "* /")
}

func typesTS(_ typesOptions, all []defined) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Written by authfi types --lang ts. Do not edit.\n\nexport const permissions = [\n")
	for _, p := range all {
		if p.Description != "" {
			fmt.Fprintf(&b, "  /** %s */\n", remark(p.Description))
		}
		fmt.Fprintf(&b, "  %q,\n", p.Permission)
	}
	b.WriteString("] as const;\n\nexport type Permission = (typeof permissions)[number];\n")
	return b.Bytes(), nil
}

func typesPython(_ typesOptions, all []defined) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("\"\"\"Written by authfi types --lang py. Do not edit.\"\"\"\n\n")
	b.WriteString("from typing import Final, Literal, get_args\n\nPermission = Literal[\n")
	for _, p := range all {
		fmt.Fprintf(&b, "    %q,", p.Permission)
		if p.Description != "" {
			fmt.Fprintf(&b, "  # %s", remark(p.Description))
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n\nPERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)\n")
	return b.Bytes(), nil
}

func typesGo(t typesOptions, all []defined) ([]byte, error) {
	if !token.IsIdentifier(t.pkg) {
		return nil, usage("%q is no name of a package", t.pkg)
	}
	names, err := goNames(all)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by authfi types --lang go. DO NOT EDIT.\n\n// Package %s names the permissions of an organization.\npackage %s\n\nconst (\n", t.pkg, t.pkg)
	for i, p := range all {
		if p.Description != "" {
			fmt.Fprintf(&b, "// %s\n", remark(p.Description))
		}
		fmt.Fprintf(&b, "%s = %q\n", names[i], p.Permission)
	}
	b.WriteString(")\n")
	return format.Source(b.Bytes())
}

// goNames are exported and differ. Where two permissions would have one name, both
// have their signs spelled out.
func goNames(all []defined) ([]string, error) {
	names, count := make([]string, len(all)), map[string]int{}
	for i, p := range all {
		names[i] = goName(p.Permission, plainSigns)
		count[names[i]]++
	}
	seen := map[string]string{}
	for i, p := range all {
		if count[names[i]] > 1 {
			names[i] = goName(p.Permission, spelledSigns)
		}
		if other := seen[names[i]]; other != "" {
			return nil, fmt.Errorf("%s and %s would have one name in Go, %s", other, p.Permission, names[i])
		}
		seen[names[i]] = p.Permission
	}
	return names, nil
}

var (
	plainSigns   = map[rune]string{':': "", '-': "", '.': "", '_': "", '*': "Any"}
	spelledSigns = map[rune]string{':': "_", '-': "Dash", '.': "Dot", '_': "Underscore", '*': "Star"}
)

// goName is ReadPatients of read:patients.
func goName(permission string, signs map[rune]string) string {
	var name strings.Builder
	begins := true
	for _, c := range permission {
		if sign, ok := signs[c]; ok {
			name.WriteString(sign)
			begins = true
			continue
		}
		text := string(c)
		if begins {
			text = strings.ToUpper(text)
		}
		name.WriteString(text)
		begins = false
	}
	if text := name.String(); token.IsExported(text) {
		return text
	}
	return "P" + name.String() // a digit begins no name
}
