package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// claimsGroup are the vectors that concern AuthFI's claims, of which no other library
// can know.
const claimsGroup = "claims"

// tokenVector is what is read of one case of sdk/conformance/tokens.json.
type tokenVector struct{ Name, Group, Expect string }

// judgeLibraries runs the vectors that every SDK passes against the libraries that
// people use, each as its documentation says and by exact version.
func (s *sdks) judgeLibraries(ctx context.Context, r *report) error {
	given, err := os.ReadFile(filepath.Join(sdkDir, "conformance", "tokens.json"))
	if err != nil {
		return err
	}
	var file struct{ Cases []tokenVector }
	if err := json.Unmarshal(given, &file); err != nil {
		return err
	}
	for _, side := range []struct {
		in      string
		command []string
	}{
		{filepath.Join(tokensDir, "libraries"), []string{"go", "run", "."}},
		{s.scripts, []string{"node", "libraries.mjs"}},
		{s.scripts, []string{s.python, "-W", "ignore", "libraries.py"}},
	} {
		cmd := exec.CommandContext(ctx, side.command[0], side.command[1:]...)
		cmd.Dir, cmd.Stdin, cmd.Stderr = side.in, bytes.NewReader(given), os.Stderr
		said, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%v: %w", side.command, err)
		}
		var verdicts map[string][]bool
		if err := json.Unmarshal(said, &verdicts); err != nil {
			return err
		}
		for _, library := range slices.Sorted(maps.Keys(verdicts)) {
			if err := addLibrary(r, library, verdicts[library], file.Cases); err != nil {
				return err
			}
		}
	}
	return nil
}

// addLibrary reports what one library takes for good and our SDKs do not, by the names
// of the vectors, and the other way round.
func addLibrary(r *report, library string, verdicts []bool, cases []tokenVector) error {
	if len(verdicts) != len(cases) {
		return fmt.Errorf("%s has judged %d of %d vectors", library, len(verdicts), len(cases))
	}
	var taken, refused []string
	judged := 0
	for i, c := range cases {
		if c.Group == claimsGroup {
			continue
		}
		judged++
		switch good := c.Expect == "ok"; {
		case verdicts[i] && !good:
			taken = append(taken, c.Name)
		case !verdicts[i] && good:
			refused = append(refused, c.Name)
		}
	}
	name, _, _ := strings.Cut(library, " ")
	metric := "vectors_taken_" + strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	how := fmt.Sprintf("%s, of %d vectors of tokens that concern every JWT: those that it takes for good and every SDK of ours refuses: %s. Those that it refuses and every SDK of ours takes: %s.",
		library, judged, names(taken), names(refused))
	r.add(metric, "1", how, []float64{float64(len(taken))})
	return nil
}

func names(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, "; ")
}
