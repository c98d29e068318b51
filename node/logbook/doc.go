// Package logbook is what a node says about itself: structured lines, each with the
// id of the request that caused it, and none with a secret or a person in it. It
// stands before whatever handler writes the lines, and keeps the newest ones in
// memory, for the support bundle.
//
// What a line must not hold is found by the name of its attribute and by the shape of
// the text, so that a careless line leaks nothing either. That is the second guard:
// the first is not to log it.
//
// The package must never know what a line is about.
package logbook
