package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

// The lines of the page that can be run begin with ask, as a shell reads them.
const (
	pageOfQuestions = "../docs/reference/questions.md"
	pagePrompt      = "    $ ask "
)

// TestPageOfQuestions asks every line of the page of three real nodes in turn.
func TestPageOfQuestions(t *testing.T) {
	text, err := os.ReadFile(pageOfQuestions)
	if err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t)
	names := memorialHospital(c)
	asked := 0
	for _, line := range strings.Split(string(text), "\n") {
		command, ok := strings.CutPrefix(line, pagePrompt)
		if !ok {
			continue
		}
		words := shellWords(t, command, names)
		method, body := http.MethodGet, ""
		var headers []string
		for i := 1; i < len(words); i += 2 {
			switch words[i] {
			case "-d":
				method, body = http.MethodPost, words[i+1]
			case "-H":
				name, value, _ := strings.Cut(words[i+1], ": ")
				headers = append(headers, name, value)
			default:
				t.Fatalf("%s: the test does not know %s", line, words[i])
			}
		}
		headers = append(headers, "X-Authfi-Index", names["NEWEST"])
		answer := c.Call(asked%nodetest.Size, method, words[0], body, headers...)
		var said map[string]any
		if err := json.Unmarshal(answer.Body, &said); answer.Status != http.StatusOK || err != nil {
			t.Errorf("%s\n%d %s", line, answer.Status, answer.Body)
		}
		for _, list := range []string{"effective", "users", "closest", "evaluations"} { // what a line is there to show
			if items, is := said[list].([]any); is && len(items) == 0 {
				t.Errorf("%s\nshows no %s: %s", line, list, answer.Body)
			}
		}
		asked++
	}
	if asked < 15 {
		t.Errorf("%d lines are on the page", asked)
	}
}

// memorialHospital is the organization of the page: Alice holds read:charts through
// a group in a group, and Bob nothing.
func memorialHospital(c *nodetest.Cluster) map[string]string {
	var made struct{ ID string }
	names := map[string]string{}
	post := func(name, path, body string) string {
		answer := c.Do(0, http.MethodPost, "/api/v1/"+path, body, &made)
		names[name], names["NEWEST"] = made.ID, answer.Header.Get("X-Authfi-Index")
		return made.ID
	}
	org := post("ORG", "organizations", `{"slug":"memorial-hospital","name":"Memorial Hospital"}`)
	alice := post("ALICE", "users", fmt.Sprintf(`{"org_id":%q,"email":"alice@clinic.example"}`, org))
	post("BOB", "users", fmt.Sprintf(`{"org_id":%q,"email":"bob@clinic.example"}`, org))
	oncology := post("ONCOLOGY", "groups", fmt.Sprintf(`{"org_id":%q,"name":"oncology"}`, org))
	doctors := post("DOCTORS", "groups", fmt.Sprintf(`{"org_id":%q,"name":"doctors"}`, org))
	post("NURSE", "roles", fmt.Sprintf(`{"org_id":%q,"name":"nurse","permissions":["read:charts","read:meals"]}`, org))
	doctor := post("DOCTOR", "roles", fmt.Sprintf(`{"org_id":%q,"name":"doctor","permissions":["read:charts","write:charts"]}`, org))
	names["INDEX"] = names["NEWEST"]
	post("", "groups/"+oncology+"/members", fmt.Sprintf(`{"user_id":%q}`, alice))
	post("", "groups/"+doctors+"/groups", fmt.Sprintf(`{"group_id":%q}`, oncology))
	post("", "groups/"+doctors+"/roles", fmt.Sprintf(`{"role_id":%q}`, doctor))
	return names
}

// shellWords reads a line as a shell does: single quotes keep everything, double
// quotes keep spaces, and a name after $ stands for its value outside of the former.
func shellWords(t *testing.T, line string, names map[string]string) (words []string) {
	t.Helper()
	value := func(name string) string {
		v, ok := names[name]
		if !ok {
			t.Fatalf("%s: nobody has said what %s is", line, name)
		}
		return v
	}
	var word, plain strings.Builder
	settle := func() {
		word.WriteString(os.Expand(plain.String(), value))
		plain.Reset()
	}
	quote := rune(0)
	for _, r := range line + " " {
		switch {
		case quote == '\'' && r != quote:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			settle()
			if quote = map[bool]rune{true: 0, false: r}[quote == r]; quote != 0 {
				continue
			}
		case r == ' ' && quote == 0:
			if settle(); word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
		default:
			plain.WriteRune(r)
		}
	}
	return words
}
