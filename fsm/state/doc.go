// Package state holds the tables of the directory and the only handles through
// which they are read (Org, System) and written (OrgTx, SystemTx). A handle
// belongs to one organization; there is no key without one.
//
// The state is one ordered map per organization from key to immutable record.
// A published Root never changes: readers take it with one atomic load and
// never lock. The writer works on private copies that share what did not
// change. Rows marked derived (name indexes, order indexes) live in memory only
// and are rebuilt from the others; all other rows stand in Storage and in the
// digest, byte for byte.
//
// The package does not know what a command is or why a write is allowed.
package state
