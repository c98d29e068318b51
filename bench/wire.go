package main

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a TCP connection of one request, without what package net does for those
// that last: it asks the kernel eight times where that asks twenty.
type wire int

// dialWire connects; a read waits so long.
func dialWire(to netip.AddrPort, wait time.Duration) (wire, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	patience := unix.NsecToTimeval(wait.Nanoseconds())
	err = errors.Join(
		// A reset frees the port at once: there are more of these than ports.
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), // parts stay parts
		uninterrupted(func() error {
			return unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
		}),
	)
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return wire(fd), nil
}

// uninterrupted goes on after the signals by which Go preempts.
func uninterrupted(call func() error) (err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		err = call()
	}
	return err
}

func (w wire) close() { unix.Close(int(w)) }

func (w wire) write(text string) error {
	for p := []byte(text); len(p) > 0; {
		n := 0
		// A peer that is gone is an error, not a signal.
		err := uninterrupted(func() (err error) {
			n, err = unix.SendmsgN(int(w), p, nil, nil, unix.MSG_NOSIGNAL)
			return err
		})
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// read fills p as far as the first bytes that arrive do; 0 is an end, a reset or
// silence.
func (w wire) read(p []byte) (n int) {
	err := uninterrupted(func() (err error) {
		n, err = unix.Read(int(w), p)
		return err
	})
	if err != nil {
		return 0
	}
	return n
}
