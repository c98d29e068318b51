// Package cli is the command line of the API: authfi NOUN VERB for every
// operation, and import and export of a whole organization.
//
// One table names the commands; their flags come from the fields of the request
// messages, their help from the comments of the .proto files, their requests
// from the HTTP rules. A procedure without a row fails a test. Data goes to
// stdout, talk and errors to stderr; only what deletes asks, on a terminal alone,
// and no command writes a credential anywhere but where its answer goes.
//
// An import reads a file and the organization (snapshot), compares the two (plan)
// and makes the difference (writer). Nothing is written before all of the file has
// been checked.
package cli
