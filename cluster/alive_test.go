package cluster

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestAlive: a connection is good while nothing was said on it and nobody ended it.
func TestAlive(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	pair := func() (here, there net.Conn) {
		here, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		there, err = listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { here.Close(); there.Close() })
		return here, there
	}
	dies := func(what string, conn net.Conn) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		for alive(conn) {
			select {
			case <-time.After(time.Millisecond):
			case <-deadline:
				t.Fatalf("%s is alive", what)
			}
		}
	}
	here, there := pair()
	for range 2 { // to look changes nothing
		if !alive(here) {
			t.Error("a quiet connection is not alive")
		}
	}
	here.SetDeadline(time.Now().Add(-time.Second))
	if !alive(here) {
		t.Error("a connection is not alive whose last call had a deadline that has passed")
	}
	go there.Write([]byte("answer"))
	dies("one with something to read", here)
	b := make([]byte, 6)
	if _, err := io.ReadFull(here, b); err != nil || string(b) != "answer" {
		t.Errorf("looking took of it: %q %v", b, err)
	}
	if !alive(here) {
		t.Error("it is not alive after it was read")
	}
	there.Close()
	dies("one that the other side ended", here)
	here, _ = pair()
	here.Close()
	dies("one that this side ended", here)
	pipe, _ := net.Pipe()
	if !alive(pipe) {
		t.Error("what is no socket is not alive")
	}
}
