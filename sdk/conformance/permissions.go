package conformance

import "strings"

// PermissionCase asks whether who holds some permissions may do one thing.
type PermissionCase struct {
	Held    []string `json:"held"`
	Ask     string   `json:"ask"`
	Allowed bool     `json:"allowed"`
}

// MakePermissions makes the file permissions.json.
func MakePermissions() []PermissionCase {
	long := "read:" + strings.Repeat("n", 128-len("read:"))
	return []PermissionCase{
		{[]string{"read:patients"}, "read:patients", true},
		{[]string{"read:patients", "write:notes"}, "write:notes", true},
		{[]string{}, "read:patients", false},
		{[]string{"read:patients"}, "write:patients", false},
		{[]string{"read:patients"}, "read:patient", false},
		{[]string{"read:patient"}, "read:patients", false},
		{[]string{"read:*"}, "read:patients", true},
		{[]string{"read:*"}, "read:anything-at-all", true},
		{[]string{"read:*"}, "write:patients", false},
		{[]string{"read:*"}, "reads:patients", false},
		{[]string{"rea:*"}, "read:patients", false},
		{[]string{"read:*"}, "read:*", true},
		{[]string{"read:patients"}, "read:*", false},
		{[]string{"write:*"}, "read:*", false},
		{[]string{"*:*"}, "read:patients", false},
		{[]string{"*:patients"}, "read:patients", false},
		{[]string{"*"}, "read:patients", false},
		{[]string{"*:*"}, "*:*", false},
		{[]string{"*"}, "*", false},
		{[]string{"read:pat*"}, "read:patients", false},
		{[]string{"read:pat*"}, "read:pat*", false},
		{[]string{"READ:patients"}, "read:patients", false},
		{[]string{"read:patients"}, "READ:PATIENTS", false},
		{[]string{"read:patients"}, "", false},
		{[]string{""}, "", false},
		{[]string{":"}, ":", false},
		{[]string{"read:"}, "read:", false},
		{[]string{":patients"}, ":patients", false},
		{[]string{"read"}, "read", false},
		{[]string{"read:*"}, "read", false},
		{[]string{"read:*"}, "read:", false},
		{[]string{"read:*"}, "read:a:b", false},
		{[]string{"read:a:b"}, "read:a:b", false},
		{[]string{"read:patients "}, "read:patients", false},
		{[]string{"read:patients"}, "read:patients ", false},
		{[]string{"read:patients"}, "read:patients\n", false},
		{[]string{"read:*"}, "read:patients\n", false},
		{[]string{"read:*"}, "read:pätients", false},
		{[]string{"read:*"}, "read:p٣", false}, // a digit of another script
		{[]string{"read:a.b_c-9"}, "read:a.b_c-9", true},
		{[]string{"read:constructor"}, "read:constructor", true},
		{[]string{}, "constructor:constructor", false},
		{[]string{"read:patients,write:notes"}, "write:notes", false},
		{[]string{"read:patients write:notes"}, "write:notes", false},
		{[]string{long}, long, true},
		{[]string{"read:*"}, long + "n", false},
		{[]string{long + "n"}, long + "n", false},
	}
}
