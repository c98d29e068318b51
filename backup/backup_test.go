package backup

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

var header = Header{
	Cluster: strings.Repeat("ab", 32), Index: 4711, Term: 3, Digest: strings.Repeat("cd", 32), Level: 1,
	Time: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC),
}

var manifest = Manifest{Keyring: []byte("the keyring"), Organizations: []Organization{{ID: "org-1", Slug: "clinic", Users: 2}}}

func newKey(t testing.TB) Key {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// written is a file whose state has n bytes.
func written(t testing.TB, to Public, n int) []byte {
	t.Helper()
	var file bytes.Buffer
	err := Write(&file, to, header, manifest, func(w io.Writer) error {
		_, err := w.Write(content(n))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func content(n int) []byte { return bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n] }

// read opens a file and reads it to the end.
func read(file []byte, key Key) (r *Reader, state []byte, err error) {
	if r, err = Open(bytes.NewReader(file), key); err != nil {
		return nil, nil, err
	}
	err = r.State(func(in io.Reader) error {
		state, err = io.ReadAll(in)
		return err
	})
	return r, state, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	key := newKey(t)
	want := header
	want.Key = key.Public().Name()
	for _, n := range []int{0, 1, frameSize - 1, frameSize, frameSize + 1, 3*frameSize + 7} {
		r, state, err := read(written(t, key.Public(), n), key)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if !bytes.Equal(state, content(n)) {
			t.Errorf("%d bytes: the state is another", n)
		}
		if fmt.Sprint(r.Header, r.Manifest) != fmt.Sprint(want, manifest) {
			t.Errorf("%d bytes: %+v %+v", n, r.Header, r.Manifest)
		}
	}
}

func TestHeaderIsInClearAndNothingElse(t *testing.T) {
	key := newKey(t)
	file := written(t, key.Public(), 100)
	h, err := ReadHeader(bytes.NewReader(file))
	want := header
	want.Key = key.Public().Name()
	if err != nil || h != want {
		t.Errorf("%+v %v", h, err)
	}
	for _, secret := range []string{"the keyring", "clinic", "0123456789", key.String(), string(key.proof())} {
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("the file shows %q", secret)
		}
	}
}

func TestKeyText(t *testing.T) {
	key := newKey(t)
	for _, text := range []string{key.String(), " " + strings.ToLower(key.String()) + "\n"} {
		back, err := ParseKey(text)
		if err != nil || back.String() != key.String() {
			t.Errorf("%q: %v", text, err)
		}
	}
	plain, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "x", key.String()[1:], key.String() + "Q", key.Public().Recipient, plain.String()} {
		if _, err := ParseKey(text); !errors.Is(err, ErrKeyText) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPublicIsChecked(t *testing.T) {
	public := newKey(t).Public()
	if err := public.Check(); err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]Public{
		"no recipient":    {Proof: public.Proof},
		"a cut recipient": {Recipient: public.Recipient[:len(public.Recipient)-1], Proof: public.Proof},
		"a long one":      {Recipient: strings.Repeat("a", RecipientMax+1), Proof: public.Proof},
		"no proof":        {Recipient: public.Recipient},
		"a short proof":   {Recipient: public.Recipient, Proof: public.Proof[1:]},
	} {
		if wrong.Check() == nil {
			t.Errorf("%s is taken", name)
		}
		if err := Write(io.Discard, wrong, header, manifest, func(io.Writer) error { return nil }); err == nil {
			t.Errorf("%s: a backup was made", name)
		}
	}
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	file := written(t, newKey(t).Public(), 100)
	if _, _, err := read(file, newKey(t)); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
}

// TestCutFile: no beginning of a file is a file, wherever it ends.
func TestCutFile(t *testing.T) {
	key := newKey(t)
	file := written(t, key.Public(), 70_000) // more than one chunk
	step := 1
	for n := 0; n < len(file); n += step {
		if _, _, err := read(file[:n], key); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrKey) {
			t.Errorf("the first %d of %d bytes: %v", n, len(file), err)
		}
		if step = 997; n < 3000 || n > len(file)-200 {
			step = 7
		}
	}
}

// TestAlteredFile: no byte can be another, and none can follow.
func TestAlteredFile(t *testing.T) {
	key := newKey(t)
	file := written(t, key.Public(), 70_000)
	step := 1
	for n := 0; n < len(file); n += step {
		altered := bytes.Clone(file)
		altered[n] ^= 0x01
		if _, _, err := read(altered, key); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrKey) {
			t.Errorf("byte %d of %d (%q): %v", n, len(file), file[n], err)
		}
		if step = 997; n < 3000 || n > len(file)-200 {
			step = 7
		}
	}
	if _, _, err := read(append(bytes.Clone(file), 0), key); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte behind the end: %v", err)
	}
	if _, _, err := read(append(bytes.Clone(file), file...), key); !errors.Is(err, ErrDamaged) {
		t.Errorf("the file twice: %v", err)
	}
}

