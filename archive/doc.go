// Package archive is the form of an organization outside a cluster: one file of
// JSON lines that holds all of it, or a plain list of users. It reads, checks and
// writes; it does not know where the records come from or go to.
//
// Names are the keys: no id, time or secret is in a file, so that what an
// organization exports, another one can import, and exports the same bytes. A
// file is checked as a whole; each finding names its line.
package archive
