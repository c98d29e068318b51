"use strict";

// The host of the test issuer. It can be nobody's: .test is reserved, RFC 6761.
const host = "authfi.test";

// The option by which the test issuer gives its nodes and its clock. The package does
// not export it, so that no service trusts what a test has signed.
const rehearsal = Symbol("authfi rehearsal");

module.exports = { host, rehearsal };
