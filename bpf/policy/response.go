package policy

import (
	"fmt"
	"strconv"
)

// statusText holds the reason phrases of the statuses that a gate answers.
var statusText = map[int]string{
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests",
	431: "Request Header Fields Too Large", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Unavailable", 505: "HTTP Version Not Supported",
}

// HeaderField is one header field of a refusal.
type HeaderField struct{ Name, Value string }

// Problem is a refusal in parts, for a gate that frames it by itself: what
// Response says without the length and the end of the connection.
func Problem(r Reason) (status int, fields []HeaderField, body string) {
	status = r.Status()
	text := statusText[status]
	if text == "" { // a reason that lets through has no refusal; fail closed
		status, text = 503, statusText[503]
	}
	fields = []HeaderField{{"content-type", "application/problem+json"}, {"x-authfi-verdict", r.String()}}
	switch status {
	case 401:
		fields = append(fields, HeaderField{"www-authenticate", "Bearer"})
	case 429, 503:
		fields = append(fields, HeaderField{"retry-after", "1"})
	}
	body = fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"code":%q}`, text, status, r.String())
	return status, fields, body
}

// Response is the whole answer of a refusal, at most 508 bytes, always the
// connection's last. A HEAD request gets no body.
func Response(r Reason, head bool) []byte {
	status, fields, body := Problem(r)
	answer := "HTTP/1.1 " + strconv.Itoa(status) + " " + statusText[status] + "\r\n"
	for _, f := range fields {
		answer += f.Name + ": " + f.Value + "\r\n"
	}
	answer += "content-length: " + strconv.Itoa(len(body)) + "\r\nconnection: close\r\n\r\n"
	if !head {
		answer += body
	}
	return []byte(answer)
}
