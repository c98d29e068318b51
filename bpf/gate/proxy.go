package gate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
)

// The PROXY protocol, versions 1 and 2, as HAProxy defines it.
const (
	proxyLineMax  = 107 // bytes of a version 1 header with its end
	proxyBlockMax = 4 << 10
)

var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

var errProxy = errors.New("malformed PROXY header")

// readProxy reads a PROXY header and not a byte more. The addresses are zero if
// the header names none: a proxy that speaks for itself.
func readProxy(r io.Reader) (client netip.AddrPort, err error) {
	start := make([]byte, 16)
	if _, err := io.ReadFull(r, start[:len(proxySignature)]); err != nil {
		return client, err
	}
	if !bytes.Equal(start[:len(proxySignature)], proxySignature) {
		return readProxyLine(r, start[:len(proxySignature)])
	}
	if _, err := io.ReadFull(r, start[12:]); err != nil {
		return client, err
	}
	length := int(binary.BigEndian.Uint16(start[14:]))
	if start[12]>>4 != 2 || length > proxyBlockMax {
		return client, errProxy
	}
	block := make([]byte, length)
	if _, err := io.ReadFull(r, block); err != nil {
		return client, err
	}
	switch start[12] & 15 {
	case 0: // LOCAL
		return client, nil
	case 1: // PROXY
		return proxyAddress(start[13], block)
	}
	return client, errProxy
}

// proxyAddress reads the source of TCP over IPv4 or IPv6; another family names
// nobody that has an IP address.
func proxyAddress(family byte, block []byte) (client netip.AddrPort, err error) {
	switch {
	case family == 0x11 && len(block) >= 12:
		address := netip.AddrFrom4([4]byte(block))
		return netip.AddrPortFrom(address, binary.BigEndian.Uint16(block[8:])), nil
	case family == 0x21 && len(block) >= 36:
		address := netip.AddrFrom16([16]byte(block)).Unmap()
		return netip.AddrPortFrom(address, binary.BigEndian.Uint16(block[32:])), nil
	case family == 0x00:
		return client, nil
	}
	return client, errProxy
}

// readProxyLine reads the rest of a version 1 header, byte by byte: what follows
// is not the gate's to take yet.
func readProxyLine(r io.Reader, line []byte) (client netip.AddrPort, err error) {
	if !bytes.HasPrefix(line, []byte("PROXY ")) {
		return client, errProxy
	}
	for one := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, one[0]) {
		if len(line) >= proxyLineMax {
			return client, errProxy
		}
		if _, err := io.ReadFull(r, one); err != nil {
			return client, err
		}
	}
	words := strings.Split(strings.TrimSuffix(string(line), "\r\n"), " ")
	if words[1] == "UNKNOWN" {
		return client, nil
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return client, errProxy
	}
	client, err = netip.ParseAddrPort(net.JoinHostPort(words[2], words[4]))
	if err != nil || client.Addr().Is4() != (words[1] == "TCP4") || client.Addr().Zone() != "" {
		return netip.AddrPort{}, errProxy
	}
	return client, nil
}

// proxyHeader tells where a connection comes from and where it went to.
func proxyHeader(version int, client, local netip.AddrPort) []byte {
	source, target := client.Addr().Unmap().WithZone(""), local.Addr().Unmap().WithZone("")
	if source.Is4() != target.Is4() { // a proxy's client of the other family
		source, target = netip.AddrFrom16(source.As16()), netip.AddrFrom16(target.As16())
	}
	four := source.Is4()
	if version == 1 {
		family := "TCP6"
		if four {
			family = "TCP4"
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, source, target, client.Port(), local.Port())
	}
	header := append(bytes.Clone(proxySignature), 0x21, 0x21, 0, 36)
	if four {
		header[13], header[15] = 0x11, 12
	}
	header = append(append(header, source.AsSlice()...), target.AsSlice()...)
	header = binary.BigEndian.AppendUint16(header, client.Port())
	return binary.BigEndian.AppendUint16(header, local.Port())
}
