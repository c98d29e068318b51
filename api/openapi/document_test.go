package openapi

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/openapi.json")

const golden = "testdata/openapi.json"

// TestDocumentGolden: a change of the API is a visible diff.
func TestDocumentGolden(t *testing.T) {
	if *update {
		if err := os.WriteFile(golden, Document(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(Document(), want) {
		t.Error("the document has changed; if that is meant, run with -update and look at the diff")
	}
}
