package clustertest

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

const delayMax = 20 * time.Millisecond

// linked is a network with a connection from a to b.
func linked(t *testing.T) (n *Network, a, b *Host, from, to net.Conn) {
	t.Helper()
	n = NewNetwork(1, delayMax)
	a, b = n.Host("a"), n.Host("b")
	l, err := b.Listen("b:1")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	if from, err = a.Dial("b:1", time.Second); err != nil {
		t.Fatal(err)
	}
	return n, a, b, from, <-accepted
}

// got reads for as long as given.
func got(c net.Conn, within time.Duration) (string, error) {
	c.SetReadDeadline(time.Now().Add(within))
	p := make([]byte, 100)
	read, err := c.Read(p)
	return string(p[:read]), err
}

func TestConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _, from, to := linked(t)
		from.Write([]byte("one"))
		from.Write([]byte("two"))
		for _, want := range []string{"one", "two"} { // in their order, whatever their delays
			if read, err := got(to, delayMax); read != want || err != nil {
				t.Errorf("read %q, %v", read, err)
			}
		}
		if _, err := got(to, time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("nothing was sent: %v", err)
		}
		n.Cut("a", "b")
		from.Write([]byte("held back"))
		if _, err := got(to, time.Minute); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("through a cut: %v", err)
		}
		to.Write([]byte("the other way"))
		if read, err := got(from, delayMax); read != "the other way" {
			t.Errorf("against the cut: %q, %v", read, err)
		}
		n.Heal()
		if read, err := got(to, delayMax); read != "held back" {
			t.Errorf("after the cut: %q, %v", read, err)
		}
		from.Write([]byte("last"))
		from.Close()
		if read, err := got(to, 2*delayMax); read != "last" {
			t.Errorf("before the end: %q, %v", read, err)
		}
		if _, err := got(to, 2*delayMax); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
		to.Close()
	})
}

func TestKilledHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b, from, to := linked(t)
		b.Kill()
		if _, err := got(from, time.Second); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a connection of the killed: %v", err)
		}
		if _, err := a.Dial("b:1", time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a new one to the killed: %v", err)
		}
		if _, err := b.Dial("a:1", time.Second); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("a new one from the killed: %v", err)
		}
		n.Cut("b", "a")
		began := time.Now()
		if _, err := a.Dial("b:1", time.Second); !errors.Is(err, syscall.ETIMEDOUT) || time.Since(began) != time.Second {
			t.Errorf("to a machine that is gone: %v after %s", err, time.Since(began))
		}
		if _, err := n.Host("b").Listen("b:1"); err != nil {
			t.Errorf("the next process: %v", err)
		}
		from.Close()
		to.Close()
	})
}

func TestLogKeepsWhatItAnsweredFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLog(nil)
		entry := func(i uint64) *raft.Log { return &raft.Log{Index: i, Term: 1} }
		if err := l.StoreLogs([]*raft.Log{entry(1), entry(2), entry(3)}); err != nil {
			t.Fatal(err)
		}
		l.Hang(true)
		stored := make(chan error)
		go func() { stored <- l.StoreLog(entry(4)) }()
		synctest.Wait()
		select {
		case err := <-stored:
			t.Fatalf("a hanging disk answers %v", err)
		default:
		}
		next := l.Crash()
		if err := <-stored; err != nil {
			t.Errorf("the process that crashed is told %v", err)
		}
		if last, err := next.LastIndex(); last != 3 || err != nil {
			t.Errorf("the next finds %d entries, %v", last, err)
		}
		if err := next.Forget(2); err != nil {
			t.Fatal(err)
		}
		if last, err := next.LastIndex(); last != 1 || err != nil {
			t.Errorf("after forgetting two there are %d, %v", last, err)
		}
	})
}
