package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Shape of the hospital that is imported: the directory of the in-process
// benchmark, through the API.
const (
	people        = 100_000
	groupsPerUser = 5
	peopleGroups  = 2_000
	roleCount     = 100
	rolesPerGroup = 3
	importers     = 128
	membersBatch  = 1_000 // the API's limit
)

// importUsers creates so many users; ids are in the order of their numbers.
func (c *cluster) importUsers(ctx context.Context, n int) ([]string, error) {
	operator, ids := c.operator(), make([]string, n)
	err := forEach(ctx, importers, n, func(ctx context.Context, i int) (err error) {
		name := fmt.Sprintf("person-%06d", i)
		ids[i], err = operator.create(ctx, "/api/v1/users", map[string]any{
			"org_id": c.org, "user_name": name, "email": name + "@bench.example", "display_name": name,
		})
		return err
	})
	return ids, err
}

// importAll is timed once a benchmark: it takes minutes, not moments. It is what an
// administrator does: a CSV file of users and their groups, then an organization
// file of roles and who has them. The users are in the order of their numbers.
func importAll(ctx context.Context, b *bench, c *cluster) ([]string, error) {
	users, roles, err := b.files()
	if err != nil {
		return nil, err
	}
	first, err := b.runImport(ctx, c, users, "--create-groups")
	if err != nil {
		return nil, err
	}
	if _, err := b.runImport(ctx, c, roles); err != nil {
		return nil, err
	}
	again, err := b.runImport(ctx, c, users, "--create-groups")
	if err != nil {
		return nil, err
	}
	if first.Changes != people+peopleGroups+people*groupsPerUser || again.Changes != 0 {
		return nil, fmt.Errorf("the first import made %d changes, the second %d", first.Changes, again.Changes)
	}
	how := fmt.Sprintf("authfi import of a CSV file of %d users in %d of %d groups each, as a process, to one of three nodes on the same CPUs: ", people, groupsPerUser, peopleGroups)
	b.report.add("import_100k_s", "s", how+"from the start of the command to its end; one run only.", []float64{first.took.Seconds()})
	b.report.add("import_100k_again_s", "s", how+"the same again, which reads and compares everything and changes nothing; one run only.", []float64{again.took.Seconds()})
	return c.userIDs(ctx)
}

// files are what is imported: users with their groups, and roles with who has them.
func (b *bench) files() (users, roles string, err error) {
	users, roles = filepath.Join(b.dir, "people.csv"), filepath.Join(b.dir, "roles.jsonl")
	var text strings.Builder
	text.WriteString("user_name,email,display_name,groups\n")
	for i := range people {
		var groups []string
		for _, g := range groupsOf(i) {
			groups = append(groups, fmt.Sprintf("group-%d", g))
		}
		name := fmt.Sprintf("person-%06d", i)
		fmt.Fprintf(&text, "%s,%s@bench.example,%s,%s\n", name, name, name, strings.Join(groups, ";"))
	}
	if err := os.WriteFile(users, []byte(text.String()), 0o600); err != nil {
		return "", "", err
	}
	text.Reset()
	text.WriteString(`{"format":"authfi-organization","version":1}` + "\n")
	for i := range roleCount {
		var permissions []string
		for p := range 10 {
			permissions = append(permissions, strconv.Quote(permissionName((i*37+p*101)%permissionCount)))
		}
		fmt.Fprintf(&text, `{"role":{"name":"role-%d","permissions":[%s]}}`+"\n", i, strings.Join(permissions, ","))
	}
	for g := range peopleGroups {
		for r := range rolesPerGroup {
			fmt.Fprintf(&text, `{"assignment":{"role":"role-%d","group":"group-%d"}}`+"\n", (g*13+r*29)%roleCount, g)
		}
	}
	return users, roles, os.WriteFile(roles, []byte(text.String()), 0o600)
}

// imported is what the command says about an import.
type imported struct {
	Changes int `json:"changes"`
	took    time.Duration
}

func (b *bench) runImport(ctx context.Context, c *cluster, file string, flags ...string) (done imported, err error) {
	cmd := exec.CommandContext(ctx, b.program, append([]string{"import", file, "--org", c.org, "-o", "json"}, flags...)...)
	cmd.Env = append(os.Environ(), "AUTHFI_URL="+c.API(0), "AUTHFI_TOKEN="+c.OperatorToken(), "AUTHFI_CACERT="+c.CA())
	cmd.Stderr = os.Stderr
	began := time.Now()
	answer, err := cmd.Output()
	done.took = time.Since(began)
	if err != nil {
		return done, fmt.Errorf("authfi import: %w", err)
	}
	return done, json.Unmarshal(answer, &done)
}

// userIDs reads all users, whose ids are in the order of their user names then.
func (c *cluster) userIDs(ctx context.Context) ([]string, error) {
	ids := make([]string, people)
	operator, cursor := c.operator(), ""
	for {
		var page struct {
			Users []struct {
				ID       string `json:"id"`
				UserName string `json:"user_name"`
			} `json:"users"`
			Cursor string `json:"cursor"`
		}
		path := fmt.Sprintf("/api/v1/users?org_id=%s&limit=1000&cursor=%s", c.org, url.QueryEscape(cursor))
		if err := operator.do(ctx, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		for _, u := range page.Users {
			var number int
			if _, err := fmt.Sscanf(u.UserName, "person-%d", &number); err == nil {
				ids[number] = u.ID
			}
		}
		if cursor = page.Cursor; cursor == "" {
			return ids, nil
		}
	}
}

// addMembers fills the groups, each in batches of the API's limit.
func (c *cluster) addMembers(ctx context.Context, groups []string, members [][]string) error {
	operator := c.operator()
	return forEach(ctx, importers, len(groups), func(ctx context.Context, i int) error {
		for at := 0; at < len(members[i]); at += membersBatch {
			batch := members[i][at:min(at+membersBatch, len(members[i]))]
			body := map[string]any{"user_ids": batch}
			if err := operator.do(ctx, http.MethodPost, "/api/v1/groups/"+groups[i]+"/members", body, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// groupsOf are the five groups of a user, the same on every run. Strides that
// differ in every quotient, so that the five differ.
func groupsOf(user int) (groups []int) {
	for k := range groupsPerUser {
		groups = append(groups, (user+k*(peopleGroups/groupsPerUser)+k*(user/peopleGroups))%peopleGroups)
	}
	return groups
}
