// Package admin answers the administrative API: one handler for each row of the
// .proto files. A handler reads a request, asks the gate for a pass, reads the
// pass's view or proposes a command, and writes the answer. Which operation a
// procedure is stands in operations.go; what an operation needs, in api/access.
//
// The package must never know how a request was written (REST or RPC), nor hold
// the store or the cluster: every way to data goes through a pass.
package admin