// TestHeaderIsProved: a header that reads well but was not written with the rest.
func TestHeaderIsProved(t *testing.T) {
	key := newKey(t)
	file := written(t, key.Public(), 100)
	for _, change := range []struct{ old, new string }{
		{`"index":4711`, `"index":4712`}, {`"digest":"cd`, `"digest":"cc`}, {`"level":1`, `"level":0`}, {`"index":4711`, `"index": 4711`},
	} {
		altered := bytes.Replace(file, []byte(change.old), []byte(change.new), 1)
		if _, _, err := read(altered, key); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", change.new, err)
		}
	}
}

// TestForgedFile: whoever knows the public half alone cannot make a file that is
// taken for the cluster's.
func TestForgedFile(t *testing.T) {
	key := newKey(t)
	public := key.Public()
	public.Proof = bytes.Repeat([]byte{1}, ProofSize)
	if _, _, err := read(written(t, public, 100), key); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "no cluster") {
		t.Errorf("%v", err)
	}
}

// raw is a file with whatever frames a test wants, well sealed and proved.
func raw(t *testing.T, key Key, body ...[]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	head, err := header.encode()
	if err != nil {
		t.Fatal(err)
	}
	file.Write(head)
	w, err := age.Encrypt(&file, key.identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	proof := hmac.New(sha256.New, key.proof())
	proof.Write(head)
	for _, b := range body {
		io.MultiWriter(w, proof).Write(b)
	}
	w.Write(proof.Sum(nil))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func frame(b []byte) []byte {
	var out bytes.Buffer
	writeFrame(&out, b)
	return out.Bytes()
}

// TestBounds: what a length asks for beyond its bound is refused, at the bound it
// is not.
func TestBounds(t *testing.T) {
	key := newKey(t)
	m, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if _, state, err := read(raw(t, key, frame(m), frame(content(frameMax)), frame(nil)), key); err != nil || len(state) != frameMax {
		t.Errorf("a frame at the bound: %v", err)
	}
	for name, file := range map[string][]byte{
		"a frame above the bound":    raw(t, key, frame(m), frame(content(frameMax+1)), frame(nil)),
		"a manifest above the bound": raw(t, key, []byte{0xff, 0xff, 0xff, 0xff}, m),
		"a manifest that is cut":     raw(t, key, frame(m[:len(m)-1]), frame(nil)),
		"an unknown field":           raw(t, key, frame([]byte(`{"other":1}`)), frame(nil)),
		"no end of the state":        raw(t, key, frame(m), frame(content(10))),
		"a second end":               raw(t, key, frame(m), frame(nil), frame(nil)),
	} {
		if _, _, err := read(file, key); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStateMustBeReadWhole: a reader that stops early has not understood the state.
func TestStateMustBeReadWhole(t *testing.T) {
	key := newKey(t)
	r, err := Open(bytes.NewReader(written(t, key.Public(), 100)), key)
	if err != nil {
		t.Fatal(err)
	}
	err = r.State(func(in io.Reader) error { _, err := io.CopyN(io.Discard, in, 99); return err })
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

// FuzzOpen: arbitrary bytes are refused without a panic.
func FuzzOpen(f *testing.F) {
	key := newKey(f)
	file := written(f, key.Public(), 100)
	f.Add(file)
	f.Add(file[:len(magic)])
	f.Add([]byte(magic + "{}\nage-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := read(b, key); err == nil && !bytes.Equal(b, file) {
			t.Error("another file is taken")
		}
	})
}
