package cluster

import (
	"net"
	"syscall"
	"time"
)

// alive is false of an idle connection that the other side has ended. A call on one
// would be taken by the kernel and lost: whether it was heard would not be known, and
// after a restart of the leader a write would fail for it. Between two calls nothing is
// said, so that anything to read is an end, too: that of TLS.
func alive(conn net.Conn) bool {
	if layered, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = layered.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true // of a test's network, which tells when it is used
	}
	raw, err := socket.SyscallConn()
	if err != nil || conn.SetReadDeadline(time.Time{}) != nil { // that of the last call may have passed
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
		return true // whatever it is, do not wait for more
	})
	return err == nil && quiet
}
