package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestEventStream follows one that is polled from its making to its end.
func TestEventStream(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	at := "/api/v1/organizations/" + org + "/event-streams"
	made := s.ok("POST", at, `{"name":"the receiver","delivery":"poll","audience":"https://receiver.example"}`)
	stream := object(made["event_stream"].(map[string]any))
	if !strings.HasPrefix(made.text(t, "token"), "afe_") || stream["poll_url"] != issuer+"/o/clinic/events/poll" ||
		stream["paused"] != false || stream["full"] != false || fmt.Sprint(stream["events"]) != "[]" {
		t.Errorf("%v", made)
	}
	one := at + "/" + stream.text(t, "id")
	if got := s.ok("GET", one, ""); fmt.Sprint(got) != fmt.Sprint(stream) {
		t.Errorf("%v, made was %v", got, stream)
	}
	if list := s.ok("GET", at, ""); fmt.Sprint(list["event_streams"]) != fmt.Sprint([]any{map[string]any(stream)}) || fmt.Sprint(list["total"]) != "1" {
		t.Errorf("%v", list)
	}

	changed := s.ok("PATCH", one, `{"full":true,"events":["prov:create","prov:delete"]}`)
	if changed["name"] != "the receiver" || changed["full"] != true || fmt.Sprint(changed["events"]) != "[prov:create prov:delete]" {
		t.Errorf("%v", changed)
	}
	if all := s.ok("PATCH", one, `{"update_mask":["events","name"]}`); fmt.Sprint(all["events"]) != "[]" || all["name"] != "" || all["full"] != true {
		t.Errorf("%v", all)
	}
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "version", "PATCH", one, `{"paused":true}`, "If-Match", `"1"`)
	version := fmt.Sprintf("%q", s.ok("GET", one, "")["version"])
	if paused := s.ok("PATCH", one, `{"paused":true}`, "If-Match", version); paused["paused"] != true {
		t.Errorf("%v", paused)
	}

	rotated := s.ok("POST", one+"/token", "")
	if token := rotated.text(t, "token"); token == made.text(t, "token") || !strings.HasPrefix(token, "afe_") {
		t.Errorf("%v", rotated)
	}
	s.ok("DELETE", one, "")
	for _, method := range []string{"GET", "DELETE"} {
		s.problem(http.StatusNotFound, "not_found", "", method, one, "")
	}
	s.problem(http.StatusNotFound, "not_found", "", "POST", one+"/token", "")
}

// TestPushedEventStream: the authorization is nowhere to be seen again.
func TestPushedEventStream(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	at := "/api/v1/organizations/" + org + "/event-streams"
	const header = "Bearer for-the-receiver"
	made := s.ok("POST", at, `{"delivery":"push","audience":"a","url":"https://receiver.example/events","authorization":"`+header+`"}`)
	stream := object(made["event_stream"].(map[string]any))
	if made["token"] != "" || stream["authorization"] != true || stream["url"] != "https://receiver.example/events" || stream["poll_url"] != "" {
		t.Errorf("%v", made)
	}
	one := at + "/" + stream.text(t, "id")
	entries, _ := s.audit("org_id=" + org)
	if text := fmt.Sprint(made, s.ok("GET", one, ""), entries); strings.Contains(text, header) || !strings.Contains(text, "event_stream.created") {
		t.Errorf("%s", text)
	}
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "id", "POST", one+"/token", "")
	if none := s.ok("PATCH", one, `{"authorization":""}`); none["authorization"] != false {
		t.Errorf("%v", none)
	}
	long := strings.Repeat("x", 4096)
	s.ok("PATCH", one, `{"authorization":"`+long+`"}`)
	s.problem(http.StatusBadRequest, "invalid_argument", "authorization", "PATCH", one, `{"authorization":"`+long+`x"}`)
	s.problem(http.StatusBadRequest, "invalid_argument", "url", "PATCH", one, `{"url":"http://receiver.example/"}`)
}

// TestEventStreamRefusals: what a stream may not be, and whose it is not to make.
func TestEventStreamRefusals(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	at := "/api/v1/organizations/" + org + "/event-streams"
	for field, body := range map[string]string{
		"delivery": `{"audience":"a"}`,
		"audience": `{"delivery":"poll"}`,
		"events":   `{"delivery":"poll","audience":"a","events":["prov:rename"]}`,
		"url":      `{"delivery":"push","audience":"a"}`,
	} {
		s.problem(http.StatusBadRequest, "invalid_argument", field, "POST", at, body)
	}
	_, reads := s.admin(org, "reader", "read:directory")
	reads.problem(http.StatusForbidden, "permission_denied", "", "POST", at, `{"delivery":"poll","audience":"a"}`)
	_, settings := s.admin(org, "settings", "manage:settings")
	settings.problem(http.StatusForbidden, "permission_denied", "", "POST", at, `{"delivery":"poll","audience":"a"}`)
	_, both := s.admin(org, "both", "manage:settings", "read:directory")
	made := both.ok("POST", at, `{"delivery":"poll","audience":"a"}`)
	one := at + "/" + object(made["event_stream"].(map[string]any)).text(t, "id")
	settings.problem(http.StatusForbidden, "permission_denied", "", "POST", one+"/token", "")
	settings.ok("PATCH", one, `{"paused":true}`)
	settings.problem(http.StatusForbidden, "permission_denied", "", "PATCH", one, `{"paused":false}`)
	settings.ok("DELETE", one, "")
}

// TestEventStreamTokenIsShownOnce, also to whoever repeats the request.
func TestEventStreamTokenIsShownOnce(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	at := "/api/v1/organizations/" + org + "/event-streams"
	body := `{"delivery":"poll","audience":"a"}`
	made := s.ok("POST", at, body, "Idempotency-Key", "one")
	if res, answer := s.send("POST", at, body, "Idempotency-Key", "one"); res.StatusCode/100 == 2 {
		t.Errorf("a repeat: %d %v", res.StatusCode, answer)
	}
	one := at + "/" + object(made["event_stream"].(map[string]any)).text(t, "id")
	s.ok("POST", one+"/token", "", "Idempotency-Key", "two")
	if res, answer := s.send("POST", one+"/token", "", "Idempotency-Key", "two"); res.StatusCode/100 == 2 {
		t.Errorf("a repeat: %d %v", res.StatusCode, answer)
	}
	if list := s.ok("GET", at, ""); fmt.Sprint(list["total"]) != "1" {
		t.Errorf("%v", list)
	}
}
