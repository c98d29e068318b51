package redact

import (
	"net/url"
	"strings"
)

// endpoints are the segments of a path that name no resource.
var endpoints = setOf("Users", "Groups", "Schemas", "ResourceTypes", "ServiceProviderConfig", "Bulk", "Me", ".search")

// Method keeps the methods that there are.
func (r *Redactor) Method(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return r.word(method)
}

// Path is a path below the organization's base URL, unescaped; it is given as it would be sent.
func (r *Redactor) Path(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if !endpoints[s] {
			segments[i] = url.PathEscape(r.text(s))
		}
	}
	return strings.Join(segments, "/")
}

// parameters are the names that a query may have, in lower case; the last two are how
// Entra is told which dialect to send.
var parameters = setOf(
	"filter", "sortby", "sortorder", "startindex", "count", "cursor", "attributes", "excludedattributes",
	"aadoptscim062020", "azureadscimpatch2017",
)

// Query is the query of an address, with its parameters in the order in which they
// came. What cannot be read as one is read by nobody else either.
func (r *Redactor) Query(raw string) string {
	if raw == "" {
		return ""
	}
	parts := strings.Split(raw, "&")
	for i, part := range parts {
		parts[i] = r.parameter(part)
	}
	return strings.Join(parts, "&")
}

func (r *Redactor) parameter(part string) string {
	name, value, given := strings.Cut(part, "=")
	plainName, err := url.QueryUnescape(name)
	plain, err2 := url.QueryUnescape(value)
	switch {
	case err != nil || err2 != nil:
		return "%"
	case !parameters[strings.ToLower(plainName)]:
		plainName = r.word(plainName)
	}
	if !given {
		return url.QueryEscape(plainName)
	}
	return url.QueryEscape(plainName) + "=" + url.QueryEscape(r.argument(plainName, plain))
}

// argument is the value of a parameter.
func (r *Redactor) argument(name, value string) string {
	switch strings.ToLower(name) {
	case "filter":
		return r.filter(value)
	case "sortby", "attributes", "excludedattributes":
		return r.attributes(value)
	case "startindex", "count":
		if value != "" && strings.Trim(value, "-0123456789") == "" && len(value) <= countDigits {
			return value
		}
	}
	return r.text(value)
}

// countDigits is above what a count can sensibly have.
const countDigits = 10
