// Package issuer verifies bearer tokens that somebody else has issued, as Entra ID does
// for a connection: signed with RS256 by a key that the issuer publishes, for the
// audience and the application that the connection trusts.
//
// Keys come over https from the issuer's own host and no other, and only from hosts
// that this node may ask: an organization says whom it trusts, and must not thereby
// make a node call whatever it likes. They are cached within bounds; without them no
// token is good.
//
// The package must never know an organization or what a token is for.
package issuer
