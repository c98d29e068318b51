// Package api is the one HTTPS server of a node and its dialects: SCIM, REST
// and Connect from one definition, OIDC, the event stream and health. It knows
// how requests arrive and in which order they are checked; what they mean is
// the business of the packages below it.
package api
