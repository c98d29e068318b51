package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
)

// twoWays is one node that is asked twice: with shortcuts and without.
type twoWays struct {
	t           *testing.T
	short, long *httptest.Server
}

// asked is one request, written out so that both ways get the same bytes.
type asked struct {
	method, path, body string
	chunked            bool
	header             http.Header
}

func (q asked) String() string {
	body := q.body
	if len(body) > 200 {
		body = fmt.Sprintf("%s… (%d bytes)", body[:200], len(body))
	}
	return fmt.Sprintf("%s %s %v %q chunked=%v", q.method, q.path, q.header, body, q.chunked)
}

type answered struct {
	status int
	header http.Header
	body   string
}

func (w *twoWays) ask(server *httptest.Server, q asked) answered {
	w.t.Helper()
	var body io.Reader = strings.NewReader(q.body)
	if q.chunked {
		body = io.MultiReader(body) // of no known length
	}
	req, err := http.NewRequestWithContext(w.t.Context(), q.method, server.URL+q.path, body)
	must(w.t, err)
	req.Header = q.header.Clone()
	res, err := server.Client().Transport.RoundTrip(req)
	must(w.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(w.t, err)
	// How the body is framed is the transport's; that it has this length was
	// checked while it was read.
	header := res.Header
	for _, framing := range []string{"Date", "Content-Length"} {
		header.Del(framing)
	}
	return answered{res.StatusCode, header, string(text)}
}

// same asks both ways, demands the same answer and gives it.
func (w *twoWays) same(q asked) answered {
	w.t.Helper()
	short, long := w.ask(w.short, q), w.ask(w.long, q)
	if short.status != long.status || short.body != long.body || !maps.EqualFunc(short.header, long.header, slices.Equal) {
		w.t.Errorf("%v\nshort: %d %v\n%.2000s\nlong:  %d %v\n%.2000s", q, short.status, short.header, short.body, long.status, long.header, long.body)
	}
	return short
}

// asking is what the requests of a test are made of.
type asking struct {
	users, permissions, tokens []string
}

// newTwoWays is a node with an organization of everything that an answer may
// show, and the words to ask about it.
func newTwoWays(t *testing.T) (*twoWays, asking) {
	t.Helper()
	s, d, org := newDirect(t)
	config := configured(t, d.log, d.log.machine.Root, d.ring)
	w := &twoWays{t: t}
	for at, build := range map[**httptest.Server]func(admin.Config) (http.Handler, error){&w.short: admin.New, &w.long: admin.NewWithoutShortcuts} {
		handler, err := build(config)
		must(t, err)
		*at = httptest.NewServer(handler)
		(*at).Client().Transport.(*http.Transport).DisableCompression = true
		t.Cleanup((*at).Close)
	}
	busy, bob, carol, idle := busyUser(d), d.user("bob"), d.user("carol"), d.user("idle")
	ward, staff := d.group("ward \"7\" <é>", bob, busy), d.group("staff")
	d.do(&fsm.NestGroup{Parent: staff, Child: ward})
	d.give(d.role("reader", "read:*", "read:thing-0001"), staff)
	admins := d.role("admins", directory.ReadDirectory)
	d.give(admins, carol)
	d.do(&fsm.AssignRole{
		ID: access.NewID[directory.AssignmentID](time.Now()), Role: d.role("guest", "write:notes"), User: bob,
		Expires: directory.TimeOf(time.Now().Add(time.Hour)),
	})
	d.do(&fsm.SetUserActive{User: idle, Active: false})
	other, _ := s.organization("neighbour")
	stranger := s.user(other, "stranger")
	connection := s.ok("POST", "/api/v1/organizations/"+org+"/scim-connections", `{"provider":"okta"}`).text(t, "token")
	return w, asking{
		users: []string{
			busy.String(), bob.String(), carol.String(), idle.String(), stranger, "usr-" + strings.Repeat("1", 32),
			"usr-" + strings.Repeat("0", 32), "usr-", "nobody", "", "USR-" + busy.String()[4:], strings.ToUpper(bob.String()), "a/b", "é",
		},
		permissions: []string{"read:thing-0001", "read:thing-0149", "read:x-rays", "write:notes", "read:*", "delete:all", "", "no", "a:" + strings.Repeat("b", 200), "read:é", `read:"`},
		tokens: []string{
			"Bearer " + s.token, "bearer " + s.token, "Bearer " + s.session(org, carol.String()).token, "Bearer " + s.session(org, bob.String()).token,
			"Bearer " + connection, "Bearer nothing", "Basic x", "", "Bearer " + s.token + "x",
		},
	}
}

// TestShortcutsSayTheSame asks some hundred questions, valid and not, both ways.
func TestShortcutsSayTheSame(t *testing.T) {
	w, from := newTwoWays(t)
	random := rand.New(rand.NewPCG(3, 1))
	statuses := map[int]int{}
	for range 1500 {
		statuses[w.same(from.question(random)).status]++
	}
	for _, status := range []int{200, 400, 401, 403, 404, 405, 415} {
		if statuses[status] == 0 {
			t.Errorf("no answer had status %d: %v", status, statuses)
		}
	}
	if statuses[200] < 300 {
		t.Errorf("too few answers: %v", statuses)
	}
}

func anyOf[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// question is mostly valid: each part is odd now and then.
func (a asking) question(random *rand.Rand) asked {
	odd := func() bool { return random.IntN(12) == 0 }
	user, permission := anyOf(random, a.users[:3]...), anyOf(random, a.permissions[:4]...)
	if odd() {
		user = anyOf(random, a.users...)
	}
	if odd() {
		permission = anyOf(random, a.permissions...)
	}
	q := asked{method: http.MethodPost, path: anyOf(random, "/api/v1/check", "/authfi.v1.PermissionService/Check"), header: http.Header{}}
	q.body = anyOf(random, a.bodies(user, permission)[:3]...)
	if odd() {
		q.body = anyOf(random, a.bodies(user, permission)...)
	}
	q.header.Set("Content-Type", anyOf(random, "application/json", "application/json", "application/proto"))
	if q.header.Get("Content-Type") == "application/proto" && !odd() {
		q.body = protobufOf(user, permission)
	}
	if random.IntN(3) == 0 {
		q = asked{method: http.MethodGet, path: "/api/v1/users/" + user + "/permissions", header: http.Header{}}
	}
	q.header.Set("Authorization", anyOf(random, a.tokens[:2]...))
	if odd() {
		q.header.Set("Authorization", anyOf(random, a.tokens...))
	}
	if odd() {
		q.method = anyOf(random, "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS")
	}
	if odd() {
		q.path += anyOf(random, "/", "?", "?x=1", "?user_id=1", "?limit=1&connect=v1", "%20", "%2F", "x")
	}
	if odd() {
		q.header.Set("Content-Type", anyOf(random, "", "application/json; charset=utf-8", "application/JSON", "text/plain", "application/proto", "application/connect+json", "application/grpc", ";"))
	}
	for name, values := range oddHeaders {
		if random.IntN(40) == 0 {
			q.header.Set(name, anyOf(random, values...))
		}
	}
	q.chunked = odd() && q.body != ""
	return q
}

var oddHeaders = map[string][]string{
	"X-Authfi-Index":           {"0", "3", "99999999", "x", "-1", "18446744073709551616"},
	"Accept-Encoding":          {"gzip", "identity", "br", "gzip, deflate", "*"},
	"Accept":                   {"application/json", "text/html"},
	"Content-Encoding":         {"gzip", "identity", "x"},
	"Connect-Protocol-Version": {"1", "2"},
	"Connect-Timeout-Ms":       {"1000", "x", "-1"},
	"X-Server-Timeout":         {"1", "x"},
	"Idempotency-Key":          {"k"},
	"If-Match":                 {`"1"`, "x"},
}

// bodies are three good ones, the bulk forms, and then what clients get wrong.
func (a asking) bodies(user, permission string) []string {
	one := fmt.Sprintf(`{"user_id":%s,"permission":%s}`, jsonText(user), jsonText(permission))
	return []string{
		one,
		fmt.Sprintf(`{"userId":%s,"permission":%s}`, jsonText(user), jsonText(permission)),
		fmt.Sprintf(" {\n\"permission\" : %s , \"user_id\" : %s }\n", jsonText(permission), jsonText(user)),
		fmt.Sprintf(`{"user_id":%s,"permissions":[%s,"read:y"]}`, jsonText(user), jsonText(permission)),
		fmt.Sprintf(`{"checks":[%s,%s]}`, one, one),
		fmt.Sprintf(`{"checks":[%s],"user_id":"x"}`, one),
		"", "{}", "null", "[]", `"x"`, "{", one + "x", one + one, one[:len(one)-1],
		`{"user_id":null,"permission":"read:x"}`, `{"user_id":1,"permission":2}`, `{"user_id":["a"]}`,
		`{"user":"x"}`, `{"user_id":"a","user_id":"b"}`, `{"user_id":"\ud800"}`, "{\"user_id\":\"\xff\"}", `{"checks":{}}`, `{"checks":[null]}`,
		fmt.Sprintf(`{"user_id":%s,"permission":%s,"more":1}`, jsonText(user), jsonText(permission)),
		"\x0a\x03abc", // protobuf
	}
}

// TestShortcutsHaveTheSameLimits: at each limit and one past it.
func TestShortcutsHaveTheSameLimits(t *testing.T) {
	w, from := newTwoWays(t)
	user := jsonText(from.users[0])
	one := `{"user_id":` + user + `,"permission":"read:thing-0001"}`
	several := func(n int) string {
		return `{"user_id":` + user + `,"permissions":["a:b"` + strings.Repeat(`,"a:b"`, n-1) + `]}`
	}
	for _, path := range []string{"/api/v1/check", "/authfi.v1.PermissionService/Check"} {
		for _, row := range []struct {
			body   string
			status int
		}{
			{one + strings.Repeat(" ", rest.BodyMax-len(one)), 200},
			{one + strings.Repeat(" ", rest.BodyMax-len(one)+1), map[bool]int{true: 413, false: 429}[strings.HasPrefix(path, rest.Prefix)]},
			{several(1000), 200},
			{several(1001), 400},
		} {
			q := asked{method: http.MethodPost, path: path, body: row.body, header: http.Header{"Authorization": from.tokens[:1], "Content-Type": {"application/json"}}}
			if got := w.same(q); got.status != row.status {
				t.Errorf("%v: %d, want %d", q, got.status, row.status)
			}
		}
	}
}

func protobufOf(user, permission string) string {
	text, err := proto.Marshal(&authfiv1.CheckRequest{UserId: user, Permission: permission})
	if err != nil {
		return err.Error() // of a text that is not UTF-8
	}
	return string(text)
}

func jsonText(s string) string { return strconv.Quote(s) }

// TestShortcutIsTaken: what is asked all the time does not go the long way.
func TestShortcutIsTaken(t *testing.T) {
	w, from := newTwoWays(t)
	header := http.Header{"Authorization": {from.tokens[0]}}
	list := asked{method: http.MethodGet, path: "/api/v1/users/" + from.users[0] + "/permissions", header: header}
	check := asked{method: http.MethodPost, path: "/api/v1/check", header: header.Clone(), body: from.bodies(from.users[0], from.permissions[0])[0]}
	check.header.Set("Content-Type", "application/json")
	procedure := check
	procedure.path = "/authfi.v1.PermissionService/Check"
	for _, q := range []asked{list, check, procedure} {
		q.header.Set("Accept-Encoding", "gzip")
		req, err := http.NewRequestWithContext(t.Context(), q.method, w.short.URL+q.path, bytes.NewReader([]byte(q.body)))
		must(t, err)
		req.Header = q.header
		res, err := w.short.Client().Transport.RoundTrip(req)
		must(t, err)
		res.Body.Close()
		// The long way sends in chunks.
		if res.StatusCode != http.StatusOK || res.ContentLength <= 0 || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%v: %d, length %d, %v", q, res.StatusCode, res.ContentLength, res.Header)
		}
	}
}
