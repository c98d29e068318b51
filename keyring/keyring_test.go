package keyring

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

func TestSealedSecretOpensOnlyForItsPurpose(t *testing.T) {
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal("key of org-1", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Fatal("sealed bytes hold the secret")
	}
	if plain, err := k.Open("key of org-1", sealed); err != nil || string(plain) != "secret" {
		t.Fatalf("opened %q, %v", plain, err)
	}
	if _, err := k.Open("key of org-2", sealed); err == nil {
		t.Fatal("opened for another purpose")
	}
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	k, _ := Generate()
	sealed, _ := k.Seal("p", []byte("secret"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open("p", bad); err == nil {
			t.Fatalf("byte %d changed and still opened", i)
		}
	}
	for n := range sealed {
		if _, err := k.Open("p", sealed[:n]); err == nil {
			t.Fatalf("cut to %d bytes and still opened", n)
		}
	}
}

func TestFileIsPrivateAndNeverOverwritten(t *testing.T) {
	k, _ := Generate()
	file := filepath.Join(t.TempDir(), "cluster.key")
	if err := k.Save(file); err != nil {
		t.Fatal(err)
	}
	if err := k.Save(file); err == nil {
		t.Fatal("saved over an existing key")
	}
	again, err := Load(file)
	if err != nil || !bytes.Equal(again.Secret(), k.Secret()) {
		t.Fatalf("loaded another key, %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil {
		t.Fatal("loaded a key that others can read")
	}
}

// TestDerivedBytesStay: what was derived once is derived again, by every node.
func TestDerivedBytesStay(t *testing.T) {
	k, err := New(bytes.Repeat([]byte{7}, Size))
	if err != nil {
		t.Fatal(err)
	}
	const want = "ec757fc319c79f32d877a5aa489ad2ded55450cdab0b89f4b5cfd30631f7c47a"
	if got := k.Derive("purpose"); hex.EncodeToString(got[:]) != want {
		t.Errorf("derived %x", got)
	}
	other, _ := New(bytes.Repeat([]byte{8}, Size))
	if k.Derive("purpose") == k.Derive("purpose ") || k.Derive("purpose") == other.Derive("purpose") {
		t.Error("another purpose or another key derives the same")
	}
}
