package gate

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"
)

func TestProxyHeadersAreReadToTheByte(t *testing.T) {
	client4, local4 := netip.MustParseAddrPort("192.0.2.7:1234"), netip.MustParseAddrPort("198.51.100.1:443")
	client6, local6 := netip.MustParseAddrPort("[2001:db8::7]:1234"), netip.MustParseAddrPort("[2001:db8::1]:443")
	none := netip.AddrPort{}
	v2 := func(head string, block string) string { return string(proxySignature) + head + block }
	for _, c := range []struct {
		why, sent string
		client    netip.AddrPort
		ok        bool
	}{
		{"version 1", string(proxyHeader(1, client4, local4)), client4, true},
		{"version 1, IPv6", string(proxyHeader(1, client6, local6)), client6, true},
		{"version 2", string(proxyHeader(2, client4, local4)), client4, true},
		{"version 2, IPv6", string(proxyHeader(2, client6, local6)), client6, true},
		{"a client of the other family", string(proxyHeader(2, client4, local6)), client4, true},
		{"unknown", "PROXY UNKNOWN\r\n", none, true},
		{"unknown with more", "PROXY UNKNOWN a b c d\r\n", none, true},
		{"local", v2("\x20\x00\x00\x00", ""), none, true},
		{"unspecified", v2("\x21\x00\x00\x02", "ab"), none, true},
		{"with extensions", v2("\x21\x11\x00\x10", "\xc0\x00\x02\x07\xc6\x33\x64\x01\x04\xd2\x01\xbb\x04\x00\x01a"), client4, true},
		{"a Unix socket", v2("\x21\x31\x00\xd8", strings.Repeat("u", 216)), none, false},
		{"too short a block", v2("\x21\x11\x00\x04", "abcd"), none, false},
		{"version 3", v2("\x31\x11\x00\x0c", strings.Repeat("a", 12)), none, false},
		{"command 2", v2("\x22\x11\x00\x0c", strings.Repeat("a", 12)), none, false},
		{"too long a block", v2("\x21\x11\xff\xff", strings.Repeat("a", 65535)), none, false},
		{"no header", "GET / HTTP/1.1\r\nHost: s\r\n\r\n", none, false},
		{"another family", "PROXY TCP6 192.0.2.7 198.51.100.1 1234 443\r\n", none, false},
		{"a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1234 443\r\n", none, false},
		{"a word more", "PROXY TCP4 192.0.2.7 198.51.100.1 1234 443 x\r\n", none, false},
		{"no port", "PROXY TCP4 192.0.2.7 198.51.100.1 x 443\r\n", none, false},
		{"UDP", "PROXY UDP4 192.0.2.7 198.51.100.1 1234 443\r\n", none, false},
		{"a line without end", "PROXY UNKNOWN " + strings.Repeat("a", 200), none, false},
		{"half", "PROXY TCP4 192", none, false},
	} {
		r := bytes.NewReader([]byte(c.sent + "rest"))
		if c.why == "half" {
			r = bytes.NewReader([]byte(c.sent))
		}
		client, err := readProxy(r)
		if client != c.client || (err == nil) != c.ok {
			t.Errorf("%s: %v, %v", c.why, client, err)
		}
		if rest, _ := io.ReadAll(r); c.ok && string(rest) != "rest" {
			t.Errorf("%s: %q is left", c.why, rest)
		}
	}
}

func TestProxyLineIsBounded(t *testing.T) {
	for length, ok := range map[int]bool{proxyLineMax: true, proxyLineMax + 1: false} {
		line := "PROXY UNKNOWN "
		line += strings.Repeat("a", length-len(line)-2) + "\r\n"
		if _, err := readProxy(strings.NewReader(line)); (err == nil) != ok {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func FuzzReadProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n"))
	f.Add(append(bytes.Clone(proxySignature), "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x04\xd2\x01\xbb"...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bytes.NewReader(sent)
		client, err := readProxy(r)
		if err != nil || !client.IsValid() {
			return
		}
		for version := 1; version <= 2; version++ {
			again, err := readProxy(bytes.NewReader(proxyHeader(version, client, client)))
			if err != nil || again != client {
				t.Errorf("version %d of %v: %v, %v", version, client, again, err)
			}
		}
	})
}
