package policy

import (
	"fmt"
	"strconv"
)

// statusText holds the reason phrases of the statuses that a gate answers.
var statusText = map[int]string{
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests",
	431: "Request Header Fields Too Large", 501: "Not Implemented",
	503: "Service Unavailable", 505: "HTTP Version Not Supported",
}

// Response is the whole answer of a refusal, at most 508 bytes, always the
// connection's last. A HEAD request gets no body.
func Response(r Reason, head bool) []byte {
	status := r.Status()
	text := statusText[status]
	if text == "" { // a reason that lets through has no refusal; fail closed
		status, text = 503, statusText[503]
	}
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"code":%q}`, text, status, r.String())
	extra := ""
	switch status {
	case 401:
		extra = "www-authenticate: Bearer\r\n"
	case 429, 503:
		extra = "retry-after: 1\r\n"
	}
	answer := "HTTP/1.1 " + strconv.Itoa(status) + " " + text + "\r\n" +
		"content-type: application/problem+json\r\n" +
		"x-authfi-verdict: " + r.String() + "\r\n" + extra +
		"content-length: " + strconv.Itoa(len(body)) + "\r\n" +
		"connection: close\r\n\r\n"
	if !head {
		answer += body
	}
	return []byte(answer)
}
