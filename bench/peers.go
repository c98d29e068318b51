package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where the peers are built, below the module's root. Each has a module of its
// own, so that it is built with the very libraries that it was released with.
const (
	peersDir   = "bench/peers"
	peersCache = ".cache/peers"
)

// peerPrograms are what the comparison needs; a path is empty when there is no
// such program here, and why says so.
type peerPrograms struct {
	driver, openfga, spicedb, postgres string
	versions                           map[string]string // by name
	why                                string
}

// preparePeers builds and installs the peers, which takes minutes the first time.
// What cannot be had is left out: the report then says so.
func preparePeers(ctx context.Context) (*peerPrograms, error) {
	p := &peerPrograms{versions: map[string]string{}}
	var err error
	// The driver is ours: without it there is no comparison.
	if p.driver, err = buildCached(ctx, peersDir, ".", "driver"); err != nil {
		return nil, err
	}
	var missing []error
	for _, peer := range []struct {
		name, module, program string
		path                  *string
	}{
		{"openfga", "github.com/openfga/openfga", "github.com/openfga/openfga/cmd/openfga", &p.openfga},
		{"spicedb", "github.com/authzed/spicedb", "github.com/authzed/spicedb/cmd/spicedb", &p.spicedb},
	} {
		dir := filepath.Join(peersDir, peer.name)
		if p.versions[peer.name], err = moduleVersion(ctx, dir, peer.module); err == nil {
			*peer.path, err = buildOnce(ctx, dir, peer.program, peer.name+"-"+p.versions[peer.name])
		}
		if err != nil {
			missing = append(missing, fmt.Errorf("build %s: %w", peer.name, err))
		}
	}
	if p.postgres, err = findPostgres(ctx); err != nil {
		missing = append(missing, err)
	}
	if err := errors.Join(missing...); err != nil {
		p.why = err.Error()
	}
	return p, ctx.Err()
}

func moduleVersion(ctx context.Context, dir, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module)
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), explained(err)
}

// explained adds what a command said.
func explained(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %.500s", err, exit.Stderr)
	}
	return err
}

// buildOnce builds a program that does not change under its name.
func buildOnce(ctx context.Context, dir, program, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(peersCache, name))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return buildCached(ctx, dir, program, name)
}

// buildCached puts a program into the cache, whole or not at all.
func buildCached(ctx context.Context, dir, program, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(peersCache, name))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	fmt.Printf("building %s\n", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path+".new", program)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %.2000s", err, said)
	}
	return path, os.Rename(path+".new", path)
}

// postgresVersion is Debian 12's. Both peers are at home on it.
const postgresVersion = "15"

// findPostgres is the directory of the database's programs. As root on a Debian
// that lacks them it installs them.
func findPostgres(ctx context.Context) (string, error) {
	dir := filepath.Join("/usr/lib/postgresql", postgresVersion, "bin")
	here := func() bool {
		_, err := os.Stat(filepath.Join(dir, "initdb"))
		return err == nil
	}
	if here() {
		return dir, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("version %s of Postgres is not installed, and only root can install it", postgresVersion)
	}
	install := exec.CommandContext(ctx, "apt-get", "install", "--yes", "--no-install-recommends", "postgresql-"+postgresVersion)
	install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if said, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install Postgres %s: %w: %.500s", postgresVersion, err, said)
	}
	if !here() {
		return "", fmt.Errorf("the package postgresql-%s has no %s/initdb", postgresVersion, dir)
	}
	return dir, nil
}
