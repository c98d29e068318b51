// Package authfi protects Go services with AuthFI. It verifies access tokens in
// process and follows the change feed of the issuer, so that a token is refused
// within a second of the end of its session or the deactivation of its user.
//
//	auth, err := authfi.New(ctx, authfi.FromEnv())
//	mux.Handle("GET /patients", auth.Require("read:patients")(patients))
//	if auth.Can(ctx, "write:notes") { … }
//
// What it promises:
//
//   - A request waits for the network only when something has to be asked: for a
//     key that is not known yet, for a token from before the feed was followed, and
//     when the feed is behind. Every such wait is bounded.
//   - Keys are never thrown away because their source fails, and no forged token
//     makes it fetch keys without bound.
//   - What cannot be told is 503, never the caller's 401.
//
// It uses the standard library alone and must never know the server's packages.
// The files token.go, keys.go, feed.go and posture.go take values and return
// values; the vectors in sdk/conformance judge them in every language.
package authfi
