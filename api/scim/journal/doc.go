// Package journal is what one node remembers of the requests of each connection: how
// they went, when the provider last probed, wrote and used which token, and the last
// requests themselves. The people are taken out of them before they leave the
// package. Until then a request lies in memory as it came, as the directory does,
// unless it may hold a secret: of one that does nothing but its redacted form is kept.
//
// All of it is in memory, bounded for each connection and in all, and forgotten at a
// restart: it tells of a node and not of the organization, so the log of the cluster
// has no part of it, and no request waits for it. What several nodes remember of one
// connection is merged when it is asked for.
//
// The package must never give away a person, or know a token or who asks.
package journal
