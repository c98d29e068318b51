package rest

import (
	"net/url"
	"strings"
)

// routedPath is the path of a request as the transcoder takes it: escaped, since it
// unescapes what it finds in a variable, and without a colon, which it would take
// for the verb of a route. None of ours has a verb, and permissions have colons.
func routedPath(u *url.URL) string {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			continue // not of a URL that was parsed
		}
		segments[i] = strings.ReplaceAll(url.PathEscape(plain), ":", "%3A")
	}
	return strings.Join(segments, "/")
}
