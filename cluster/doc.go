// Package cluster keeps copies of a log of bytes. It promises that what it
// acknowledges is committed, and it must never know what an entry means.
package cluster
