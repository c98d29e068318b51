// Package openapi describes the REST dialect as one OpenAPI 3.1 document. Routes,
// fields and their words come from the descriptors and the comments of the .proto
// files, so that the document cannot differ from what is served; the shapes of JSON
// are those of package rest.
//
// Bounds stand in comments in a few fixed forms ("at most 256 bytes", "1 to 1,000")
// and are read from there, for requests.
package openapi
