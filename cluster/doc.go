// Package cluster keeps copies of a log of bytes. It promises that what it
// acknowledges is committed and applied once on every node, in one order, and
// that a read index is at or beyond every write acknowledged before it was
// asked for. It must never know what an entry means.
package cluster
