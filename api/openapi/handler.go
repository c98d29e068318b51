package openapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// Path is where the document is.
const Path = "/api/v1/openapi.json"

// Handler serves the document to everybody.
func Handler() http.Handler {
	sum := sha256.Sum256(Document())
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("ETag", etag)
		header.Set("Cache-Control", "no-cache") // it is asked again, and is seldom another
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(Document()))
	})
}
