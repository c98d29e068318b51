// Package login turns a sign-in into tokens: it opens, refreshes and ends
// sessions, mints and verifies access tokens, and publishes the keys that
// verify them. An access token is a JWT of five minutes (RFC 9068); the
// sessions behind it stand in the log, so that ending one ends the token.
//
// The package must never know the cluster, the storage or the kernel.
package login
