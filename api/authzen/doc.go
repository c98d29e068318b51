// Package authzen answers the Authorization API 1.0 of the OpenID Foundation
// (final of 2026-01-11) from the index of effective permissions: single and many
// evaluations, and the searches for subjects, resources and actions.
//
// A permission verb:noun is the action with the name verb on the resource with
// the type noun. The directory holds no resources: a resource's id is demanded
// where the specification demands it, and is not looked at; what a search finds
// is the type as a whole, with the id "*". A subject of the type user is named by
// its id, usr-…, or by its user name. Properties and context are accepted and do
// not change a decision.
//
// Each answer is from one applied index, which its context names, and so are all
// the pages of a search. The package must never decide who may ask: that is the
// same rows of the table as for the questions of the REST dialect.
package authzen
