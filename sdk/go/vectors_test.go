package authfi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/sdk/conformance"
)

func load(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("../conformance/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func seconds(at float64) time.Time { return time.UnixMicro(1e15 + int64(at*1e6)) }

func TestTokens(t *testing.T) {
	var file conformance.Tokens
	load(t, "tokens.json", &file)
	body, err := json.Marshal(file.KeySet)
	if err != nil {
		t.Fatal(err)
	}
	set, err := parseSet(body)
	if err != nil {
		t.Fatal(err)
	}
	r := rules{file.Issuer, file.Audience, file.Org, time.Duration(file.Skew) * time.Second}
	for _, c := range file.Cases {
		now := file.Now
		if c.Now != 0 {
			now = c.Now
		}
		got := "invalid_token"
		if e, ok := open(c.Token, typeAccess); ok && e.verifies(set[e.kid]) {
			if u, ok := e.read(r, c.Token); ok && u.current(time.Unix(int64(now), 0), r.skew) {
				got = "ok"
				checkRights(t, c, u)
			}
		}
		if got != c.Expect {
			t.Errorf("%s: %s, want %s", c.Name, got, c.Expect)
		}
	}
	if len(file.Cases) < 150 {
		t.Errorf("only %d tokens", len(file.Cases))
	}
}

// checkRights: a token holds what its form says, and nothing where it leaves it out.
func checkRights(t *testing.T, c conformance.TokenCase, u *User) {
	t.Helper()
	held := slices.Sorted(maps.Keys(u.Permissions))
	if u.referred != c.Referred || (c.Holds != nil || c.Referred) && !slices.Equal(held, c.Holds) {
		t.Errorf("%s: holds %q, by reference %v", c.Name, held, u.referred)
	}
}

func TestRights(t *testing.T) {
	var cases []conformance.RightsCase
	load(t, "rights.json", &cases)
	u := &User{referred: true}
	for _, c := range cases {
		got, told := replyOf(u, c.Status, []byte(c.Body))
		if string(got) != c.Expect {
			t.Errorf("%s: %s, want %s", c.Name, got, c.Expect)
		}
		now := u.with(told)
		if held := slices.Sorted(maps.Keys(now.Permissions)); now.index != c.Index || !slices.Equal(held, c.Permissions) ||
			!slices.Equal(now.Roles, c.Roles) || !slices.Equal(now.Groups, c.Groups) {
			t.Errorf("%s: %+v", c.Name, told)
		}
	}
	if len(cases) < 40 {
		t.Errorf("only %d answers", len(cases))
	}
}

// TestHeartbeats: a heartbeat is what a key of the organization has signed a moment ago.
func TestHeartbeats(t *testing.T) {
	var file conformance.Heartbeats
	load(t, "heartbeats.json", &file)
	body, err := json.Marshal(file.KeySet)
	if err != nil {
		t.Fatal(err)
	}
	set, err := parseSet(body)
	if err != nil {
		t.Fatal(err)
	}
	r := rules{issuer: file.Issuer, org: file.Org, skew: time.Duration(file.Skew) * time.Second}
	for _, c := range file.Cases {
		got := "wrong"
		if e, ok := open(c.Proof, typeHeartbeat); ok && set[e.kid] == nil {
			got = "unknown"
		} else if ok && r.proves(e, set[e.kid], file.Index, time.Unix(int64(file.Now), 0)) {
			got = "proven"
		}
		if got != c.Expect {
			t.Errorf("%s: %s, want %s", c.Name, got, c.Expect)
		}
	}
	if len(file.Cases) < 45 {
		t.Errorf("only %d heartbeats", len(file.Cases))
	}
}

// TestMalleability: no prefix, suffix or flipped bit of a token is a token.
func TestMalleability(t *testing.T) {
	var file conformance.Tokens
	load(t, "tokens.json", &file)
	body, _ := json.Marshal(file.KeySet)
	set, err := parseSet(body)
	if err != nil {
		t.Fatal(err)
	}
	accepted := func(token string) bool {
		e, ok := open(token, typeAccess)
		return ok && e.verifies(set[e.kid])
	}
	good := file.Cases[0].Token
	if !accepted(good) {
		t.Fatal("the good token is refused")
	}
	for i := range good {
		if accepted(good[:i]) || i > 0 && accepted(good[i:]) {
			t.Fatalf("cut at %d, it is accepted", i)
		}
		for bit := range 8 {
			b := []byte(good)
			b[i] ^= 1 << bit
			if accepted(string(b)) {
				t.Fatalf("with bit %d of byte %d flipped, it is accepted", bit, i)
			}
		}
	}
}

func TestPermissions(t *testing.T) {
	var cases []conformance.PermissionCase
	load(t, "permissions.json", &cases)
	for _, c := range cases {
		held := Permissions{}
		for _, p := range c.Held {
			held[p] = struct{}{}
		}
		if got := held.Allow(c.Ask); got != c.Allowed {
			t.Errorf("%q may %q: %v", c.Held, c.Ask, got)
		}
	}
}

func TestKeys(t *testing.T) {
	var timelines []conformance.Timeline
	load(t, "keys.json", &timelines)
	for _, line := range timelines {
		k := newKeys(seconds(0))
		for i, s := range line.Steps {
			var got any
			now := seconds(s.At)
			switch {
			case s.Take != nil:
				a := answer{status: s.Take.Status, body: []byte(s.Take.Body), maxAge: time.Duration(s.Take.MaxAge) * time.Second}
				if changed := k.take(a, now, 0); changed != *s.Changed {
					t.Errorf("%s, step %d: changed %v", line.Name, i, changed)
				}
				continue
			case s.Find != "":
				_, found := k.find(s.Find, now)
				got = string(found)
			case s.Settle != "":
				_, found := k.settle(s.Settle, now)
				got = string(found)
			case s.Due:
				got = k.due.Sub(seconds(0)).Seconds()
			}
			if got != s.Expect {
				t.Errorf("%s, step %d: %v, want %v", line.Name, i, got, s.Expect)
			}
		}
	}
}

func TestFeed(t *testing.T) {
	var timelines []conformance.Timeline
	load(t, "feed.json", &timelines)
	for _, line := range timelines {
		f := newFeed()
		for i, s := range line.Steps {
			if got, asked := playFeed(t, f, s); asked && !reflect.DeepEqual(got, s.Expect) {
				t.Errorf("%s, step %d: %v, want %v", line.Name, i, got, s.Expect)
			}
		}
	}
}

func playFeed(t *testing.T, f *feed, s conformance.Step) (got any, asked bool) {
	now := seconds(s.At)
	switch {
	case s.Start != nil:
		f.start(*s.Start)
		return nil, false
	case s.Hear != nil:
		hearStep(t, f, s, now)
		return nil, false
	case s.Judge != nil:
		u := &User{ID: s.Judge.Sub, SessionID: s.Judge.Sid, Roles: s.Judge.Roles, Groups: s.Judge.Groups, index: s.Judge.Ri}
		u.referred, u.told = s.Judge.Referred, s.Judge.Told
		return string(f.judge(u, s.Judge.Confirmed)), true
	case s.Age && f.beat.IsZero():
		return nil, true
	case s.Age:
		return now.Sub(f.beat).Seconds(), true
	}
	place := []any{float64(f.at)}
	if f.ordinal != nil {
		place = append(place, float64(*f.ordinal))
	}
	return place, true
}

func hearStep(t *testing.T, f *feed, s conformance.Step, now time.Time) {
	times := 1
	if n, ok := s.Expect.(float64); ok {
		times = int(n)
	}
	text, err := json.Marshal(s.Hear)
	if err != nil {
		t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	pattern := m.Object
	for i := range times {
		m.Object = strings.ReplaceAll(pattern, "%d", fmt.Sprint(i))
		if changed := f.hear(m, now); changed != *s.Changed {
			t.Errorf("%v: keys changed %v", s.Hear, changed)
		}
	}
}

func TestPostures(t *testing.T) {
	var cases []conformance.PostureCase
	load(t, "postures.json", &cases)
	for _, c := range cases {
		age := never
		if c.Age != nil {
			age = time.Duration(*c.Age * float64(time.Second))
		}
		got := Posture(c.Posture).decide(age, verdict(c.Verdict), c.Mutating, reply(c.Reply))
		if got == "" {
			got = "ok"
		}
		if string(got) != c.Expect {
			t.Errorf("%+v, age %v: %s", c, age, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	var file conformance.Answers
	load(t, "http.json", &file)
	for _, c := range file.Headers {
		token, refusal := bearer(c.Authorization)
		code := ""
		if refusal != nil {
			code = string(refusal.Code)
		}
		if token != c.Token || code != c.Code {
			t.Errorf("%q: %q, %q", c.Authorization, token, code)
		}
	}
	for _, c := range file.Refusals {
		w := httptest.NewRecorder()
		(&Refusal{Code(c.Code), c.Required, c.Missing}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(c.Body)
		have, _ := json.Marshal(body)
		if !bytes.Equal(want, have) || w.Code != c.Status {
			t.Errorf("%s: %d %s, want %d %s", c.Code, w.Code, have, c.Status, want)
		}
		headers := []string{w.Header().Get("WWW-Authenticate"), w.Header().Get("Retry-After"), w.Header().Get("Content-Type")}
		if !slices.Equal(headers, []string{c.WWWAuthenticate, c.RetryAfter, "application/problem+json"}) {
			t.Errorf("%s: %q", c.Code, headers)
		}
	}
}
