package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Where the SDKs and those who compare them are, below the module's root.
const (
	sdkDir    = "sdk"
	tokensDir = "bench/tokens"
)

// sdks are the SDKs as their users install them, and the samples that are served.
type sdks struct {
	scripts  string // directory of the comparison
	python   string
	services [][]string // commands
}

// prepareSDKs installs the SDKs with what they are compared with, by lock file.
func (b *bench) prepareSDKs(ctx context.Context) (*sdks, error) {
	dir := filepath.Join(b.dir, "sdks")
	for from, to := range map[string]string{sdkDir + "/js": "js", sdkDir + "/python": "python", tokensDir: "tokens"} {
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(from)); err != nil {
			return nil, err
		}
	}
	s := &sdks{scripts: filepath.Join(dir, "tokens"), python: filepath.Join(dir, "venv", "bin", "python")}
	sample := filepath.Join(dir, "sample")
	for _, step := range []struct {
		in   string
		args []string
	}{
		{s.scripts, []string{"npm", "ci", "--no-audit", "--no-fund", "--silent"}},
		{dir, []string{"python3", "-m", "venv", "venv"}},
		{s.scripts, []string{s.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"}},
		{dir, []string{s.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", filepath.Join(dir, "python")}},
		{".", []string{"go", "build", "-trimpath", "-o", sample, "./sdk/go/sample"}},
	} {
		cmd := exec.CommandContext(ctx, step.args[0], step.args[1:]...)
		cmd.Dir = step.in
		if said, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w: %s", step.args, err, said)
		}
	}
	// node finds a package from where the program lies.
	server := filepath.Join(s.scripts, "server.mjs")
	text, err := os.ReadFile(filepath.Join(sdkDir, "js", "sample", "server.mjs"))
	if err != nil {
		return nil, err
	}
	s.services = [][]string{{sample}, {"node", server}, {s.python, filepath.Join(dir, "python", "sample", "fastapi_service.py")}}
	return s, os.WriteFile(server, text, 0o600)
}

// verifyElsewhere measures the others beside what people use there.
func (s *sdks) verifyElsewhere(ctx context.Context, r *report, m *minted) error {
	given, err := json.Marshal(m)
	if err != nil {
		return err
	}
	for _, side := range []struct {
		name, language, peer string
		command              []string
	}{
		{"verify_js_vs_jose", "js", "jose 6.2.17", []string{"node", "verify.mjs"}},
		{"verify_python_vs_pyjwt", "python", "PyJWT 2.15.1", []string{s.python, "verify.py"}},
	} {
		cmd := exec.CommandContext(ctx, side.command[0], side.command[1:]...)
		cmd.Dir, cmd.Stdin, cmd.Stderr = s.scripts, bytes.NewReader(given), os.Stderr
		said, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%v: %w", side.command, err)
		}
		var took struct{ Ours, Theirs []float64 }
		if err := json.Unmarshal(said, &took); err != nil {
			return err
		}
		ratios := make([]float64, len(took.Ours))
		for i := range ratios {
			ratios[i] = took.Theirs[i] / took.Ours[i]
		}
		how := fmt.Sprintf("of %d tokens of a node, ES256, %d permissions, none seen before, with the key at hand, the two in turn in one process: ", len(ratios), tokenPermissions)
		r.put(side.name, "ratio", "p50 time of "+side.peer+" over ours "+how+"above 1 ours is faster.", quantile(took.Theirs, 0.5)/quantile(took.Ours, 0.5), ratios)
		r.add("verify_first_p50_us_"+side.language, "us", "p50 "+how+"ours.", took.Ours)
		r.add("verify_first_p50_us_"+side.language+"_peer", "us", "p50 "+how+side.peer+".", took.Theirs)
	}
	return nil
}
