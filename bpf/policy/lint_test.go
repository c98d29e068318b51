package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	names := Names{
		Role:       func(name string) bool { return name == "doctor" },
		Permission: func(name string) bool { return name == "read:charts" },
	}
	doctor, get := []string{"doctor"}, []string{"GET"}
	for _, row := range []struct {
		name    string
		service Service
		want    []string // route, code and a part of the message
	}{
		{"sound", Service{Routes: []Route{{Methods: get, Path: "/charts/*", Permissions: []string{"read:charts"}}, {Methods: get, Path: "/health", Public: true}}}, nil},
		{"nothing", Service{}, []string{"-1 empty every request is refused"}},
		{"a route for all methods beside one for GET", Service{Routes: []Route{{Path: "/a", Roles: doctor}, {Methods: get, Path: "/a", Roles: doctor}}}, nil},
		{"all seven methods beside it", Service{Routes: []Route{{Path: "/a", Roles: doctor}, {Methods: methodNames[:], Path: "/a", Roles: doctor}}},
			[]string{"0 unreachable * /a decides nothing"}},
		{"covered by three others", Service{Routes: []Route{
			{Path: "/a/**", Roles: doctor}, {Path: "/a/", Roles: doctor}, {Path: "/a/*", Roles: doctor}, {Path: "/a/*/**", Roles: doctor},
		}}, []string{"0 unreachable * /a/** decides nothing"}},
		{"covered for GET", Service{Routes: []Route{
			{Path: "/a/**", Roles: doctor}, {Methods: get, Path: "/a/", Roles: doctor}, {Methods: get, Path: "/a/*", Roles: doctor}, {Methods: get, Path: "/a/*/**", Roles: doctor},
		}}, []string{"0 shadowed * /a/** never decides GET"}},
		{"any token for everything", Service{Routes: []Route{{Path: "/**"}}}, []string{"0 broad any user of the organization"}},
		{"public writes", Service{Routes: []Route{{Path: "/a", Public: true}}}, []string{"0 public_write POST, PUT, PATCH, DELETE"}},
		{"everything open to read", Service{Routes: []Route{{Methods: get, Path: "/**", Public: true}}}, []string{"0 broad without a token"}},
		{"unknown names", Service{Routes: []Route{{Path: "/a", Roles: []string{"doctor", "docter"}, PermissionsAny: []string{"read:charts", "read:chart"}}}},
			[]string{`0 unknown_role "docter"`, `0 unknown_permission "read:chart"`}},
		{"a demand that does not add up", Service{Routes: []Route{{Path: "/a/**", Roles: doctor, MFA: true}, {Path: "/a/b", Roles: doctor}}},
			[]string{"1 weaker * /a/b decides before * /a/** (route 0) and does not ask for MFA"}},
		{"a public path within", Service{Routes: []Route{{Path: "/a/**", Roles: doctor}, {Methods: get, Path: "/a/b", Public: true}}},
			[]string{"1 weaker GET /a/b decides before * /a/** (route 0) and does not ask for a token"}},
		{"a weaker rest", Service{Routes: []Route{{Path: "/a/**", Roles: doctor}, {Path: "/a/b", Roles: doctor, MFA: true}}},
			[]string{"0 folding does not ask for MFA, as * /a/b (route 1) does"}},
		{"a weaker rest, folded", Service{FoldCase: true, FoldSlash: true, Routes: []Route{{Path: "/a/**", Roles: doctor}, {Path: "/a/b", Roles: doctor, MFA: true}}}, nil},
		{"a path of dots is never requested", Service{Routes: []Route{{Path: "/*", Roles: doctor}, {Path: "/...", Roles: doctor}}}, nil},
	} {
		found, err := row.service.Lint(names)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		ok := len(found) == len(row.want)
		for i := 0; ok && i < len(found); i++ {
			head, part, _ := strings.Cut(row.want[i], " ")
			code, part, _ := strings.Cut(part, " ")
			f := found[i]
			ok = fmt.Sprint(f.Route) == head && f.Code == code && strings.Contains(f.Message, part) && f.Error == (code == CodeUnreachable)
		}
		if !ok {
			t.Errorf("%s: found %+v, want %q", row.name, found, row.want)
		}
	}
}

func TestAsManyFindingsAsAreReadAndOneMore(t *testing.T) {
	unknown := Names{Role: func(string) bool { return false }}
	route := Route{Path: "/"}
	for i := range FindingsMax {
		route.Roles = append(route.Roles, fmt.Sprint("role-", i))
	}
	for _, want := range []int{FindingsMax, FindingsMax + 1} {
		s := Service{Routes: []Route{route}}
		found, err := s.Lint(unknown)
		if err != nil || len(found) != want {
			t.Fatalf("%d findings, want %d, %v", len(found), want, err)
		}
		if last := found[len(found)-1]; (last.Code == CodeMore) != (want > FindingsMax) {
			t.Errorf("the last is %+v", last)
		}
		route.Roles = slices.Concat(route.Roles, []string{"one more"})
	}
}

// The largest policy that there may be is linted in the time of a request.
func TestLargestPolicyIsLinted(t *testing.T) {
	s := Service{FoldCase: true, FoldSlash: true}
	for i := range RoutesMax {
		s.Routes = append(s.Routes, Route{Path: fmt.Sprintf("/v%d/*/%d", i%5, i), Roles: []string{"doctor"}})
	}
	found, err := s.Lint(Names{})
	if err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
}
