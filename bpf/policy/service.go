package policy

import (
	"fmt"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Service is all that decides about the requests of one protected service.
type Service struct {
	Version uint64 // of the policies: each write has the next one
	Routes  []Route
	// FoldCase and FoldSlash are set when the application takes paths for one that
	// differ in case, or in a slash at the end: then the policy must, too, or a
	// request passes by the rule of its path and meets a weaker one.
	FoldCase  bool
	FoldSlash bool
	// DryRun lets through what would be refused, and counts it.
	DryRun bool
}

// Validate checks routes one by one and against each other.
func (s *Service) Validate() error {
	if len(s.Routes) > RoutesMax {
		return directory.Invalid("policies", "more than %d routes", RoutesMax)
	}
	seen := map[string]int{}
	for i, r := range s.Routes {
		if err := r.validate(i); err != nil {
			return err
		}
		if s.FoldCase && !isASCII(r.Path) {
			return directory.Invalid(Field(i, "path"), "a service that folds case takes no path beyond ASCII")
		}
		for _, m := range r.methods() {
			key := fmt.Sprint(m, s.canonical(r.Path), len(r.Methods) == 0)
			if first, twice := seen[key]; twice {
				return directory.Invalid(Field(i, "path"), "%s %s is already route %d", methodNames[m], r.Path, first)
			}
			seen[key] = i
		}
	}
	return nil
}

// canonical is the one spelling of the patterns that mean the same paths.
func (s *Service) canonical(path string) string {
	if s.FoldCase {
		path = strings.ToLower(path)
	}
	if s.FoldSlash && path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// Compile makes the program of a service of the organization with this ordinal.
// What does not fit is refused.
func (s *Service) Compile(org uint32, numbers *Numbering) (*Program, error) {
	c, err := s.compiler(org, numbers)
	if err != nil {
		return nil, err
	}
	return c.program, nil
}

// compiler is one that has run.
func (s *Service) compiler(org uint32, numbers *Numbering) (*compiler, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := newCompiler(s)
	var start []place
	for i := range s.Routes {
		rule, err := ruleOf(org, &s.Routes[i], numbers)
		if err != nil {
			return nil, err
		}
		c.rules = append(c.rules, rule)
		c.patterns = append(c.patterns, parsePattern(s.Routes[i].Path))
		c.rank = append(c.rank, specificity(s.canonical(s.Routes[i].Path)))
		start = append(start, place{route: uint16(i)})
	}
	return c, c.run(start)
}

// Case is folded in ASCII alone. Beyond it every framework folds in its own way,
// and some fold into ASCII: a Kelvin sign is a k to one and not to the other. So a
// path with such bytes leads nowhere where case is folded.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b | 0x20
	}
	return b
}
