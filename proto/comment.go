package proto

import (
	"io/fs"
	"regexp"
	"strings"
	"sync"
)

// Comments are what the .proto files say, by the name of what they say it about:
// "UserService.ListUsers", "ListUsersRequest", "ListUsersRequest.limit". A file is
// under its own path. Callers must not change the map.
var Comments = sync.OnceValue(func() map[string]string {
	said := map[string]string{}
	names, err := fs.Glob(Sources, "authfi/v1/*.proto")
	if err != nil {
		panic("proto: " + err.Error()) // the pattern is a constant
	}
	for _, name := range names {
		text, err := fs.ReadFile(Sources, name)
		if err != nil {
			panic("proto: " + err.Error()) // embedded
		}
		readComments(string(text), said)
	}
	return said
})

var (
	protoBlock = regexp.MustCompile(`^(?:message|service|enum|oneof|extend|rpc) ([\w.]+)`)
	protoField = regexp.MustCompile(`^(?:optional |repeated )?(?:map<[^>]*>|[\w.]+) (\w+) = \d+[^;]*;`)
)

// readComments takes the comment above or beside each declaration. It reads the
// layout that the linter of the .proto files demands and nothing more.
func readComments(text string, said map[string]string) {
	var path, above []string
	for line := range strings.Lines(text) {
		code, beside, _ := strings.Cut(strings.TrimSpace(line), "//")
		code, beside = strings.TrimSpace(code), strings.TrimSpace(beside)
		if code == "" && beside != "" {
			above = append(above, beside)
			continue
		}
		name := ""
		if m := protoBlock.FindStringSubmatch(code); m != nil {
			name = m[1]
		} else if m := protoField.FindStringSubmatch(code); m != nil {
			name = m[1]
		}
		if name != "" {
			said[strings.Join(append(path, name), ".")] = strings.Join(append(above, beside), " ")
		}
		switch opened := strings.Count(code, "{") - strings.Count(code, "}"); {
		case opened > 0:
			path = append(path, name)
		case opened < 0 && len(path) > 0:
			path = path[:len(path)-1]
		}
		above = nil
	}
	for name, words := range said {
		said[name] = strings.TrimSpace(words)
	}
}
