// Package proto holds the sources of the API, for programs that show their
// comments to people.
package proto

import "embed"

// Sources are the .proto files of authfi.v1, below authfi/v1.
//
//go:embed authfi/v1/*.proto
var Sources embed.FS
