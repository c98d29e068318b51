package dev_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// formsServed: a token that says in fewer words what its user may do, or leaves it out,
// is served like one that lists it, and a role that is taken shows at once: a token that
// leaves it out lives on with what is left.
func (p *protected) formsServed(t *testing.T, ctx context.Context) {
	for _, row := range []struct {
		form  string
		nouns int // of three verbs each, which make the token so long
	}{{"grouped", 60}, {"referred", 250}} {
		id, _ := p.signIn(t, ctx, row.form+"@x.example", 0)
		p.giveMany(t, ctx, id, row.form, row.nouns)
		token := p.session(t, ctx, id)
		if form := formOf(t, token); form != row.form {
			t.Fatalf("the token is %s, want %s", form, row.form)
		}
		p.served(t, ctx, id, token)
		p.take(t, ctx, id, "doctor")
		worst := map[string]time.Duration{}
		if row.form == "grouped" {
			p.refused(t, ctx, token, "token_stale", refusalMax, worst)
			continue
		}
		p.refusedWith(t, ctx, token, http.StatusForbidden, `"missing":["read:patients"]`)
		p.deactivated(t, ctx, 0, id, token, refusalMax, worst)
	}
}

// giveMany gives a user a role of so many permissions that a token cannot list them.
func (p *protected) giveMany(t *testing.T, ctx context.Context, id, role string, nouns int) {
	t.Helper()
	var permissions []string
	for n := range nouns {
		for _, verb := range []string{"delete", "read", "write"} {
			permissions = append(permissions, fmt.Sprintf("%s:resource-%03d", verb, n))
		}
	}
	p.call(t, ctx, http.MethodPost, "/api/v1/roles", map[string]any{"org_id": p.org, "name": role, "permissions": permissions}, nil)
	p.call(t, ctx, http.MethodPost, "/api/v1/users/"+id+"/roles", map[string]any{"role_name": role}, nil)
}

func formOf(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var claims map[string]any
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, referred := claims["permissions_ref"]; referred {
		return "referred"
	}
	if _, listed := claims["permissions"].([]any); listed {
		return "listed"
	}
	return "grouped"
}

// refusedWith waits for an answer from every service, as long as refusalMax.
func (p *protected) refusedWith(t *testing.T, ctx context.Context, token string, want int, part string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, refusalMax)
	defer cancel()
	for service := range p.services {
		for {
			status, body, err := p.get(ctx, service, token)
			if err != nil {
				t.Fatalf("%s: %v", service, err)
			}
			if status == want && strings.Contains(strings.ReplaceAll(body, " ", ""), part) {
				break
			}
			if status != http.StatusOK {
				t.Fatalf("%s: %d %s", service, status, body)
			}
		}
	}
}
