// Package rest is the JSON dialect of the API: it turns requests under /api/v1
// into calls of the Connect handlers, by the annotations of the .proto files,
// and their errors into application/problem+json (RFC 9457).
//
// Its JSON is proto3 JSON that every generated client can read, with these
// choices: names are the proto's (snake_case); every field is present, null
// when it has no value; 64-bit integers are numbers, since indexes and times of
// this system stay far below 2^53; times have milliseconds. In REST alone, a
// message marked bare_list is written as the list that it holds, and a name
// that the definition does not know is an error.
//
// The package must never know what an operation does or who may call it.
package rest
