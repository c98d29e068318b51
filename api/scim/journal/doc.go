// Package journal is what one node remembers of the requests of each connection: how
// they went, when the provider last probed, wrote and used which token, and the last
// requests themselves, with the people taken out of them.
//
// All of it is in memory, bounded for each connection and in all, and forgotten at a
// restart: it tells of a node and not of the organization, so the log of the cluster
// has no part of it, and no request waits for it. What several nodes remember of one
// connection is merged when it is asked for.
//
// The package must never know a person, a token or who asks.
package journal
