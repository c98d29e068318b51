package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what is typed at one end is read at the other.
func terminal(t *testing.T) (typist, program *os.File) {
	t.Helper()
	typist, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { typist.Close() })
	if err := unix.IoctlSetPointerInt(int(typist.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(typist.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return typist, program
}

func asked(in io.Reader, talk io.Writer) error {
	cmd := &cobra.Command{}
	cmd.SetIn(in)
	cmd.SetErr(talk)
	return confirm(cmd, "Delete a user: alice")
}

// TestConfirm: a terminal is asked and must say yes, a script is not asked.
func TestConfirm(t *testing.T) {
	for typed, goesOn := range map[string]bool{"yes\n": true, " yes \n": true, "y\n": false, "\n": false, "no\n": false, "\x04": false} {
		typist, program := terminal(t)
		if _, err := typist.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		err := asked(program, program)
		if (err == nil) != goesOn {
			t.Errorf("%q: %v", typed, err)
		}
		shown := make([]byte, 1000)
		n, readErr := typist.Read(shown)
		for !strings.Contains(string(shown[:n]), "Type yes to go on") && readErr == nil {
			var more int
			more, readErr = typist.Read(shown[n:])
			n += more
		}
		if !strings.Contains(string(shown[:n]), "Delete a user: alice. Type yes to go on: ") {
			t.Errorf("%q: the terminal shows %q (%v)", typed, shown[:n], readErr)
		}
	}
	_, program := terminal(t)
	var talk bytes.Buffer
	if err := asked(program, &talk); err != nil || talk.Len() > 0 {
		t.Errorf("with stderr elsewhere: %v, %q", err, talk.String())
	}
	if err := asked(strings.NewReader("no\n"), program); err != nil {
		t.Errorf("with stdin elsewhere: %v", err)
	}
}
