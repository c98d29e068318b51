package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// source is one way in which a permission reaches a user.
type source struct {
	Role string `json:"role"`
	Via  string `json:"via"`
	Path []struct {
		Name string `json:"name"`
	} `json:"path"`
	Since      string `json:"since"`
	By         string `json:"by"`
	Expires    string `json:"expires"`
	Permission string `json:"permission"`
}

// via is the way from the user to the role: the groups from the inmost on.
func (s source) via() string {
	if s.Via == "" {
		return "given to the user"
	}
	names := make([]string, 0, len(s.Path))
	for _, step := range s.Path {
		names = append(names, step.Name)
	}
	if len(names) == 0 {
		names = []string{s.Via}
	}
	return "group " + strings.Join(names, " in ")
}

// sourceColumns are the columns of grant sources in every table.
var sourceColumns = []string{"ROLE", "VIA", "SINCE", "BY", "EXPIRES"}

func (s source) cells() []string { return []string{s.Role, s.via(), s.Since, s.By, s.Expires} }

func showPermissions(p *printer, body []byte) error {
	var answer struct {
		Source map[string][]source `json:"source"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	g := &grid{printer: p}
	if !p.noHeaders {
		g.add(append([]string{"PERMISSION"}, sourceColumns...)...)
	}
	g.sources(answer.Source, nil)
	return g.flush()
}

// sources adds a row for each source of each permission, after a word of its own.
func (g *grid) sources(of map[string][]source, word func(permission string) string) {
	for _, permission := range slices.Sorted(maps.Keys(of)) {
		for _, s := range of[permission] {
			row := append([]string{permission}, s.cells()...)
			if word != nil {
				row = append([]string{word(permission)}, row...)
			}
			g.add(row...)
		}
	}
}

func showCheck(p *printer, body []byte) error {
	var answer struct {
		Allowed bool     `json:"allowed"`
		Source  []source `json:"source"`
		Results []struct {
			Allowed bool     `json:"allowed"`
			Source  []source `json:"source"`
		} `json:"results"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	for _, r := range answer.Results {
		if err := p.line(checked(r.Allowed, r.Source)); err != nil {
			return err
		}
	}
	if len(answer.Results) > 0 {
		return nil
	}
	return p.line(checked(answer.Allowed, answer.Source))
}

func checked(allowed bool, sources []source) string {
	if !allowed {
		return "denied"
	}
	var ways []string
	for _, s := range sources {
		ways = append(ways, "role "+s.Role+", "+s.via())
	}
	return "allowed: " + printable(strings.Join(ways, "; "))
}

// explanation is the answer of PermissionService.Explain.
type explanation struct {
	Allowed bool            `json:"allowed"`
	Reason  string          `json:"reason"`
	Detail  string          `json:"detail"`
	Source  []source        `json:"source"`
	Closest []possibleGrant `json:"closest"`
	More    bool            `json:"more"`
}

type possibleGrant struct {
	Role    string `json:"role_name"`
	Group   string `json:"group_name"`
	Gained  int    `json:"gained"`
	Allowed bool   `json:"allowed"`
}

func showExplanation(p *printer, body []byte) error {
	var e explanation
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	word := "denied"
	if e.Allowed {
		word = "allowed"
	}
	if err := p.line(printable(word + ": " + e.Detail)); err != nil {
		return err
	}
	g := &grid{printer: p}
	if len(e.Source) > 0 {
		if !p.noHeaders {
			g.add(sourceColumns...)
		}
		for _, s := range e.Source {
			g.add(s.cells()...)
		}
	}
	if len(e.Closest) > 0 {
		if !p.noHeaders {
			g.add("WOULD ALLOW IT", "PERMISSIONS GAINED", "YOU MAY")
		}
		for _, c := range e.Closest {
			g.add(c.words(), fmt.Sprint(c.Gained), fmt.Sprint(c.Allowed))
		}
	}
	if err := g.flush(); err != nil || !e.More {
		return err
	}
	return p.line("and more; --limit shows up to 100")
}

func (c possibleGrant) words() string {
	if c.Group != "" {
		return "to join group " + c.Group
	}
	return "role " + c.Role
}

func showDiff(p *printer, body []byte) error {
	var answer struct {
		From   uint64              `json:"from"`
		To     uint64              `json:"to"`
		Gained []string            `json:"gained"`
		Lost   []string            `json:"lost"`
		Kept   []string            `json:"kept"`
		Source map[string][]source `json:"source"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if err := p.line(fmt.Sprintf("from %d to %d: %d gained, %d lost, %d kept",
		answer.From, answer.To, len(answer.Gained), len(answer.Lost), len(answer.Kept))); err != nil {
		return err
	}
	g := &grid{printer: p}
	if !p.noHeaders && len(answer.Gained)+len(answer.Lost) > 0 {
		g.add(append([]string{"", "PERMISSION"}, sourceColumns...)...)
	}
	g.sources(answer.Source, func(permission string) string {
		if slices.Contains(answer.Gained, permission) {
			return "gained"
		}
		return "lost"
	})
	return g.flush()
}

func showPreview(p *printer, body []byte) error {
	var answer struct {
		Index        uint64 `json:"index"`
		UsersChanged int    `json:"users_changed"`
		Gained       int64  `json:"gained"`
		Lost         int64  `json:"lost"`
		Permissions  []struct {
			Permission   string
			Gained, Lost int
		} `json:"permissions"`
		Users []struct {
			UserName     string `json:"user_name"`
			Gained, Lost []string
		} `json:"users"`
		More bool `json:"more"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if err := p.line(fmt.Sprintf("at index %d: users changed %d, gained %d, lost %d",
		answer.Index, answer.UsersChanged, answer.Gained, answer.Lost)); err != nil {
		return err
	}
	permissions, users := &grid{printer: p}, &grid{printer: p}
	if !p.noHeaders && len(answer.Permissions) > 0 {
		permissions.add("PERMISSION", "GAINED BY", "LOST BY")
		users.add("USER NAME", "GAINED", "LOST")
	}
	for _, c := range answer.Permissions {
		permissions.add(c.Permission, fmt.Sprint(c.Gained), fmt.Sprint(c.Lost))
	}
	for _, u := range answer.Users {
		users.add(u.UserName, strings.Join(u.Gained, ", "), strings.Join(u.Lost, ", "))
	}
	if err := permissions.flush(); err != nil {
		return err
	}
	if err := users.flush(); err != nil || !answer.More {
		return err
	}
	return p.line("and more users; --limit shows up to 1000")
}

// bulkAnswer is the answer of BulkService.Bulk.
type bulkAnswer struct {
	Results   []bulkResult `json:"results"`
	Succeeded int          `json:"succeeded"`
	Failed    int          `json:"failed"`
	Skipped   int          `json:"skipped"`
}

type bulkResult struct {
	Status  string   `json:"status"`
	ID      string   `json:"id"`
	Problem *Problem `json:"problem"`
	Detail  string   `json:"detail"`
}

func showBulk(p *printer, body []byte) error {
	var answer bulkAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	g := &grid{printer: p}
	if !p.noHeaders {
		g.add("OPERATION", "STATUS", "ID", "PROBLEM", "DETAIL")
	}
	for i, r := range answer.Results {
		code := ""
		if r.Problem != nil {
			code = r.Problem.Code
		}
		g.add(fmt.Sprint(i+1), r.Status, r.ID, code, r.Detail)
	}
	return g.flush()
}

// checkBulk fails when an operation did.
func checkBulk(body []byte) error {
	var answer bulkAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if answer.Failed > 0 {
		return fmt.Errorf("%d of %d operations failed, %d were not tried", answer.Failed, len(answer.Results), answer.Skipped)
	}
	return nil
}
