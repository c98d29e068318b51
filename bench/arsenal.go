package main

import (
	"math/rand/v2"
	"strings"
)

// weapon is a request of which no part may be served.
type weapon struct {
	text   string
	behind bool // an open request comes first, and is answered
}

// arsenal is every hostile request that can be made with one token, written out
// beforehand: a client that writes them as it goes has no time to send them.
type arsenal struct {
	kinds    [][]weapon // each as likely as the other, whatever it has of them
	oversize weapon
}

const oversizeBytes = 40_000 // of one header; 32 KiB are read

func newArsenal(token string) *arsenal {
	good, bad := "Authorization: Bearer "+token, "Authorization: Bearer "+token[:len(token)-4]+"AAAA"
	a := &arsenal{oversize: weapon{text: block(readOne, hostLine, good, "X: "+strings.Repeat("a", oversizeBytes))}}
	for _, kind := range [][]string{
		{block(readOne, hostLine)},
		{block(readOne, hostLine, bad)},
		each(func(method string) string { return block(method+" /api/patients/7 HTTP/1.1", hostLine, good) },
			"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "CONNECT"),
		each(func(path string) string { return block("GET "+path+" HTTP/1.1", hostLine, good) },
			"/admin", "/api/patients", "/api/patients/7/notes", "/API/patients/7", "/api/patients/7/", "/"),
		each(func(path string) string { return block("GET "+path+" HTTP/1.1", hostLine, good) },
			"/health/../api/patients/7", "//api/patients/7", "/api/./patients/7", "/api/%2e%2e/api/patients/7", "/api%2fpatients/7",
			"/api/patients/%00", "/api/patients/7;x", `/api\patients/7`, "http://x/api/patients/7", "/api/patients/7#x"),
		smuggled(),
		each(func(line string) string { return block(readOne, hostLine, good, line) },
			good, bad, "Content-Length: 5", "X: a\r\n b", "A\x00: b", "X-HTTP-Method-Override: DELETE", "X-Original-URL: /health", "Upgrade: websocket", "Host: y"),
		each(func(line string) string { return block(readOne, hostLine, line) },
			"Authorization: Basic eDp5", "Authorization : Bearer "+token, "Authorization: Bearer  "+token, "Authorization_: Bearer "+token, "Proxy-Authorization: Bearer "+token),
		{"\x16\x03\x01\x02\x00\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /api/patients/7 HTTP/1.1\nHost: x\n\n", "GET /api/patients/7\r\n\r\n", "\r\n\r\n" + block(readOne, hostLine)},
	} {
		var weapons []weapon
		for _, text := range kind {
			weapons = append(weapons, weapon{text: text})
		}
		a.kinds = append(a.kinds, weapons)
	}
	// Pipelined behind the one public route that does not count.
	pipelined := weapon{block("GET /demo/served HTTP/1.1", hostLine) + block(readOne, hostLine), true}
	a.kinds = append(a.kinds, []weapon{pipelined})
	return a
}

const (
	readOne  = "GET /api/patients/7 HTTP/1.1"
	hostLine = "Host: x"
)

// block is a header block of these lines.
func block(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func each(text func(string) string, of ...string) (all []string) {
	for _, one := range of {
		all = append(all, text(one))
	}
	return all
}

// smuggled are requests hidden in a body that two parsers end in different places.
func smuggled() (all []string) {
	for _, length := range []string{"Content-Length: 4", "Content-Length: +4", "Content-Length : 4"} {
		for _, coding := range []string{"chunked", "xchunked", "chunked, identity"} {
			all = append(all, block("POST /health HTTP/1.1", hostLine, length, "Transfer-Encoding: "+coding)+"0\r\n\r\n"+block(readOne, hostLine))
		}
	}
	return all
}

func (a *arsenal) pick(random *rand.Rand) *weapon {
	kind := a.kinds[random.IntN(len(a.kinds))]
	return &kind[random.IntN(len(kind))]
}
