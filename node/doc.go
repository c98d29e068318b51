// Package node is the composition root: it opens what one node consists of
// (storage, machine, cluster, feed, enforcer, server) in the order in which
// each needs the one before, runs them, and closes them in reverse.
//
// It is the only package that knows both the cluster and the machine; replica
// is the seam between them, where a committed entry is decoded and applied
// before anybody hears of it. It is a library and not a main package, so that
// tests can open several nodes in one process.
//
// It must never know a rule about identity: if this package needs an if about
// users, roles or permissions, that if belongs below it.
package node
