package chaos

import (
	"fmt"
	"strings"
	"testing"
)

// reach counts how many of so many datagrams from one node arrive at another.
func reach(t *testing.T, n *network, from, to, count int) int {
	t.Helper()
	const port = "7000"
	// It counts until its input ends, and then what has arrived by then.
	script := fmt.Sprintf(`import socket,select,sys
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(("%s",%s)); n=0; told=False
print("ready",flush=True)
while True:
  r,_,_=select.select([s] if told else [s,sys.stdin],[],[],0 if told else None)
  if s in r: s.recv(100); n+=1
  elif told: break
  if sys.stdin in r: told=True
print(n)`, n.address(to), port)
	listen := n.in(to, "python3", "-c", script)
	var said strings.Builder
	in, err := listen.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := listen.StdoutPipe()
	if err == nil {
		err = listen.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64)
	if read, err := out.Read(buffer); err != nil || !strings.Contains(string(buffer[:read]), "ready") {
		t.Fatalf("the listener says %q: %v", buffer[:read], err)
	}
	send := n.in(from, "python3", "-c", fmt.Sprintf(`import socket,time
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)
for i in range(%d):
  s.sendto(b"x",("%s",%s)); time.sleep(0.001)`, count, n.address(to), port))
	if said, err := send.CombinedOutput(); err != nil {
		t.Fatalf("send: %v: %s", err, said)
	}
	in.Close()
	for {
		read, err := out.Read(buffer)
		said.Write(buffer[:read])
		if err != nil {
			break
		}
	}
	listen.Wait()
	var got int
	if _, err := fmt.Sscan(said.String(), &got); err != nil {
		t.Fatalf("the listener says %q", said.String())
	}
	return got
}

// TestDrops: in one direction between two nodes and nowhere else, all or a share, and
// none after healing.
func TestDrops(t *testing.T) {
	if !isRoot() {
		return
	}
	n, err := newNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	const sent = 400
	if err := n.drop(t.Context(), 0, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := n.drop(t.Context(), 0, 2, 0.5); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, least, most int }{
		{0, 1, 0, 0}, {1, 0, sent, sent}, {0, 2, sent / 4, 3 * sent / 4}, {2, 1, sent, sent},
	} {
		if got := reach(t, n, c.from, c.to, sent); got < c.least || got > c.most {
			t.Errorf("of %d from node %d to node %d %d arrive", sent, c.from+1, c.to+1, got)
		}
	}
	if err := n.heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := reach(t, n, 0, 1, sent); got != sent {
		t.Errorf("after healing %d of %d arrive", got, sent)
	}
}
