package conformance_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocument: the samples in the documentation are files, which dev runs.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/sdk.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)`(sdk/[^`]+)`:\n\n```[a-z]+\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	for _, block := range blocks {
		if file, err := os.ReadFile("../../" + block[1]); err != nil || string(file) != block[2] {
			t.Errorf("%s is not what the documentation shows: %v", block[1], err)
		}
	}
	if fences := strings.Count(string(text), "```"); len(blocks) == 0 || fences != 2*len(blocks) {
		t.Errorf("%d samples of files among %d fences", len(blocks), fences)
	}
}
