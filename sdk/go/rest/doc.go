// Package rest asks the nodes of a cluster, over REST. Package admin has a method for
// every operation; this package has what all of them share: credentials, which node is
// asked, repetition, conditions, pages and errors.
//
// A request is repeated, at the next node, while nobody answers it or the answer is that
// it could not be done now. That is safe for changes, too: each has an Idempotency-Key of
// its own, by which its repeats are one change. Two are not: a repeat of StartSession may
// leave a session whose tokens nobody has, and Leave, which is about the node that answers,
// is never repeated. Every request demands a state at least as
// new as the newest that was seen in an answer, so that what was written is read, whichever
// node answers.
package rest
