package access

import (
	"net/http"
	"strings"
)

// Bearer is the token of the one Authorization header; the scheme has no case
// (RFC 9110, section 11.1). It is empty when there is none, and when there are
// several: a proxy and a node might not choose the same.
func Bearer(header http.Header) string { return Authorization(header, "Bearer") }

// Authorization is Bearer for any scheme.
func Authorization(header http.Header, wanted string) string {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, wanted) {
		return ""
	}
	return strings.TrimSpace(token)
}
