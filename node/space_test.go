package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/authfi/authfi/bench/chaos/volatile"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/keyring"
)

// TestBallast: it is held while there is space, given up when the last of it is
// reached, and taken back.
func TestBallast(t *testing.T) {
	if os.Getenv("AUTHFI_TEST_NO_KERNEL") == "1" {
		return // not root: no disk can be mounted, as `make test` says
	}
	dir := filepath.Join(t.TempDir(), "data")
	disk, err := volatile.Mount(t.TempDir(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Unmount()
	n := &Node{cfg: Config{Dir: dir}}
	for _, step := range []struct {
		free                   uint64
		held, propose, growing bool
	}{
		{spaceReserve + 2*ballast - 4096, false, true, true}, // holding it would take the reserve
		{spaceReserve + 2*ballast, true, true, true},
		{spaceReserve, true, true, true},
		{spaceReserve - 4096, true, false, true},
		{spaceLast, true, false, true},
		{spaceLast - 4096, false, false, false},
		{spaceLast + ballast, false, false, true}, // no coming and going
		{spaceReserve + 2*ballast, true, true, true},
	} {
		disk.Set(volatile.Trouble{Free: step.free})
		if err := trimBallast(dir); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, ballastFile))
		if held := err == nil && info.Size() == ballast; held != step.held {
			t.Errorf("with %d MiB the ballast is held: %v", step.free>>20, held)
		}
		if got := n.mayPropose() == nil; got != step.propose {
			t.Errorf("with %d bytes a node proposes: %v", step.free, got)
		}
		if got := n.mayGrow() == nil; got != step.growing {
			t.Errorf("with %d bytes the log grows: %v", step.free, got)
		}
	}
}

// TestInitSurvivesAPowerCut: what it has shown the operator a token for is on the disk.
func TestInitSurvivesAPowerCut(t *testing.T) {
	if os.Getenv("AUTHFI_TEST_NO_KERNEL") == "1" {
		return // not root, as above
	}
	backing, dir := t.TempDir(), filepath.Join(t.TempDir(), "data")
	disk, err := volatile.Mount(backing, dir)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{NodeID: "n1", API: "127.0.0.1:1", Peer: "127.0.0.1:2", Issuer: "https://127.0.0.1", Enforce: EnforceConfig{Mode: "gate"}, Dir: dir}
	_, err = Init(c, nil)
	if err := errors.Join(err, disk.Cut(func() bool { return false }), disk.Unmount()); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(backing); err != nil {
		t.Error(err)
	}
	if _, err := cluster.LoadIdentity(backing); err != nil {
		t.Error(err)
	}
	if _, err := keyring.Load(filepath.Join(backing, keyringFile)); err != nil {
		t.Error(err)
	}
}
