// Package cli is the command line of the API: authfi NOUN VERB for every
// operation, and import and export of a whole organization.
//
// One table names the commands; their flags come from the fields of the request
// messages, their help from the comments of the .proto files, their requests
// from the HTTP rules. A procedure without a row fails a test. Data goes to
// stdout, talk and errors to stderr; no command prompts, and no command writes a
// credential anywhere but where its answer goes.
package cli
