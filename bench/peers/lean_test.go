package main

import (
	"strings"
	"testing"
)

// TestAnswerIn: an answer is taken when it is whole, alone and a success.
func TestAnswerIn(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\nDate: x\r\n\r\n{\"allowed\":true}"
	for n := range whole {
		if body, done, err := answerIn([]byte(whole[:n])); done || err != nil {
			t.Fatalf("%d bytes: %q, %v", n, body, err)
		}
	}
	if body, done, err := answerIn([]byte(whole)); !done || err != nil || string(body) != `{"allowed":true}` {
		t.Errorf("%q, %v, %v", body, done, err)
	}
	for name, text := range map[string]string{
		"more":       whole + "H",
		"a failure":  strings.Replace(whole, "200 OK", "503 Service Unavailable", 1),
		"no length":  strings.Replace(whole, "Content-Length: 16\r\n", "", 1),
		"no number":  strings.Replace(whole, ": 16", ": x", 1),
		"half of it": strings.Replace(whole, "HTTP/1.1 200 ", "ello", 1),
	} {
		if body, done, err := answerIn([]byte(text)); err == nil {
			t.Errorf("%s: %q, %v", name, body, done)
		}
	}
}

// TestVerdict: only what says yes or no is a verdict.
func TestVerdict(t *testing.T) {
	verdict := verdictOf("allowed", "true", "false")
	for text, want := range map[string]string{
		`{"allowed":true,"resolution":""}`: "yes", `{"allowed": true}`: "yes", `{"index":1,"allowed":false}`: "no",
		`{}`: "", `{"allowed":null}`: "", `{"allowed":`: "", ``: "", `{"code":"allowed"}`: "",
	} {
		allowed, err := verdict([]byte(text))
		if failed := err != nil; failed != (want == "") || allowed != (want == "yes") {
			t.Errorf("%s: %v, %v", text, allowed, err)
		}
	}
}

// TestRequestIsHTTP: what is sent is what any server reads.
func TestRequestIsHTTP(t *testing.T) {
	got := string(leanRequest("h:1", "/p", "t", []byte(`{}`)))
	if want := "POST /p HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"; got != want {
		t.Errorf("%q", got)
	}
}
