package dev_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf"
)

// storyWait bounds a story, on a machine that runs other tests meanwhile.
const storyWait = 3 * time.Minute

// program is the binary under test, built once.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "authfi")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "authfi")
	build := exec.Command("go", "build", "-o", program, "github.com/authfi/authfi/cmd/authfi")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// TestStory plays the whole product with real processes, with the user-space
// gate and, where the kernel can, with the kernel's, which must not fall back.
func TestStory(t *testing.T) {
	modes := []string{"gate"}
	if err := bpf.Supported(); err == nil {
		modes = append(modes, "kernel")
	} else {
		t.Logf("without the kernel: %v", err)
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) { story(t, mode) })
	}
}

func story(t *testing.T, mode string) {
	ctx, cancel := context.WithTimeout(t.Context(), storyWait)
	defer cancel()
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, program, "dev", "--story", "--enforce", mode)
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "TMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it stops its nodes
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err == nil {
		return
	}
	t.Error(err)
	logs, _ := filepath.Glob(filepath.Join(dir, "*", "node-*.log"))
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		t.Logf("%s:\n%s", filepath.Base(name), text[max(0, len(text)-4000):])
	}
}
